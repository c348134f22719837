"""`selfinstruct refilter`: decide the replies of a run again with other filters."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.cli.page import columns, print_blocks, row
from selfinstruct.cli.terminal import print_json
from selfinstruct.text import counted, one_line, score, unbroken, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.refilter import Refiltered
    from selfinstruct.analysis.refilter.comparison import OnlyThere
    from selfinstruct.runner.directory import Run

_DEFAULT_SHOWN = 3


def refilter(
    directory: DirectoryArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="NEWDIR",
            help="The directory to create; must be new or empty.",
        ),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="Maximum ROUGE-L of a novel candidate to the tasks of the pool.",
            show_default="as in DIR",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Parser and filters: default or paper.",
            show_default="as in DIR",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Tokenizer of ROUGE-L: unicode or rouge.",
            show_default="as in DIR; with --profile, that of the profile",
        ),
    ] = None,
    max_instances: Annotated[
        int | None,
        typer.Option(metavar="N", help="Maximum instances of a task.", show_default="as in DIR"),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of tasks to show that only one of the two runs has.",
            show_default="3; with --json all",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Decide the replies of a run again with other filters, as a new run, without a request.

    Only reads DIR. You can export, explain and verify the new run, but not continue it.

    Example: selfinstruct refilter my-run -o strict --threshold 0.5
    """
    from selfinstruct.analysis.refilter.directory import refilter_run
    from selfinstruct.config.reading import load_settings

    flags = {
        "threshold": threshold,
        "profile": profile,
        "tokenizer": tokenizer,
        "max_instances": max_instances,
    }
    settings = load_settings(
        "", {name: value for name, value in flags.items() if value is not None}
    )
    source, refiltered = refilter_run(directory, output, settings)
    default = None if json_output else _DEFAULT_SHOWN
    number = default if show is None else show
    if json_output:
        print_json(_fields(directory, output, refiltered, number))
    else:
        print_blocks(_Page(directory, output, source, refiltered).blocks(number))


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
    """Both funnels next to each other, remarks, and the tasks that only one run has."""

    def __init__(self, directory: Path, output: Path, source: "Run", new: "Refiltered") -> None:
        self._source = source
        self._new = new
        self._comparison = new.comparison
        self._directory, self._output = (visible(str(p), keep="") for p in (directory, output))

    def blocks(self, number: int | None) -> Iterator[Iterable[str]]:
        yield [f"{self._output}: {self._directory}, decided again{self._how()}"]
        yield self._numbers()
        if remarks := self._remarks():
            yield remarks
        only = {"before": self._comparison.only_before, "after": self._comparison.only_after}
        for side, tasks in only.items():
            if shown := tasks[:number]:
                yield self._only(shown, side, len(tasks))
        command = f"selfinstruct export {shlex.quote(self._output)} -o alpaca_data.json"
        yield [f"To export the new run: {command}"]

    def _how(self) -> str:
        """Return the changed settings and versions."""
        from selfinstruct.cli.summary_lines import changes
        from selfinstruct.runner.manifest import VERSIONS

        origin = self._new.state.source
        assert origin is not None
        changed = changes(origin, self._new.settings, VERSIONS)
        return f": {changed}" if changed else " with the same settings"

    def _numbers(self) -> Iterator[str]:
        comparison, before, after = (
            self._comparison,
            self._comparison.before,
            self._comparison.after,
        )
        yield row("", "before", "  after")
        yield _line("candidates", before.candidates, after.candidates)
        for reason in sorted(
            before.rejected.keys() | after.rejected.keys(),
            key=lambda r: (-max(before.rejected.get(r, 0), after.rejected.get(r, 0)), r),
        ):
            numbers = before.rejected.get(reason, 0), after.rejected.get(reason, 0)
            yield _line(f"  {reason.replace('_', ' ')}", *numbers)
        yield _line("accepted", before.grown, after.grown)
        both = comparison.both - after.imported
        yield _line("  in both", both, both)
        yield _line("  in this one only", len(comparison.only_before), len(comparison.only_after))
        if before.imported:
            yield _line("imported", before.imported, after.imported)
        yield _line("with instances", before.with_instances, after.with_instances)
        yield _line("rows", before.rows, after.rows)

    def _remarks(self) -> list[str]:
        comparison = self._comparison
        remarks = [
            (comparison.after.never_asked, *_NEVER_ASKED),
            (comparison.unused, *_UNUSED),
            (comparison.undecided, *_UNDECIDED),
        ]
        return [
            f"  {counted(number, one, several)} {rest}"
            for number, one, several, rest in remarks
            if number
        ]

    def _only(self, shown: "tuple[OnlyThere, ...]", side: str, total: int) -> Iterator[str]:
        more = f", the first {len(shown):,}" if len(shown) < total else ""
        yield f"Only {side} ({total:,}{more}):"
        for task in shown:
            text = one_line(unbroken(task.instruction), columns() - 15)
            yield f"  {visible(task.task_id, keep='')}  {text}"
            for line in self._why(task, side):
                yield f"      {one_line(line, columns() - 6)}"

    def _why(self, task: "OnlyThere", side: str) -> Iterator[str]:
        from selfinstruct.cli.summary_lines import named

        when = "now" if side == "before" else "then"
        if task.reason is None:
            yield f"{when} no candidate of the reply has this text"
            return
        if task.witness is None:
            yield f"{when} {task.reason}"
            return
        # The run that rejected the candidate has the witness and the threshold.
        rejecting = self._new.state if side == "before" else self._source.state
        like = score(task.witness.rouge_l, rejecting.index.threshold)
        yield f"{when} {task.reason}, ROUGE-L {like} to {task.witness.task_id}:"
        yield unbroken(named(rejecting, task.witness.task_id))


_NEVER_ASKED = (
    "instruction has",
    "instructions have",
    "no instances, because the model was never asked",
)
_UNUSED = ("classification or instance reply", "classification and instance replies", "not used")
_UNDECIDED = ("generation reply", "generation replies", "undecided, as before")


def _line(name: str, before: int, after: int) -> str:
    change = f"{after - before:+,}" if after != before else ""
    return row(name, before, f"{after:>7,}  {change}")
