"""Format a run's summary and a few records for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from selfinstruct.cli.cost_lines import cost_lines
from selfinstruct.cli.text_layout import breakdown, columns, field, row
from selfinstruct.display import counted, one_line, score, unbroken, visible
from selfinstruct.pipeline.summary import RunSummary

if TYPE_CHECKING:
    from selfinstruct.journal_events import RefilteredFrom
    from selfinstruct.pipeline.state import RunState


def funnel_lines(summary: RunSummary, state: "RunState | None" = None) -> Iterator[str]:
    """Yield the counts of a run: requests, candidates, rejected by reason, accepted, with instances, cost.

    If `state` is given, the lines also list the imported files.
    """
    yield row("requests", sum(summary.requests.values()), _stages(summary.requests))
    if refused := sum(summary.failed.values()):
        yield row("  without a reply", refused, _stages(summary.failed))
    replies = counted(summary.commits, "reply", "replies")
    yield row("candidates", summary.candidates, f"in {replies}")
    yield from breakdown("", summary.rejected)
    share = summary.grown / summary.candidates if summary.candidates else 0
    yield row("accepted", summary.grown, f"{share:.0%} of the candidates")
    if summary.imported:
        missing = imported_without_instances(state) if state is not None else 0
        detail = f", {missing:,} without instances" if missing else ""
        yield row("imported", summary.imported, f"before the run began{detail}")
    for file in state.imports if state is not None else ():
        records = counted(file.records, "record")
        yield f"    {visible(file.name, keep='')}: {file.form}, {records}"
    yield row("with instances", summary.with_instances, f"{summary.rows:,} rows")
    if summary.unclear_kinds:
        yield row("  kind unclear", summary.unclear_kinds, "treated as not a classification task")
    if summary.open:
        yield row("  still open", summary.open, "classification or instances missing")
    if summary.never_asked:
        yield row(
            "  never asked", summary.never_asked, "no instances: the model was never asked for them"
        )
    yield from breakdown("instances rejected", summary.instances_rejected)
    tokens = summary.prompt_tokens + summary.completion_tokens
    detail = f"{summary.prompt_tokens:,} in prompts, {summary.completion_tokens:,} in replies"
    yield row("tokens", tokens, detail)
    yield from cost_lines(summary)


def imported_without_instances(state: "RunState") -> int:
    """Return the number of imported tasks without instances."""
    return sum(task.origin == "imported" and not task.is_final for task in state.pool.generated)


def pool_lines(summary: RunSummary) -> Iterator[str]:
    """Yield the number and share of accepted candidates for each range of pool sizes.

    Yields nothing if there are no candidates.
    """
    if summary.by_pool_size:
        yield "  accepted by pool size"
    for step in summary.by_pool_size:
        share = f"of {step.candidates:,}, {step.accepted / step.candidates:.0%}"
        yield row(f"    {_span(step.smallest, step.largest)}", step.accepted, share)


def _span(smallest: int, largest: int) -> str:
    return f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"


def last_not_novel_lines(state: "RunState", threshold: float) -> Iterator[str]:
    """Yield the last candidate that was rejected as not novel, and the task it resembles.

    Yields nothing if there is no such candidate.
    """
    rejection = state.last_not_novel
    if rejection is None or rejection.nearest is None:
        return
    near = rejection.nearest
    like = f"ROUGE-L {score(near.rouge_l, threshold)} to {near.task_id}"
    yield "  last not novel"
    yield f"    {visible(f'{rejection.candidate_id}, {like}', keep='')}"
    for text in (rejection.text, named(state, near.task_id)):
        yield f"      {one_line(unbroken(text), columns() - 6)}"


def named(state: "RunState", task_id: str) -> str:
    """Return the text of the task with this id; "" if the id is unknown, as in an edited journal."""
    try:
        return state.instruction(task_id)
    except KeyError:
        return ""


def changes(
    origin: "RefilteredFrom", settings: Mapping[str, Any], versions: Mapping[str, int]
) -> str:
    """Return what differs in a refiltered run: "threshold 0.7 → 0.5, version of the filters 1 → 2"."""
    changed = [
        f"{label}{name} {before.get(name, 'none')} → {after[name]}"
        for label, before, after in (
            ("", origin.settings, settings),
            ("version of the ", origin.versions, versions),
        )
        for name in after
        if before.get(name) != after[name]
    ]
    return ", ".join(changed)


def _stages(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {stage}" for stage, number in counts.items())


def record_lines(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yield records as wrapped lines. Terminal control characters are escaped."""
    for record in rows:
        yield ""
        for name in ("instruction", "input", "output"):
            yield from field(name, record[name] or "(none)")
