"""`selfinstruct verify`: check that every decision in a run's journal follows from the replies."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.cli.output import print_json
from selfinstruct.cli.text_layout import print_blocks, row, wrapped
from selfinstruct.display import counted, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.verify import Verification

_SHOWN = 20
"""Number of problems shown without --json."""


def verify(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Plan a run's prompts and make its decisions again, and compare them with the journal.

    Sends no requests and writes no files. Exits with 0 if everything matches, and with 1 if there is a
    difference or nothing to verify.

    Example: selfinstruct verify my-run
    """
    from dataclasses import asdict

    from selfinstruct.analysis.verify import verify as check
    from selfinstruct.runner.directory import read_history

    verification = check(*read_history(directory))
    is_empty = verification.is_empty
    holds = verification.holds and not is_empty
    if json_output:
        fields = {"directory": str(directory), "holds": holds, "nothing_to_verify": is_empty}
        print_json(fields | asdict(verification))
    else:
        print_blocks(_blocks(str(directory), verification))
    if not holds:
        raise typer.Exit(1)


def _blocks(directory: str, v: "Verification") -> Iterator[Iterable[str]]:
    """Yield the counts of checked items, and the first problems."""
    if v.is_empty:
        why = "there is nothing to verify: its journal.jsonl is missing or contains no replies"
        yield [f"{visible(directory)}: {why}"]
        return
    result = "every decision follows from the replies"
    if not v.holds:
        result = counted(len(v.problems), "problem")
    elif v.not_decided or v.not_planned or v.imported:
        result = "everything that was checked is correct"
    yield [f"{visible(directory)}: {result}", *_counts(v)]
    for remark in filter(None, (v.not_planned, v.not_decided)):
        yield wrapped(remark, indent=2)
    for problem in v.problems[:_SHOWN]:
        what = visible(problem.what, keep="")
        yield [f"  line {problem.seq:,}  {what}", *wrapped(problem.why, indent=6)]
    if len(v.problems) > _SHOWN:
        yield [f"  {len(v.problems) - _SHOWN:,} more; --json shows all of them"]
    if len(v.problems) > 1:
        yield ["  Start with the first problem: it can cause the later ones."]


def _counts(v: "Verification") -> Iterator[str]:
    candidates = f"{v.accepted:,} accepted, {v.rejected:,} rejected, in {v.replies:,} replies"
    candidates += "" if v.has_task_stages else "; with their instances"
    yield row("journal lines", v.entries)
    if v.imported:
        yield row("tasks imported", v.imported, "only their order was checked")
    yield row("prompts planned again", v.prompts)
    yield row("candidates decided again", v.accepted + v.rejected, candidates)
    yield row("witness scores recomputed", v.witnesses, "with the rouge-score package")
    if v.has_task_stages:
        instances = f"{v.kept:,} kept, {v.left_out:,} rejected, in {v.tasks:,} tasks"
        yield row("answers parsed again", v.answers)
        yield row("instances parsed again", v.kept + v.left_out, instances)
