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
    from selfinstruct.api import export_run
    from selfinstruct.cli.funnel import say

    rows = export_run(
        directory, output, format=format.value, include_seed_tasks=include_seed_tasks, limit=limit
    )
    say(f"wrote {rows:,} rows to {'stdout' if str(output) == '-' else output}")
