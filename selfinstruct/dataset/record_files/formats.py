"""What the name of a file says about its format."""

from pathlib import Path

FORMATS = ("json", "jsonl", "csv", "parquet")
"""All that can be read and written."""

STANDARD = "-"
"""Stands for stdin or stdout."""

_BY_SUFFIX = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def format_of(path: Path | str) -> str | None:
    """The format that the suffix names; None for "-" and for other suffixes."""
    name = Path(path).name.lower().removesuffix(".gz")
    return _BY_SUFFIX.get(Path(name).suffix)


def is_gzipped(path: Path | str) -> bool:
    """Whether the name says that the file is compressed."""
    return Path(path).suffix.lower() == ".gz"
