"""`selfinstruct verify`: check that a run's journal follows from its replies."""

import shutil
import textwrap
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.text import counted, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.verify import Verification

_SHOWN = 20
"""Problems shown without --json."""


def verify(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Plan every prompt and make every decision of a run again, and compare.

    Sends nothing and writes nothing. Exits with 0 if everything matches, with 1 if something differs or the
    journal has no reply.

    Example: selfinstruct verify my-run
    """
    from selfinstruct.analysis.verify import verify as check
    from selfinstruct.runner.directory import read_history

    verification = check(*read_history(directory))
    if json_output:
        import json
        from dataclasses import asdict

        is_empty = verification.is_empty
        fields = {
            "directory": str(directory),
            "holds": verification.holds and not is_empty,
            "nothing_to_verify": is_empty,
        }
        typer.echo(json.dumps(fields | asdict(verification)))
    else:
        width = min(100, shutil.get_terminal_size().columns)
        typer.echo("\n".join(_lines(str(directory), verification, width)))
    if verification.is_empty or not verification.holds:
        raise typer.Exit(1)


def _lines(directory: str, v: "Verification", width: int) -> list[str]:
    """Return the counts of what was checked, and the first problems."""
    if v.is_empty:
        why = "there is nothing to verify: its journal.jsonl is missing or has no reply"
        return [f"{visible(directory)}: {why}"]
    result = "everything follows from the replies"
    if not v.holds:
        result = counted(len(v.problems), "problem")
    elif v.not_decided or v.not_planned or v.imported:
        result = "everything that was checked is correct"
    candidates = f"{v.accepted:,} accepted, {v.rejected:,} rejected, in {v.replies:,} replies"
    candidates += "" if v.has_task_stages else "; with their instances"
    instances = f"{v.kept:,} kept, {v.left_out:,} rejected, of {v.tasks:,} tasks"
    lines = [f"{visible(directory)}: {result}", _line("lines of the journal", v.entries)]
    if v.imported:
        lines.append(_line("tasks imported", v.imported, "only their order was checked"))
    lines += [
        _line("prompts planned again", v.prompts),
        _line("candidates decided again", v.accepted + v.rejected, candidates),
        _line("witnesses scored again", v.witnesses, "by the rouge-score package"),
    ]
    if v.has_task_stages:
        lines.append(_line("answers parsed again", v.answers))
        lines.append(_line("instances parsed again", v.kept + v.left_out, instances))
    for remark in filter(None, (v.not_planned, v.not_decided)):
        lines += ["", *_wrapped(visible(remark, keep=""), width, "  ")]
    for problem in v.problems[:_SHOWN]:
        lines += ["", f"  line {problem.seq:,}  {visible(problem.what, keep='')}"]
        lines += _wrapped(visible(problem.why, keep=""), width, "      ")
    if len(v.problems) > _SHOWN:
        lines += ["", f"  {len(v.problems) - _SHOWN:,} more; --json shows all of them"]
    if len(v.problems) > 1:
        lines += ["", "  Start with the first problem: it can cause the later ones."]
    return lines


def _line(name: str, number: int, detail: str = "") -> str:
    return f"  {name:<26}{number:>9,}  {detail}".rstrip()


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return [indent + part for part in textwrap.wrap(text, max(20, width - len(indent)))]
