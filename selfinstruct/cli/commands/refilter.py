"""`selfinstruct refilter`: decide on a run's replies again with other filters."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.cli.output import print_json
from selfinstruct.cli.text_layout import columns, print_blocks, row
from selfinstruct.display import counted, one_line, score, unbroken, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.refilter import Refiltered
    from selfinstruct.analysis.refilter.comparison import Comparison, OnlyThere
    from selfinstruct.pipeline.state import RunState
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
            help="The run directory to create; must be new or empty.",
        ),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="Reject candidates with a ROUGE-L over N to a task in the pool.",
            show_default="as in DIR",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Parser and filters to use: default or paper.",
            show_default="as in DIR",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Tokenizer for ROUGE-L: unicode or rouge.",
            show_default="as in DIR; with --profile, the profile's tokenizer",
        ),
    ] = None,
    max_instances: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Maximum number of instances per task.", show_default="as in DIR"
        ),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="How many tasks to show that only one of the two runs has, for each run.",
            show_default="3; with --json all",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Decide on a run's replies again with other filters. Creates a new run and sends no requests.

    DIR is not changed. You can export, explain and verify the new run, but not continue it.

    Example: selfinstruct refilter my-run -o strict --threshold 0.5
    """
    options = {**locals()}  # first, while the parameters are the only names
    from selfinstruct.analysis.refilter import DECIDING
    from selfinstruct.analysis.refilter.directory import refilter_run
    from selfinstruct.config.reading import load_settings

    given = {name: options[name] for name in DECIDING if options[name] is not None}
    source, refiltered = refilter_run(directory, output, load_settings("", given))
    number = _DEFAULT_SHOWN if show is None and not json_output else show
    if json_output:
        print_json(_fields(directory, output, refiltered, number))
    else:
        print_blocks(_blocks(directory, output, source, refiltered, number))


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


def _blocks(
    directory: Path, output: Path, source: "Run", new: "Refiltered", number: int | None
) -> Iterator[Iterable[str]]:
    """Yield the counts of both runs next to each other, remarks, and tasks that only one run has."""
    name, comparison = visible(str(output), keep=""), new.comparison
    yield [f"{name}: {visible(str(directory), keep='')}, decided again{_how(new)}"]
    yield _numbers(comparison)
    if remarks := list(_remarks(comparison)):
        yield remarks
    if shown := comparison.only_before[:number]:
        yield _only("before", "now", shown, len(comparison.only_before), new.state)
    if shown := comparison.only_after[:number]:
        yield _only("after", "then", shown, len(comparison.only_after), source.state)
    yield [f"To export the new run: selfinstruct export {shlex.quote(name)} -o alpaca_data.json"]


def _how(new: "Refiltered") -> str:
    """Return which settings and versions were changed, as the end of the first line."""
    from selfinstruct.cli.summary_lines import changes
    from selfinstruct.runner.manifest import VERSIONS

    assert new.state.source is not None
    changed = changes(new.state.source, new.settings, VERSIONS)
    return f": {changed}" if changed else " with the same settings"


def _numbers(comparison: "Comparison") -> Iterator[str]:
    before, after = comparison.before, comparison.after
    yield row("", "before", "  after")
    yield _line("candidates", before.candidates, after.candidates)
    larger = Counter(before.rejected) | Counter(after.rejected)
    for reason in sorted(larger, key=lambda reason: (-larger[reason], reason)):
        there, here = before.rejected.get(reason, 0), after.rejected.get(reason, 0)
        yield _line(f"  {reason.replace('_', ' ')}", there, here)
    yield _line("accepted", before.grown, after.grown)
    both = comparison.both - after.imported
    yield _line("  in both", both, both)
    yield _line("  in this one only", len(comparison.only_before), len(comparison.only_after))
    if before.imported:
        yield _line("imported", before.imported, after.imported)
    yield _line("with instances", before.with_instances, after.with_instances)
    yield _line("rows", before.rows, after.rows)


def _remarks(comparison: "Comparison") -> Iterator[str]:
    if never := comparison.after.never_asked:
        have = counted(never, "instruction has", "instructions have")
        yield f"  {have} no instances, because the model was never asked for them"
    if comparison.unused:
        one, several = "classification or instance reply", "classification and instance replies"
        yield f"  {counted(comparison.unused, one, several)} not used"
    if comparison.undecided:
        replies = counted(comparison.undecided, "generation reply", "generation replies")
        yield f"  {replies} undecided, as before"


def _only(
    side: str, when: str, shown: "tuple[OnlyThere, ...]", total: int, rejecting: "RunState"
) -> Iterator[str]:
    """Yield tasks that only one run has, and why the other run, with the state `rejecting`, lacks them."""
    more = f", the first {len(shown):,}" if len(shown) < total else ""
    yield f"Only {side} ({total:,}{more}):"
    for task in shown:
        text = one_line(unbroken(task.instruction), columns() - 15)
        yield f"  {visible(task.task_id, keep='')}  {text}"
        for line in _why(task, when, rejecting):
            yield f"      {one_line(line, columns() - 6)}"


def _why(task: "OnlyThere", when: str, rejecting: "RunState") -> Iterator[str]:
    from selfinstruct.cli.summary_lines import named

    if task.witness is None:
        yield f"{when} {task.reason or 'no candidate in the reply has this text'}"
        return
    like = score(task.witness.rouge_l, rejecting.index.threshold)
    yield f"{when} {task.reason}, ROUGE-L {like} to {task.witness.task_id}:"
    yield unbroken(named(rejecting, task.witness.task_id))


def _line(name: str, before: int, after: int) -> str:
    change = f"{after - before:+,}" if after != before else ""
    return row(name, before, f"{after:>7,}  {change}")
