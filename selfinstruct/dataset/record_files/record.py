"""One record of a file: what is in it, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from selfinstruct.errors import InputError


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read."""

    fields: Mapping[str, Any]
    """What is in it, parsed."""
    source: str
    """The file it comes from, as it was named; "stdin" for that."""
    number: int
    """Its place among the records of the file, from 1."""
    line: int | None = None
    """The line on which it begins, in files that have lines."""
    raw: Any = field(default=None, repr=False, compare=False)
    """For the writers of this package: the text of a JSON object, or the row of a Parquet batch."""
    size: int = field(default=0, repr=False, compare=False)
    """About how many bytes it takes, for who keeps several at once."""
    is_listed: bool = field(default=False, repr=False)
    """Whether it stands in a JSON list, where one line may hold all records."""

    @property
    def place(self) -> str:
        """Where it stands, for a person.

        "data.jsonl:17" is a line, "data.json:17 (record 4)" a line of a JSON list and the record of the list
        that begins there, "data.parquet: row 17" a row.
        """
        if self.line is not None:
            which = f" (record {self.number})" if self.is_listed else ""
            return f"{self.source}:{self.line}{which}"
        return f"{self.source}: row {self.number}"

    def fault(self, problem: str) -> InputError:
        """An error that names its place."""
        if self.line is not None:
            which = f"record {self.number}: " if self.is_listed else ""
            return InputError(self.source, which + problem, line=self.line)
        return InputError(self.source, f"row {self.number}: {problem}")
