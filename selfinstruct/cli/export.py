"""`selfinstruct export`: a run's dataset as a file."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli.options import DirectoryArgument

if TYPE_CHECKING:
    from selfinstruct.export import Added
    from selfinstruct.records import Task
    from selfinstruct.state import RunState


_AT_ONCE = 500
"""Tasks that are compared with benchmarks together: fast, and still little memory."""


class Format(StrEnum):
    """What a file can look like."""

    ALPACA = "alpaca"
    JSONL = "jsonl"


def export(
    directory: DirectoryArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write; - is stdout.",
            show_default=False,
        ),
    ],
    format: Annotated[  # noqa: A002
        Format,
        typer.Option(
            "--format",
            "-f",
            help="alpaca: a JSON list of instruction, input, output. "
            "jsonl: a line a row, with ids and provenance.",
        ),
    ] = Format.ALPACA,
    include_seed_tasks: Annotated[
        bool, typer.Option("--include-seed-tasks", help="Put the seed tasks first.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Accepted instructions to export, the first ones.", show_default="all"
        ),
    ] = None,
    similarities: Annotated[
        bool,
        typer.Option(
            "--similarities",
            help="Add how like the tasks before it each task is, as the published data has it: "
            "most_similar_instructions (10, with their ROUGE-L) and avg_similarity_score.",
        ),
    ] = False,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(
            "--decontaminate",
            metavar="BENCHMARK",
            help="Leave out rows that hold what this benchmark asks, as selfinstruct decontaminate tells "
            "it. May be given again.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a run's dataset to a file, whole or not at all.

    Example: selfinstruct export my-run -o alpaca_data.json
    """
    from selfinstruct.cli.terminal import say
    from selfinstruct.export import FORMATS, select, write_export
    from selfinstruct.generate import is_complete
    from selfinstruct.run_directory import read_run
    from selfinstruct.summary import summarize

    run = read_run(directory)
    tasks = select(run.state.pool, include_seed_tasks=include_seed_tasks, limit=limit)
    dropped, told = _contaminated(tasks, decontaminate) if decontaminate else (set[str](), [])
    added = _similarities(run.state, tasks) if similarities else None
    write_export(output, FORMATS[format.value](tasks, without=dropped, added=added))
    rows = sum(len(task.instances or ()) for task in tasks) - len(dropped)
    say(*told, f"wrote {rows:,} rows to {'stdout' if str(output) == '-' else output}")
    never_asked = summarize(run.state).never_asked
    if never_asked:
        say(
            f"of the run's {run.state.accepted:,} instructions {never_asked:,} have no instances, because "
            "the model was never asked"
        )
    if run.state.source is None and not is_complete(run):
        say(
            f"{directory} is not complete yet: {run.state.accepted:,} of "
            f"{run.config.num_instructions:,} instructions, "
            f"{run.state.counts.finished_tasks:,} of them with their instances asked for"
        )


def _similarities(state: "RunState", tasks: "Sequence[Task]") -> "Added":
    """The fields of each task: compared with the pool as it was when the task was accepted."""
    import os

    from selfinstruct.cli.bar import bar

    texts = state.index.texts
    place = {task.id: position for position, task in enumerate(state.pool)}
    wanted = [task.id for task in tasks if task.instances]
    found = state.index.similarities(
        [place[task_id] for task_id in wanted], workers=os.cpu_count() or 1
    )
    added = {}
    with bar() as show:
        for number, (task_id, similarities) in enumerate(zip(wanted, found, strict=True), start=1):
            added[task_id] = similarities.as_fields(texts)
            show(number / len(wanted), f"{number:,} of {len(wanted):,} similarities")
    return added


def _contaminated(tasks: "Sequence[Task]", files: list[str]) -> tuple[set[str], list[str]]:
    """The ids of rows that hold what these benchmarks ask, and what to say about it."""
    from selfinstruct.cli.bar import bar
    from selfinstruct.cli.benchmark_files import Benchmarks, Rules
    from selfinstruct.contamination import texts_of
    from selfinstruct.export import alpaca_rows, provenance_rows

    dropped = set()
    with bar() as show:
        benchmarks = Benchmarks(list(dict.fromkeys(files)), Rules(), show)
        for start in range(0, len(tasks), _AT_ONCE):
            some = tasks[start : start + _AT_ONCE]
            found = benchmarks.index.check([list(texts_of(row)) for row in alpaca_rows(some)])
            for row, hits in zip(provenance_rows(some), found, strict=True):
                benchmarks.count(hits)
                if hits:
                    dropped.add(row["id"])
            show(start / len(tasks), f"{start:,} of {len(tasks):,} compared with benchmarks")
    left_out = f"left out, since they hold what a benchmark asks: {len(dropped):,} rows"
    return dropped, [*benchmarks.table(Rules().ngram), "", left_out]
