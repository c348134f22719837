"""Options of the commands that read and write lists of records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FileFormat(StrEnum):
    """What a list of records can look like."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Lists of records, one behind the other: .json, .jsonl, .csv, .parquet, the first three "
        "also with .gz; - is stdin.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="The file for what is kept; its suffix says the format. - is stdout.",
        show_default=False,
    ),
]
InputFormat = Annotated[
    FileFormat | None,
    typer.Option(
        "--input-format",
        help="How each INPUT is read.",
        show_default="by suffix, or first character",
    ),
]
OutputFormat = Annotated[
    FileFormat | None,
    typer.Option(
        "--output-format",
        help="How FILE is written.",
        show_default="by suffix, or as the first INPUT",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")]
