"""`selfinstruct export`: a run's dataset as a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli.options import DirectoryArgument


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
) -> None:
    """Write a run's dataset to a file, whole or not at all.

    Example: selfinstruct export my-run -o alpaca_data.json
    """
    from selfinstruct.cli.terminal import say
    from selfinstruct.export import FORMATS, select, write_export
    from selfinstruct.generate import is_complete
    from selfinstruct.run_directory import read_run

    run = read_run(directory)
    tasks = select(run.state.pool, include_seed_tasks=include_seed_tasks, limit=limit)
    write_export(output, FORMATS[format.value](tasks))
    rows = sum(len(task.instances or ()) for task in tasks)
    say(f"wrote {rows:,} rows to {'stdout' if str(output) == '-' else output}")
    if not is_complete(run):
        say(
            f"{directory} is not complete yet: {run.state.accepted:,} of "
            f"{run.config.num_instructions:,} instructions, "
            f"{run.state.counts.finished_tasks:,} of them with their instances asked for"
        )
