"""Export formats and options. All options are checked before any file is read or written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selfinstruct.dataset.export.row_shapes import CHATS, TEMPLATES
from selfinstruct.dataset.export.splitting import NAMES
from selfinstruct.dataset.record_files import format_of
from selfinstruct.dataset.record_files.formats import known_format
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.runner.run_file_names import owning_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """An export format, defined by the shape of its rows and its default file format."""

    shape: str
    container: str


FORMATS: Final[Mapping[str, Format]] = {
    "alpaca": Format(shape="alpaca", container="json"),
    "jsonl": Format(shape="all", container="jsonl"),
    "prompt-completion": Format(shape="prompt-completion", container="jsonl"),
    "messages": Format(shape="messages", container="jsonl"),
    "sharegpt": Format(shape="sharegpt", container="json"),
    "csv": Format(shape="all", container="csv"),
    "parquet": Format(shape="all", container="parquet"),
    "datasets": Format(shape="all", container="datasets"),
}
"""All export formats by name."""

CONTAINERS: Final = ("json", "jsonl", "csv", "parquet", "datasets")
"""All file formats. "datasets" is a directory for the package `datasets`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """One export's options. Raises ConfigError if options are invalid or cannot be combined."""

    format: str = "alpaca"
    """The export format; one of FORMATS."""
    container: str | None = None
    """The file format; one of CONTAINERS. If None, the file's suffix or else `format` determines it."""
    split: str | Sequence[float] = ()
    """Shares of train and test, or of train, validation and test, such as "0.95/0.05"; () for one part."""
    shuffle_seed: int | None = None
    """The seed for shuffling and splitting. If None, rows are not shuffled, and the split uses the seed 0."""
    system: str | None = None
    """The system message that each chat begins with; None for no system message."""
    template: Path | str | None = None
    """The path of the template that joins instruction and input; None for the default template."""
    csv_safe: bool = False
    """True if possible formulas get an apostrophe; see `csv_injection`."""
    similarities: bool = False
    """True if to write the columns SIMILARITIES too."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError("format", f"must be one of {', '.join(FORMATS)}, not {self.format}")
        if self.container is not None and self.container not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise ConfigError("container", f"must be one of {known}, not {self.container}")
        if self.shares:
            check_shares(self.shares)
        shape = FORMATS[self.format].shape
        if self.system is not None and shape not in CHATS:
            raise ConfigError(
                "system",
                f"does not fit the format {self.format}; use messages or sharegpt, or a template for "
                "prompt-completion",
            )
        if any("\ud800" <= char <= "\udfff" for char in self.system or ""):
            raise ConfigError("system", "is not UTF-8 text; type it in UTF-8")
        if self.template is not None and shape not in TEMPLATES:
            known = ", ".join(TEMPLATES)
            raise ConfigError("template", f"does not fit the format {self.format}; use {known}")
        if self.similarities and shape not in ("alpaca", "all"):
            problem = f"do not fit the format {self.format}; use alpaca, jsonl, csv or parquet"
            raise ConfigError("similarities", problem)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each part's share of the instructions; () for one part."""
        return read_shares(self.split) if isinstance(self.split, str) else tuple(self.split)

    def container_of(self, path: Path | str) -> str:
        """Return the file format to use for `path`.

        Raises ConfigError if the file format does not fit the options, and InputError if the suffix is
        unknown.
        """
        usual = FORMATS[self.format]
        by_name = format_of(path)
        is_file = self.container is None and usual.container != "datasets"
        if is_file and owning_run(Path(path)) is None:
            known_format(Path(path), "--container")
        chosen = self.container or by_name or usual.container
        if usual.shape == "all" and self.container is None:
            # This export format is itself a file format. JSON lines in a .json file are common.
            chosen = usual.container
            if by_name not in (None, chosen) and {chosen, by_name} != {"json", "jsonl"}:
                problem = (
                    f"is {chosen}, but {path} ends in .{by_name}; use the same format for both"
                )
                raise ConfigError("format", problem)
        if chosen == "csv" and usual.shape in CHATS:
            raise ConfigError(
                "format", f"{self.format} contains lists, which CSV cannot store; write .jsonl"
            )
        if self.csv_safe and chosen != "csv":
            raise ConfigError("csv_safe", f"is for CSV, but {path} will be {chosen}; leave it out")
        return chosen

    def names(self, path: Path) -> list[tuple[str, Path]]:
        """Return each part's name and file, such as ("train", data.train.json).

        Without a split, the only part's file is `path`. Raises ConfigError if the options do not fit `path`,
        and InputError if `path` has no file name.
        """
        if path.name in ("", ".."):
            raise InputError(path, "is not a file name; choose one with -o")
        parts = NAMES[len(self.shares) or 1]
        if len(parts) == 1 or self.container_of(path) == "datasets":
            return [(part, path) for part in parts]
        if str(path) == "-":
            raise ConfigError("split", "writes several files; use a file name instead of -")
        suffix = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:])
        stem = path.name.removesuffix(suffix)
        return [(part, path.with_name(f"{stem}.{part}{suffix}")) for part in parts]


def read_shares(text: str) -> tuple[float, ...]:
    """Parse split shares such as "0.95/0.05" or "90/5/5". Raises ConfigError if they are invalid."""
    try:
        shares = tuple(float(share) for share in text.split("/"))
    except ValueError:
        raise ConfigError("split", f"must be shares such as 0.95/0.05, not {text!r}") from None
    if math.isclose(sum(shares), 100):
        shares = tuple(share / 100 for share in shares)
    check_shares(shares)
    return shares


def check_shares(shares: Sequence[float]) -> None:
    """Raise ConfigError unless `shares` are two or three positive numbers that add up to 1."""
    if len(shares) not in (2, 3):
        needed = "two shares (train/test) or three (train/validation/test)"
    elif not all(share > 0 for share in shares):
        needed = "positive shares"
    elif not math.isclose(sum(shares), 1):
        needed = "shares that add up to 1"
    else:
        return
    given = "/".join(f"{share:g}" for share in shares)
    raise ConfigError("split", f"must be {needed}, such as 0.95/0.05, not {given}")
