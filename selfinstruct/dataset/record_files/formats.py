"""File formats and their suffixes."""

from pathlib import Path

FORMATS = ("json", "jsonl", "csv", "parquet")
"""The formats that can be read and written."""

STANDARD = "-"
"""The name for stdin or stdout."""

_BY_SUFFIX = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def format_of(path: Path | str) -> str | None:
    """Return the format that the suffix names; None for "-" and for unknown suffixes."""
    name = Path(path).name.lower().removesuffix(".gz")
    return _BY_SUFFIX.get(Path(name).suffix)


def is_gzipped(path: Path | str) -> bool:
    """Return whether the name ends in .gz."""
    return Path(path).suffix.lower() == ".gz"


def shortened(name: str) -> str:
    """Return a name in quotes, cut after 40 characters."""
    return repr(name if len(name) <= 40 else name[:39] + "…")


def separator_remark(header: str) -> str:
    """Return a remark if the only column name contains another separator than a comma, or ""."""
    for character, word in ((";", "semicolons"), ("\t", "tabs")):
        if character in header:
            return f"the columns seem to be separated by {word}; save the file with commas"
    return ""
