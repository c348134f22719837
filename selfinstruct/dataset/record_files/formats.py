"""Record file formats and their suffixes."""

from importlib import import_module
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import is_stream

FORMATS = ("json", "jsonl", "csv", "parquet")
"""All formats that can be read and written."""

STANDARD = "-"
"""The file name that means stdin or stdout."""

_BY_SUFFIX = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def format_of(path: Path | str) -> str | None:
    """Return the format for the file's suffix; None for "-" and for unknown suffixes."""
    name = Path(path).name.lower().removesuffix(".gz")
    return _BY_SUFFIX.get(Path(name).suffix)


def check_format(setting: str, format: str | None) -> None:  # noqa: A002
    """Raise ConfigError for a format that is neither None nor one of FORMATS."""
    if format not in (None, *FORMATS):
        raise ConfigError(setting, f"must be one of {', '.join(FORMATS)}, not {format}")


def known_format(path: Path, option: str) -> str | None:
    """Return the format for the file's suffix; None for files without a suffix, pipes and devices.

    Raises InputError for an unknown suffix, such as .xlsx. The message suggests `option`.
    """
    known = format_of(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if known is None and suffix and not is_stream(path):
        problem = (
            f"has the unknown suffix {suffix}; end its name in .json, .jsonl, .ndjson, .csv (also with "
            f".gz) or .parquet, or specify {option}"
        )
        raise InputError(path, problem)
    return known


def package_for(path: Path | str, module: str) -> Any:
    """Import an optional module and return its package. Raises InputError about `path` if not installed."""
    package = module.partition(".")[0]
    try:
        import_module(module)
        return import_module(package)
    except ImportError:
        extra = {"pyarrow": "parquet"}.get(package, package)
        problem = f"needs the package {package}: pip install 'selfinstruct[{extra}]'"
        raise InputError(path, problem) from None


def shortened(name: str) -> str:
    """Return `name` in quotes, shortened to 40 characters."""
    return repr(name if len(name) <= 40 else name[:39] + "…")


def separator_remark(header: str) -> str:
    """Return a remark if the header of a one-column file contains semicolons or tabs; otherwise ""."""
    for character, word in ((";", "semicolons"), ("\t", "tabs")):
        if character in header:
            return f"the columns seem to be separated by {word}; save the file with commas"
    return ""
