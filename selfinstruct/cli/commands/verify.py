"""`selfinstruct verify`: whether a run's journal follows from its replies."""

import shutil
import textwrap
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption

if TYPE_CHECKING:
    from selfinstruct.analysis.verify import Verification

_SHOWN = 20


def verify(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Plan every prompt and make every decision of a run once more, and compare.

    Nothing is asked and nothing is written. Exit code 0 when all holds, 1 when something differs or the
    journal holds no reply.

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
        typer.echo("\n".join(lines(str(directory), verification, width=width)))
    if verification.is_empty or not verification.holds:
        raise typer.Exit(1)


def lines(directory: str, verification: "Verification", *, width: int = 100) -> list[str]:
    """What was checked, and the first problems."""
    from selfinstruct.text import visible

    v = verification
    if v.is_empty:
        why = "there is nothing to verify: its journal.jsonl is missing or holds no reply"
        return [f"{visible(directory)}: {why}"]
    count = len(v.problems)
    if v.holds:
        verdict = (
            "all that was checked holds"
            if v.not_decided or v.not_planned or v.imported
            else "all of it follows from the replies"
        )
    else:
        verdict = "1 problem" if count == 1 else f"{count:,} problems"
    told = [f"{visible(directory)}: {verdict}"]
    told.append(_line("lines of the journal", v.entries))
    if v.imported:
        told.append(_line("tasks imported", v.imported, "as they came; their order was checked"))
    told.append(_line("prompts planned again", v.prompts))
    detail = f"{v.accepted:,} accepted, {v.rejected:,} rejected, in {v.replies:,} replies"
    detail += "" if v.has_task_stages else "; with their instances"
    told.append(_line("candidates decided again", v.accepted + v.rejected, detail))
    told.append(_line("witnesses scored again", v.witnesses, "by the rouge-score package"))
    if v.has_task_stages:
        told.append(_line("kinds read again", v.answers))
        detail = f"{v.kept:,} kept, {v.left_out:,} rejected, of {v.tasks:,} tasks"
        told.append(_line("instances read again", v.kept + v.left_out, detail))
    for remark in filter(None, (v.not_planned, v.not_decided)):
        told += ["", *_wrapped(visible(remark, keep=""), width, "  ")]
    for problem in v.problems[:_SHOWN]:
        told += ["", f"  line {problem.seq:,}  {visible(problem.what, keep='')}"]
        told += _wrapped(visible(problem.why, keep=""), width, "      ")
    if count > _SHOWN:
        told += ["", f"  and {count - _SHOWN:,} more; --json shows all of them"]
    if count > 1:
        told += ["", "  Begin with the first: what differs early changes what comes after it."]
    return told


def _line(name: str, number: int, detail: str = "") -> str:
    return f"  {name:<26}{number:>9,}  {detail}".rstrip()


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return [indent + part for part in textwrap.wrap(text, max(20, width - len(indent)))]
