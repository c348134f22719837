"""What a card describes besides the run: the export and its legal terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfinstruct.dataset.export.writing import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Facts about an export."""

    format: str
    """The row format; one of `dataset.export.FORMATS`."""
    container: str
    """The file format; one of `dataset.export.CONTAINERS`."""
    columns: tuple[str, ...]
    """The names of the exported columns, in order."""
    files: tuple[Part, ...]
    options: Mapping[str, str]
    """The options that affected the export, such as {"limit": "1000", "split": "0.95/0.05"}."""
    benchmarks: Mapping[str, int] | None
    """Number of omitted rows by benchmark file; None if rows were not compared with benchmarks."""
    examples: Sequence[Mapping[str, object]] = ()
    """The export's first rows. The card shows two of them."""

    @property
    def seed_rows(self) -> int:
        """Number of rows from seed tasks in all files."""
        return sum(file.seed_rows for file in self.files)

    @property
    def rows(self) -> int:
        """Number of rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def instructions(self) -> int:
        """Number of instructions in all files. No instruction is in two files."""
        return sum(file.instructions for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The dataset's legal terms and languages. Missing values are None or ()."""

    license: str | None
    """The dataset's licence: one of the Hub's licence ids, a name, an address, or a name and an address."""
    model_terms: str | None
    """The generating model's terms for using and sharing its output: a text, an address, or both."""
    languages: tuple[str, ...]
    """The data's languages as ISO 639 codes, such as "en"."""
    source_license: str | None = None
    """The licence of seed tasks, templates and imported tasks that did not come with selfinstruct."""
