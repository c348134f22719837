"""What can be asked of an export: formats, files, parts. Checked before anything is read or written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selfinstruct.dataset.export.row_shapes import TEMPLATES, WITH_SYSTEM
from selfinstruct.dataset.export.selection import NAMES
from selfinstruct.dataset.record_files import format_of
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import is_stream
from selfinstruct.runner.run_files import owning_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A shape of rows, and the kind of file that it usually goes into."""

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
"""All formats, by name."""

CONTAINERS: Final = ("json", "jsonl", "csv", "parquet", "datasets")
"""The kinds of files: a list, a line a row, a table, columns, a folder of the package `datasets`."""

_NESTED: Final = frozenset({"messages", "sharegpt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants of an export. Raises ConfigError for what cannot go together."""

    format: str = "alpaca"
    """One of FORMATS."""
    container: str | None = None
    """One of CONTAINERS; None goes by the name of the file, and else by the format."""
    split: tuple[float, ...] = ()
    """Shares of the instructions: train and test, or train, validation and test; () for one part."""
    shuffle_seed: int | None = None
    """Seed of the order of rows and of what is in which part; None keeps the order, and splits as 0 does."""
    max_instances_per_task: int | None = None
    system: str | None = None
    """A system message before each chat."""
    template: Path | None = None
    """How instruction and input become one text."""
    csv_safe: bool = False
    """Whether what a table program would take for a formula gets an apostrophe before it."""
    kept: tuple[str, ...] = ()
    """Columns that were added to the rows: `alpaca` has them besides its own."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError("format", f"must be one of {', '.join(FORMATS)}, not {self.format}")
        if self.container is not None and self.container not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise ConfigError("container", f"must be one of {known}, not {self.container}")
        if self.split:
            check_shares(self.split)
        shape = FORMATS[self.format].shape
        if self.system is not None and shape not in WITH_SYSTEM:
            raise ConfigError(
                "system",
                f"has no place in the format {self.format}; use messages or sharegpt, or for "
                "prompt-completion a template",
            )
        if any("\ud800" <= char <= "\udfff" for char in self.system or ""):
            raise ConfigError("system", "is not UTF-8 text; write it as such")
        if self.template is not None and shape not in TEMPLATES:
            asked = ", ".join(TEMPLATES)
            raise ConfigError(
                "template", f"has no place in the format {self.format}; it is for {asked}"
            )

    def container_of(self, path: Path | str) -> str:
        """What kind of file `path` becomes. Raises ConfigError where that cannot hold the format.

        Raises InputError where its name says what cannot be written.
        """
        usual = FORMATS[self.format]
        by_name = format_of(path)
        if self.container is None and usual.container != "datasets" and by_name is None:
            _refuse_unknown_suffix(Path(path))
        chosen = self.container or by_name or usual.container
        if usual.shape == "all" and self.container is None:
            # Such a format names a kind of file itself; lines in a file called .json are common.
            chosen = usual.container
            if by_name not in (None, chosen) and {chosen, by_name} != {"json", "jsonl"}:
                problem = f"is {chosen}, and {path} says {by_name}; use one of them"
                raise ConfigError("format", problem)
        if chosen == "csv" and usual.shape in _NESTED:
            raise ConfigError(
                "format", f"{self.format} holds lists, which a CSV file cannot; write .jsonl"
            )
        if self.csv_safe and chosen != "csv":
            raise ConfigError("csv_safe", f"is for CSV, and {path} will be {chosen}; leave it out")
        return chosen

    def names(self, path: Path) -> list[tuple[str, Path]]:
        """The parts and their files: ("train", data.train.json), ("test", data.test.json); or one file.

        Raises ConfigError, InputError for a path that names none.
        """
        if path.name in ("", ".."):
            raise InputError(path, "is no name of what will be written; choose one with -o")
        parts = NAMES[len(self.split) or 1]
        if len(parts) == 1 or self.container_of(path) == "datasets":
            return [(part, path) for part in parts]
        if str(path) == "-":
            raise ConfigError("split", "makes several files, so it needs a name and not -")
        suffix = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:])
        stem = path.name.removesuffix(suffix)
        return [(part, path.with_name(f"{stem}.{part}{suffix}")) for part in parts]


def _refuse_unknown_suffix(path: Path) -> None:
    """A person who types data.xlsx does not want JSON under that name."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix and not is_stream(path) and owning_run(path) is None:
        raise InputError(
            path,
            f"has the suffix {suffix}, which names no kind of file that can be written; end it in .json, "
            ".jsonl, .csv (also with .gz behind it) or .parquet, or give --container",
        )


def read_shares(text: str) -> tuple[float, ...]:
    """Shares as a person writes them: "0.95/0.05" or "90/5/5". Raises ConfigError."""
    try:
        shares = tuple(float(share) for share in text.split("/"))
    except ValueError:
        raise ConfigError("split", f"must be shares such as 0.95/0.05, not {text!r}") from None
    if math.isclose(sum(shares), 100):
        shares = tuple(share / 100 for share in shares)
    check_shares(shares)
    return shares


def check_shares(shares: Sequence[float]) -> None:
    """Raises ConfigError for shares that are none."""
    if len(shares) not in NAMES or len(shares) == 1:
        problem = "must be two shares (train/test) or three (train/validation/test)"
        raise ConfigError("split", f"{problem}, such as 0.95/0.05")
    if not all(share > 0 for share in shares):
        raise ConfigError("split", "must be shares over 0, such as 0.95/0.05")
    if not math.isclose(sum(shares), 1):
        shown = "/".join(f"{share:g}" for share in shares)
        raise ConfigError(
            "split", f"must be shares that add up to 1, such as 0.95/0.05, not {shown}"
        )
