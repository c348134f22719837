"""Options shared by the commands that read and write lists of records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FileFormat(StrEnum):
    """The format of a list of records."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Lists of records, read in this order: .json, .jsonl, .csv, .parquet, all but the last also "
        "with .gz; - is stdin.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File for the kept records; the suffix chooses the format. - is stdout.",
        show_default=False,
    ),
]
InputFormat = Annotated[
    FileFormat | None,
    typer.Option(
        "--input-format",
        help="Format of every INPUT.",
        show_default="by suffix, or first character",
    ),
]
OutputFormat = Annotated[
    FileFormat | None,
    typer.Option(
        "--output-format",
        help="Format of FILE.",
        show_default="by suffix, or as the first INPUT",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show neither progress nor summary.")]
