"""`selfinstruct status`: show a run's progress."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.cli.output import print_json
from selfinstruct.cli.text_layout import print_blocks
from selfinstruct.display import visible

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate.results import Estimate
    from selfinstruct.pipeline.summary import RunSummary
    from selfinstruct.runner.directory import Run


def status(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Show a run's progress and what happened to its candidates. Also works while the run is running.

    Example: selfinstruct status my-run
    """
    from selfinstruct.analysis.estimate import estimate_of
    from selfinstruct.pipeline.summary import summarize
    from selfinstruct.runner.directory import read_run
    from selfinstruct.runner.lock import holder
    from selfinstruct.runner.loop import is_complete

    run = read_run(directory)
    pid = holder(directory)
    if pid is None:
        run.state.ledger.give_all_up()  # the process that sent these requests was killed
    summary = summarize(run.state)
    estimate = None
    if run.state.source is None and run.state.counts.requests and not is_complete(run):
        estimate = estimate_of(run)
    if json_output:
        print_json(_fields(run, estimate, pid) | summary.as_json())
    else:
        print_blocks([_lines(run, summary, estimate, pid)])


def _condition(run: "Run", pid: int | None) -> str:
    from selfinstruct.runner.loop import is_complete

    state = run.state
    if pid is not None:
        return "running"
    if state.source is not None:
        return "refiltered"
    if not state.counts.requests:
        return "imported" if state.imports else "nothing asked yet"
    if is_complete(run):
        return "complete"
    return state.finished.reason if state.finished is not None else "interrupted"


def _fields(run: "Run", estimate: "Estimate | None", pid: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    from selfinstruct.cli.summary_lines import imported_without_instances

    source, last = run.state.source, run.state.last_not_novel
    return {
        "directory": str(run.directory),
        "condition": _condition(run, pid),
        "pid": pid,
        "model": run.config.model,
        "target": run.config.num_instructions if source is None else None,
        "refiltered_from": asdict(source) if source is not None else None,
        "imported_from": [asdict(file) for file in run.state.imports],
        "imported_without_instances": imported_without_instances(run.state),
        "last_not_novel": asdict(last) if last is not None else None,
        "estimate": estimate.as_json() if estimate is not None else None,
    }


def _lines(
    run: "Run", summary: "RunSummary", estimate: "Estimate | None", pid: int | None
) -> Iterator[str]:
    from selfinstruct.cli import summary_lines
    from selfinstruct.cli.expected_cost import left_line

    state, source, condition = run.state, run.state.source, _condition(run, pid)
    reached = f"{summary.accepted:,} of {run.config.num_instructions:,}"
    if pid is not None:
        condition += f" (process {pid})"
    if source is not None:
        reached = f"{summary.accepted:,}"
        condition += f" from {source.source}"
    model = f"model {run.config.model}" if run.config.model else "no model chosen yet"
    yield visible(f"{run.directory}: {condition}, {reached} instructions, {model}", keep="")
    if state.finished is not None and state.finished.detail and pid is None:
        yield f"  {visible(state.finished.detail, keep='')}"
    if source is not None:
        settings = {name: getattr(run.config, name) for name in source.settings}
        changed = summary_lines.changes(source, settings, run.versions) or "same settings"
        yield visible(f"  decided again: {changed}", keep="")
    yield from summary_lines.funnel_lines(summary, state)
    if estimate is not None:
        yield f"  {left_line(estimate, base_url=run.config.base_url)}"
    yield from summary_lines.pool_lines(summary)
    yield from summary_lines.last_not_novel_lines(state, run.config.threshold)
