"""Opens a file of records, by whatever format it has."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfinstruct.dataset.record_files.csv_reading import CsvRecords
from selfinstruct.dataset.record_files.formats import FORMATS, format_of
from selfinstruct.dataset.record_files.json_reading import JsonLines, JsonList, begins_with_lines
from selfinstruct.dataset.record_files.parquet_reading import ParquetRecords
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.source import Source, SourceReader
from selfinstruct.errors import InputError

_READERS: Mapping[str, type[SourceReader]] = {
    "json": JsonList,
    "jsonl": JsonLines,
    "csv": CsvRecords,
    "parquet": ParquetRecords,
}


class RecordReader:
    """Gives the records of a file in order, once. A context manager, which closes the file."""

    def __init__(self, source: Source, format: str) -> None:  # noqa: A002
        self.name = source.name
        """As it was named, or "stdin"."""
        self.format = format
        """One of FORMATS."""
        self.total_bytes = source.total_bytes
        """The size of the file; None where it is not known, as for a pipe."""
        self._records = _READERS[format](source)
        self._running = iter(self._records)

    @property
    def bytes_read(self) -> int:
        """How many of `total_bytes` were read so far."""
        return self._records.bytes_read

    @property
    def layout(self) -> Any:
        """For `write_records(like=…)`: the header of a CSV file, the schema of a Parquet file; else None."""
        return self._records.layout

    def __iter__(self) -> Iterator[Record]:
        """The records that were not given yet. Raises InputError, with the place, for what is no record."""
        return self._running

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_records(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    option: str | None = None,
) -> RecordReader:
    """Open a file of records; "-" is stdin.

    `format` is one of FORMATS; None tells it from the suffix or, where that says nothing, from the first
    characters. Raises InputError for a file that cannot be read, is empty or is of no format known; `option`
    is what it tells a person to give the format with, where there is such an option.
    """
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    source = Source(path, option)
    try:
        if source.is_empty():
            raise InputError(source.name, "is empty; a list without records is []")  # noqa: TRY301
        return RecordReader(source, format or _told_format(source, path))
    except BaseException:
        source.close()
        raise


def _told_format(source: Source, path: Path | str) -> str:
    told = format_of(path)
    if told == "json" and begins_with_lines(source.head):
        return "jsonl"  # many files of JSON lines are named .json
    if told == "jsonl" and source.sniffed() == "json":
        return "json"  # and some lists are named .jsonl
    told = told or source.sniffed()
    if told is None:
        raise InputError(
            source.name,
            "is of no format that can be told from its name or first character; "
            f"{source.as_format(*FORMATS)}",
        )
    return told
