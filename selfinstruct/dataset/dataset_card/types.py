"""The input of a card: the export, and its legal terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfinstruct.dataset.export.writing import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An export."""

    format: str
    """The shape of a row; see `dataset.export.FORMATS`."""
    container: str
    """The file format; see `dataset.export.CONTAINERS`."""
    columns: tuple[str, ...]
    """The column names in order."""
    files: tuple[Part, ...]
    options: Mapping[str, str]
    """The options that shaped the export: {"limit": "1000", "split": "0.95/0.05"}."""
    benchmarks: Mapping[str, int] | None
    """Rows left out, by benchmark file; None without any comparison."""
    examples: Sequence[Mapping[str, object]] = ()
    """The first rows of the export, of which two are shown."""

    @property
    def seed_rows(self) -> int:
        """Rows of seed tasks in all files."""
        return sum(file.seed_rows for file in self.files)

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def instructions(self) -> int:
        """Instructions in all files; the files share none."""
        return sum(file.instructions for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The legal terms and the languages; None and () if missing."""

    license: str | None
    """The licence of the dataset: an id of the hub, or a name, an address, or both."""
    model_terms: str | None
    """The terms of the generating model for such a use: a text, an address, or both."""
    languages: tuple[str, ...]
    """The languages of the data as ISO 639 codes, such as "en"."""
    source_license: str | None = None
    """The licence of seed tasks, templates and imported tasks from other sources."""
