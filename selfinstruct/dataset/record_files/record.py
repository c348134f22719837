"""One record of a file, and its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.errors import InputError


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read."""

    fields: Mapping[str, Any]
    """The values by field name."""
    source: str
    """The file name as given, or "stdin"."""
    number: int
    """The position among the records of the file, from 1."""
    line: int | None = None
    """The first line of the record; None in a JSON list and in Parquet."""

    @property
    def place(self) -> str:
        """Source and position: "data.jsonl:17" (a line), or "data.parquet: record 17"."""
        if self.line is not None:
            return f"{self.source}:{self.line}"
        return f"{self.source}: record {self.number}"

    def fault(self, problem: str) -> InputError:
        """Return an error that names the place of the record."""
        if self.line is not None:
            return InputError(self.source, problem, line=self.line)
        return InputError(self.source, f"record {self.number}: {problem}")
