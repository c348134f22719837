"""The funnel of a run and a few records, formatted for a terminal."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from selfinstruct.cli.cost_lines import cost_lines
from selfinstruct.pipeline.summary import RunSummary
from selfinstruct.records import Reason
from selfinstruct.text import counted, one_line, score, visible

if TYPE_CHECKING:
    from selfinstruct.pipeline.state import RunState


def funnel_lines(summary: RunSummary, state: "RunState | None" = None) -> list[str]:
    """Return the funnel: requests → candidates → rejected by reason → accepted → with instances.

    With the state, the funnel also names the imported files.
    """
    lines = [_line("requests", sum(summary.requests.values()), _stages(summary.requests))]
    if refused := sum(summary.failed.values()):
        lines.append(_line("  without a reply", refused, _stages(summary.failed)))
    replies = "1 reply" if summary.commits == 1 else f"{summary.commits:,} replies"
    lines.append(_line("candidates", summary.candidates, f"in {replies}"))
    lines += _reasons(summary.rejected)
    share = summary.grown / summary.candidates if summary.candidates else 0
    lines.append(_line("accepted", summary.grown, f"{share:.0%} of the candidates"))
    if summary.imported:
        missing = imported_without_instances(state) if state is not None else 0
        detail = f", {missing:,} without instances" if missing else ""
        lines.append(_line("imported", summary.imported, f"before the run began{detail}"))
    for file in state.imports if state is not None else ():
        records = counted(file.records, "record")
        lines.append(f"    {visible(file.name, keep='')}: {file.form}, {records}")
    lines.append(_line("with instances", summary.with_instances, f"{summary.rows:,} rows"))
    if summary.unclear_kinds:
        lines.append(
            _line("  kind unclear", summary.unclear_kinds, "treated as not a classification task")
        )
    if summary.open:
        lines.append(_line("  still open", summary.open, "classification or instances missing"))
    if summary.never_asked:
        detail = "no instances: the model was never asked"
        lines.append(_line("  never asked", summary.never_asked, detail))
    if summary.instances_rejected:
        lines.append(_line("instances rejected", sum(summary.instances_rejected.values())))
        lines += _reasons(summary.instances_rejected)
    tokens = summary.prompt_tokens + summary.completion_tokens
    detail = f"{summary.prompt_tokens:,} in prompts, {summary.completion_tokens:,} in replies"
    return [*lines, _line("tokens", tokens, detail), *cost_lines(summary)]


def imported_without_instances(state: "RunState") -> int:
    """Return the number of imported tasks without instances."""
    return sum(task.origin == "imported" and not task.is_final for task in state.pool.generated)


def pool_lines(summary: RunSummary) -> list[str]:
    """Return a line for each size of the pool: accepted of all candidates; no line without candidates."""
    if not summary.by_pool_size:
        return []
    return [
        "  accepted by pool size",
        *(
            _line(
                f"    {_span(step.smallest, step.largest)}",
                step.accepted,
                f"of {step.candidates:,}, {step.accepted / step.candidates:.0%}",
            )
            for step in summary.by_pool_size
        ),
    ]


def _span(smallest: int, largest: int) -> str:
    return f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"


def last_not_novel_lines(state: "RunState", threshold: float, *, width: int = 100) -> list[str]:
    """Return the last candidate that was not novel, and its similar task; no line without one."""
    rejection = state.last_not_novel
    if rejection is None or rejection.nearest is None:
        return []
    near = rejection.nearest
    like = f"ROUGE-L {score(near.rouge_l, threshold)} to {near.task_id}"
    texts = (rejection.text, named(state, near.task_id))
    return [
        "  last not novel",
        f"    {visible(f'{rejection.candidate_id}, {like}', keep='')}",
        *(f"      {one_line(' '.join(text.split()), width - 6)}" for text in texts),
    ]


def named(state: "RunState", task_id: str) -> str:
    """Return the text of a task that a journal names; "" if an edited journal names an unknown task."""
    try:
        return state.instruction(task_id)
    except KeyError:
        return ""


def changes(before: Mapping[str, Any], after: Mapping[str, Any], name: str = "{}") -> list[str]:
    """Return the changed values: "threshold 0.7 → 0.5"."""
    return [
        f"{name.format(key)} {before.get(key, 'none')} → {after[key]}"
        for key in after
        if before.get(key) != after[key]
    ]


def _line(name: str, number: int, detail: str = "") -> str:
    return f"  {name:<24}{number:>9,}  {detail}".rstrip()


def _reasons(counts: Mapping[Reason, int]) -> Iterable[str]:
    return [_line(f"  {reason.replace('_', ' ')}", number) for reason, number in counts.items()]


def _stages(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {stage}" for stage, number in counts.items())


def record_lines(rows: Sequence[Mapping[str, str]], *, width: int = 100) -> list[str]:
    """Return records as wrapped lines; terminal control characters are escaped."""
    indent = " " * 15
    lines: list[str] = []
    for row in rows:
        lines.append("")
        for field in ("instruction", "input", "output"):
            wrapped = [
                part
                for line in visible(row[field] or "(none)").split("\n")
                for part in textwrap.wrap(line, max(20, width - len(indent))) or [""]
            ]
            lines.append(f"  {field:<12} {wrapped[0]}")
            lines += [indent + part for part in wrapped[1:]]
    return lines
