"""`selfinstruct status`: how far a run is."""

import shutil

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption

_VERSION_OF = "version of the {}"


def status(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Show how far a run is and what became of its candidates, also while it runs.

    Example: selfinstruct status my-run
    """
    from selfinstruct.analysis.estimate import estimate_of
    from selfinstruct.cli.expected_cost import left_line
    from selfinstruct.cli.summary_lines import (
        changes,
        funnel_lines,
        imported_without_instances,
        last_not_novel_lines,
        pool_lines,
    )
    from selfinstruct.pipeline.summary import summarize
    from selfinstruct.runner.directory import read_run
    from selfinstruct.runner.lock import holder
    from selfinstruct.runner.loop import is_complete

    run = read_run(directory)
    pid = holder(directory)
    if pid is None:
        run.state.ledger.give_all_up()  # of a process that was killed
    summary = summarize(run.state)
    source, last = run.state.source, run.state.last_not_novel
    if pid is not None:
        condition = f"running (process {pid})"
    elif source is not None:
        condition = "refiltered"
    elif run.state.imports and not run.state.counts.requests:
        condition = "imported"
    elif not run.state.counts.requests:
        condition = "nothing asked yet"
    elif is_complete(run):
        condition = "complete"
    elif run.state.finished is not None:
        condition = run.state.finished.reason
    else:
        condition = "interrupted"
    estimate = None
    if source is None and run.state.counts.requests and not is_complete(run):
        estimate = estimate_of(run)
    if json_output:
        import json
        from dataclasses import asdict

        fields = {
            "directory": str(directory),
            "condition": "running" if pid is not None else condition,
            "pid": pid,
            "model": run.config.model,
            "target": run.config.num_instructions if source is None else None,
            "refiltered_from": asdict(source) if source is not None else None,
            "imported_from": [asdict(file) for file in run.state.imports],
            "imported_without_instances": imported_without_instances(run.state),
            "last_not_novel": asdict(last) if last is not None else None,
            "estimate": estimate.as_json() if estimate is not None else None,
        }
        typer.echo(json.dumps(fields | summary.as_json()))
        return
    from selfinstruct.text import visible

    reached = f"{summary.accepted:,} of {run.config.num_instructions:,}"
    if source is not None:
        reached = f"{summary.accepted:,}"
        condition += f" from {visible(source.source, keep='')}"
    typer.echo(
        f"{visible(str(directory), keep='')}: {condition}, {reached} instructions, "
        f"{f'model {visible(run.config.model)}' if run.config.model else 'no model named yet'}"
    )
    if run.state.finished is not None and run.state.finished.detail and pid is None:
        typer.echo(f"  {visible(run.state.finished.detail)}")
    if source is not None:
        now = {name: getattr(run.config, name) for name in source.settings}
        told = changes(source.settings, now) + changes(source.versions, run.versions, _VERSION_OF)
        typer.echo(visible(f"  decided again: {', '.join(told) or 'same settings'}", keep=""))
    width = min(100, shutil.get_terminal_size().columns)
    lines = [*funnel_lines(summary, run.state)]
    if estimate is not None:
        lines.append(f"  {left_line(estimate, base_url=run.config.base_url)}")
    lines += pool_lines(summary)
    lines += last_not_novel_lines(run.state, run.config.threshold, width=width)
    typer.echo("\n".join(lines))
