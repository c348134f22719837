"""How a run's numbers look on a terminal: the funnel, a few records."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfinstruct.cli.terminal import visible
from selfinstruct.records import Reason
from selfinstruct.summary import RunSummary


def funnel_lines(summary: RunSummary) -> list[str]:
    """The funnel, a line a step: requests → candidates → rejected by reason → accepted → with instances."""
    lines = [_line("requests", sum(summary.requests.values()), _stages(summary.requests))]
    if refused := sum(summary.failed.values()):
        lines.append(_line("  without a reply", refused, _stages(summary.failed)))
    replies = "1 reply" if summary.commits == 1 else f"{summary.commits:,} replies"
    lines.append(_line("candidates", summary.candidates, f"in {replies}"))
    lines += _reasons(summary.rejected)
    share = summary.accepted / summary.candidates if summary.candidates else 0
    lines.append(_line("accepted", summary.accepted, f"{share:.0%} of the candidates"))
    lines.append(_line("with instances", summary.with_instances, f"{summary.rows:,} rows"))
    if summary.unclear_kinds:
        lines.append(_line("  kind unclear", summary.unclear_kinds, "written input-first"))
    if summary.open:
        lines.append(_line("  still open", summary.open, "kind or instances not asked for yet"))
    if summary.instances_rejected:
        lines.append(_line("instances rejected", sum(summary.instances_rejected.values())))
        lines += _reasons(summary.instances_rejected)
    tokens = summary.prompt_tokens + summary.completion_tokens
    detail = f"{summary.prompt_tokens:,} in prompts, {summary.completion_tokens:,} in replies"
    return [*lines, _line("tokens", tokens, detail)]


def _line(name: str, number: int, detail: str = "") -> str:
    return f"  {name:<24}{number:>9,}  {detail}".rstrip()


def _reasons(counts: Mapping[Reason, int]) -> Iterable[str]:
    return [_line(f"  {reason.replace('_', ' ')}", number) for reason, number in counts.items()]


def _stages(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {stage}" for stage, number in counts.items())


def record_lines(rows: Sequence[Mapping[str, str]], *, width: int = 100) -> list[str]:
    """Records as a person reads them, wrapped; what could drive the terminal is written out."""
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
