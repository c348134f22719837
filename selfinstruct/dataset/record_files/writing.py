"""Writes records to a file in any supported format, completely or not at all."""

import codecs
import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfinstruct.dataset.record_files.formats import format_of
from selfinstruct.dataset.record_files.sink import Sink
from selfinstruct.dataset.record_files.source import Record, RecordReader
from selfinstruct.dataset.record_files.values import as_text, dumps, encodable
from selfinstruct.errors import InputError

_INDENT = 4


class RecordWriter(ABC):
    """Writes records one by one."""

    def __init__(self, sink: Sink) -> None:
        """Create a writer for an open sink."""
        self.sink = sink
        self._is_complete = False
        self.count = 0
        """Number of records written so far."""

    def write(self, record: Record, added: Mapping[str, Any] | None = None) -> None:
        """Write a record. The fields in `added` are added to it, or replace its fields of the same names.

        Raises ExportError if the format cannot store the record or if writing fails.
        """
        with self.sink.faults():
            self._write(record, added or {})
        self.count += 1

    def complete(self) -> None:
        """Write everything to the disk, so the file only needs to be renamed.

        If several files belong together, call this for each of them before the first block ends. Otherwise,
        the end of the `write_records` block calls it.
        """
        if not self._is_complete:
            with self.sink.faults():
                self._end()
            self.sink.complete()
        self._is_complete = True

    @abstractmethod
    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record, or keep it in memory until `_end`."""

    @abstractmethod
    def _end(self) -> None:
        """Write whatever has not been written yet."""


class JsonLinesWriter(RecordWriter):
    """Writes each record as an object on its own line."""

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        self.sink.stream.write(dumps({**record.fields, **added}).encode() + b"\n")

    def _end(self) -> None:
        """Do nothing, because every record has already been written."""


class JsonListWriter(RecordWriter):
    """Writes a list of indented objects."""

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        margin = "\n" + " " * _INDENT
        text = dumps({**record.fields, **added}, indent=_INDENT).replace("\n", margin)
        opening = "," if self.count else "["
        self.sink.stream.write(f"{opening}{margin}{text}".encode())

    def _end(self) -> None:
        self.sink.stream.write(b"\n]\n" if self.count else b"[]\n")


class CsvWriter(RecordWriter):
    """Writes a table. Rows are kept in memory until the end, because any record may add a column."""

    def __init__(self, sink: Sink, *, layout: Any, is_marked: bool) -> None:
        """Create a writer that writes the columns in `layout` first.

        If `is_marked` is true, the file begins with a byte order mark.
        """
        super().__init__(sink)
        self._is_marked = is_marked
        self._header: dict[str, None] = dict.fromkeys(layout or ())
        self._rows: list[dict[str, str]] = []

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        row = {name: as_text(value) for name, value in {**record.fields, **added}.items()}
        self._header.update(dict.fromkeys(row))
        self._rows.append(row)

    def _end(self) -> None:
        stream = self.sink.stream
        if self._is_marked:
            stream.write(codecs.BOM_UTF8)
        if self._header:
            stream.write(_line(encodable(name) for name in self._header))
        for row in self._rows:
            stream.write(_line(row.get(name, "") for name in self._header))


def _line(cells: Iterator[str]) -> bytes:
    buffer = io.StringIO(newline="")
    # The csv module quotes cells that contain a character of the line terminator, so CRLF makes it
    # quote cells with CR or LF. NUL characters are escaped, because many CSV readers fail on them.
    row = (cell.replace("\0", "\\u0000") for cell in cells)
    csv.writer(buffer, lineterminator="\r\n").writerow(row)
    return buffer.getvalue().removesuffix("\r\n").encode("utf-8") + b"\n"


@contextmanager
def write_records(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    like: RecordReader | None = None,
) -> Iterator[RecordWriter]:
    """Open a file of records for writing; "-" is stdout. The file appears at the end of the block.

    If the block raises, no file is created, and an existing file with that name is kept. `format` is one of
    FORMATS. If None, the suffix determines the format, or else `like` does. If the file has the same format
    as `like`, it gets the header or schema of `like`.
    """
    chosen = format or format_of(path) or (like.format if like is not None else None)
    if chosen is None:
        raise InputError(path, "has no known suffix; end its name in .json or .jsonl")
    layout = like.layout if like is not None and like.format == chosen else None
    with Sink(path).whole() as sink:
        writer = writer_to(sink, chosen, layout=layout)
        yield writer
        writer.complete()


def writer_to(
    sink: Sink,
    format: str,  # noqa: A002
    *,
    layout: Any = None,
    types: Mapping[str, str] | None = None,
    is_marked: bool = False,
) -> RecordWriter:
    """Return a writer for an open sink. `layout` is the header or schema that the file should have.

    `types` contains Parquet column types by column name, such as "string", "int64" or "list<string>". Other
    column types are inferred from the values. If `is_marked` is true, a CSV file begins with a byte order
    mark, by which Excel recognizes UTF-8.
    """
    if format == "parquet":
        from selfinstruct.dataset.record_files.parquet import ParquetWriter

        if sink.is_packed:
            raise InputError(sink.path, "cannot be both Parquet and gzip; leave out .gz")
        return ParquetWriter(sink, layout=layout, types=types or {})
    if format == "csv":
        return CsvWriter(sink, layout=layout, is_marked=is_marked)
    return JsonListWriter(sink) if format == "json" else JsonLinesWriter(sink)
