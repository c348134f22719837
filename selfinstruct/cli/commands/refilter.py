"""`selfinstruct refilter`: a run's replies, decided again by other filters."""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption

if TYPE_CHECKING:
    from selfinstruct.analysis.refilter import Refiltered
    from selfinstruct.analysis.refilter.comparison import OnlyThere
    from selfinstruct.runner.directory import Run

_USUALLY_SHOWN = 3
_NAME = 24
"""Columns of a number's name, as in the funnel."""


def refilter(
    directory: DirectoryArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="NEWDIR",
            help="The directory to make; it is new or empty.",
            show_default=False,
        ),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="A candidate whose ROUGE-L to any task of the pool is higher is not novel.",
            show_default="as in DIR",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How replies are read and judged: default or paper.",
            show_default="as in DIR",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What ROUGE-L compares: unicode or rouge.",
            show_default="as in DIR; with another profile, its own",
        ),
    ] = None,
    max_instances: Annotated[
        int | None,
        typer.Option(metavar="N", help="Instances kept of a task.", show_default="as in DIR"),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="How many tasks to show of those that are in one of the two only.",
            show_default="3; with --json all",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Decide the replies of a run again with other filters, as a new run; the model is not asked.

    DIR is only read. The new run is exported, explained and verified like any other, but not continued.

    Example: selfinstruct refilter my-run -o strict --threshold 0.5
    """
    from selfinstruct.analysis.refilter.directory import refilter_run
    from selfinstruct.config.reading import load_settings

    given = {
        "threshold": threshold,
        "profile": profile,
        "tokenizer": tokenizer,
        "max_instances": max_instances,
    }
    settings = load_settings(
        "", {name: value for name, value in given.items() if value is not None}
    )
    source, refiltered = refilter_run(directory, output, settings)
    usual = None if json_output else _USUALLY_SHOWN
    number = usual if show is None else show
    if json_output:
        import json

        typer.echo(json.dumps(_fields(directory, output, refiltered, number)))
    else:
        width = min(100, shutil.get_terminal_size().columns)
        page = _Page(directory, output, source, refiltered, width)
        typer.echo("\n".join(page.lines(number)))


def _fields(
    directory: Path, output: Path, refiltered: "Refiltered", number: int | None
) -> dict[str, Any]:
    from dataclasses import asdict

    origin = refiltered.state.source
    assert origin is not None
    comparison = asdict(refiltered.comparison)
    return {
        "directory": str(output),
        "source": str(directory),
        "refiltered_from": asdict(origin),
        "settings": refiltered.settings,
        **comparison,
        "only_before_count": len(comparison["only_before"]),
        "only_after_count": len(comparison["only_after"]),
        "only_before": comparison["only_before"][:number],
        "only_after": comparison["only_after"][:number],
    }


class _Page:
    """The two funnels side by side, and what else a person should know."""

    def __init__(
        self, directory: Path, output: Path, source: "Run", refiltered: "Refiltered", width: int
    ) -> None:
        from selfinstruct.text import visible

        self._source = source
        self._refiltered = refiltered
        self._comparison = refiltered.comparison
        self._width = width
        self._directory, self._output = (visible(str(p), keep="") for p in (directory, output))

    def lines(self, number: int | None) -> list[str]:
        told = [f"{self._output}: {self._directory}, decided again{self._how()}", ""]
        told += self._numbers()
        told += self._remarks()
        told += self._only(self._comparison.only_before, "before", number)
        told += self._only(self._comparison.only_after, "after", number)
        command = f"selfinstruct export {shlex.quote(self._output)} -o alpaca_data.json"
        return [*told, "", f"To export it: {command}"]

    def _how(self) -> str:
        """The settings, and the versions of what decides, that are others now."""
        from selfinstruct.cli.summary_lines import changes
        from selfinstruct.runner.manifest import VERSIONS

        origin = self._refiltered.state.source
        assert origin is not None
        now = self._refiltered.settings
        changed = changes(origin.settings, now)
        changed += changes(origin.versions, VERSIONS, "version of the {}")
        return f": {', '.join(changed)}" if changed else " with the same settings"

    def _numbers(self) -> Iterator[str]:
        before, after = self._comparison.before, self._comparison.after
        yield f"  {'':<{_NAME}}{'before':>9}{'after':>9}"
        yield _line("candidates", before.candidates, after.candidates)
        for reason in sorted(
            before.rejected.keys() | after.rejected.keys(),
            key=lambda r: (-max(before.rejected.get(r, 0), after.rejected.get(r, 0)), r),
        ):
            numbers = before.rejected.get(reason, 0), after.rejected.get(reason, 0)
            yield _line(f"  {reason.replace('_', ' ')}", *numbers)
        yield _line("accepted", before.grown, after.grown)
        only_before, only_after = self._comparison.only_before, self._comparison.only_after
        both = self._comparison.both - after.imported
        yield _line("  in both", both, both)
        yield _line("  in this one only", len(only_before), len(only_after))
        if before.imported:
            yield _line("imported", before.imported, after.imported)
        yield _line("with instances", before.with_instances, after.with_instances)
        yield _line("rows", before.rows, after.rows)

    def _remarks(self) -> list[str]:
        comparison = self._comparison
        never_asked = comparison.after.never_asked
        remarks = [
            (
                never_asked,
                f"{_are(never_asked, 'instruction has', 'instructions have')} {_NO_INSTANCES}",
            ),
            (comparison.unused, f"{_are(comparison.unused, 'reply', 'replies')} {_UNUSED}"),
            (
                comparison.undecided,
                f"{_are(comparison.undecided, 'reply', 'replies')} {_UNDECIDED}",
            ),
        ]
        told = [f"  {remark}" for number, remark in remarks if number]
        return ["", *told] if told else []

    def _only(self, tasks: "tuple[OnlyThere, ...]", side: str, number: int | None) -> Iterator[str]:
        from selfinstruct.text import one_line, visible

        shown = tasks[:number]
        if not shown:
            return
        more = f", the first {len(shown):,}" if len(shown) < len(tasks) else ""
        yield ""
        yield f"Only {side} ({len(tasks):,}{more}):"
        for task in shown:
            text = one_line(_unbroken(task.instruction), self._width - 15)
            yield f"  {visible(task.task_id, keep='')}  {text}"
            yield from (
                f"      {one_line(line, self._width - 6)}" for line in self._why(task, side)
            )

    def _why(self, task: "OnlyThere", side: str) -> Iterator[str]:
        from selfinstruct.cli.summary_lines import named
        from selfinstruct.text import score

        when = "now" if side == "before" else "then"
        if task.reason is None:
            yield f"{when} no candidate of the reply reads so"
            return
        if task.witness is None:
            yield f"{when} {task.reason}"
            return
        # The one that rejected it knows the witness, and by what threshold it is one.
        rejecting = self._refiltered.state if side == "before" else self._source.state
        like = score(task.witness.rouge_l, rejecting.index.threshold)
        yield f"{when} {task.reason}, ROUGE-L {like} to {task.witness.task_id}:"
        yield _unbroken(named(rejecting, task.witness.task_id))


_NO_INSTANCES = "no instances, because the model was never asked"
_UNUSED = "about kinds or instances kept, and of no use here"
_UNDECIDED = "for new instructions kept, and as undecided as before"


def _line(name: str, before: int, after: int) -> str:
    change = f"{after - before:+,}" if after != before else ""
    return f"  {name:<{_NAME}}{before:>9,}{after:>9,}  {change}".rstrip()


def _are(number: int, one: str, several: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {several}"


def _unbroken(text: str) -> str:
    return " ".join(text.split())
