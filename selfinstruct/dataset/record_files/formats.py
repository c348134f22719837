"""File formats and their suffixes."""

from importlib import import_module
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import is_stream

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


def check_format(setting: str, format: str | None) -> None:  # noqa: A002
    """Raise ConfigError for a format that is neither None nor one of FORMATS."""
    if format not in (None, *FORMATS):
        raise ConfigError(setting, f"must be one of {', '.join(FORMATS)}, not {format}")


def known_format(path: Path, option: str) -> str | None:
    """Return the format that the suffix names; None without a suffix, and for pipes and devices.

    Raises InputError for an unknown suffix, such as .xlsx; the message names `option` as a remedy.
    """
    known = format_of(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if known is None and suffix and not is_stream(path):
        problem = (
            f"has the unknown suffix {suffix}; end the name in .json, .jsonl, .ndjson, .csv (also with .gz) "
            f"or .parquet, or give {option}"
        )
        raise InputError(path, problem)
    return known


def package_for(path: Path | str, module: str) -> Any:
    """Return the package of an optional module for a file. Raises InputError if it is not installed."""
    package = module.partition(".")[0]
    try:
        import_module(module)
        return import_module(package)
    except ImportError:
        extra = {"pyarrow": "parquet"}.get(package, package)
        problem = f"needs the package {package}: pip install 'selfinstruct[{extra}]'"
        raise InputError(path, problem) from None


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
