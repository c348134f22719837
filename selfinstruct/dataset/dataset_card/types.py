"""What the card must be told: what the export did, and what only a person can know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file that was exported, or the part of a folder of the package `datasets`."""

    name: str
    """Relative to the card, with "/" between folders; for a folder of `datasets` the folder's name."""
    split: str
    """What the hub calls the part: "train", "validation", "test"."""
    rows: int
    instructions: int
    """Different ones among its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What the export did."""

    format: str
    """What a row looks like: "alpaca", "messages", …; see `data.export.FORMATS`."""
    container: str
    """What kind of file holds them: "json", "jsonl", "csv", "parquet", "datasets"."""
    columns: tuple[str, ...]
    """Names in a row, in order."""
    files: tuple[DataFile, ...]
    options: Mapping[str, str]
    """What shaped it, in words for a person: {"limit": "1000", "split": "0.95/0.05"}."""
    seed_rows: int
    """Rows that are seed tasks'."""
    benchmarks: Mapping[str, int] | None
    """Rows left out for each benchmark that they were compared with, by file; None where there was none."""
    examples: Sequence[Mapping[str, object]] = ()
    """Some rows as they were written, the first ones: two of them are shown. Without any, two of the run's
    are, where all of these are in the data."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Of all columns, as Arrow names them, where a reader that guesses could be wrong; else {}."""

    @property
    def rows(self) -> int:
        """In all files."""
        return sum(file.rows for file in self.files)

    @property
    def instructions(self) -> int:
        """In all files; no instruction is in two of them."""
        return sum(file.instructions for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What nobody but a person knows; None and () where it was not said."""

    license: str | None
    """Of the dataset: an id of the hub's list, or a name, an address, or both."""
    model_terms: str | None
    """What the terms of the generating model say about such a use: a text, an address, or both."""
    languages: tuple[str, ...]
    """ISO 639 codes, such as "en"."""
    source_license: str | None = None
    """Of the seed tasks, templates and imported tasks, where they are the person's own."""
