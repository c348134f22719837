"""Writes records to a file in any of the formats, complete or not at all."""

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
    """Takes records one by one."""

    def __init__(self, sink: Sink) -> None:
        """Write to an open sink."""
        self.sink = sink
        self._is_complete = False
        self.count = 0
        """Number of records written."""

    def write(self, record: Record, added: Mapping[str, Any] | None = None) -> None:
        """Write a record with added fields, which replace fields of the same name.

        Raises ExportError if the format cannot store the record or the disk fails.
        """
        with self.sink.faults():
            self._write(record, added or {})
        self.count += 1

    def complete(self) -> None:
        """Write everything to the disk, so that only the renaming of the file is left.

        Call this for each of several files that belong together. The end of the block calls it otherwise.
        """
        if not self._is_complete:
            with self.sink.faults():
                self._end()
            self.sink.complete()
        self._is_complete = True

    @abstractmethod
    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record now, or keep it until the end."""

    @abstractmethod
    def _end(self) -> None:
        """Write what is still missing."""


class JsonLinesWriter(RecordWriter):
    """An object per line."""

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        self.sink.stream.write(dumps({**record.fields, **added}).encode() + b"\n")

    def _end(self) -> None:
        """Write nothing: every record is written."""


class JsonListWriter(RecordWriter):
    """A list of indented objects."""

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        margin = "\n" + " " * _INDENT
        text = dumps({**record.fields, **added}, indent=_INDENT).replace("\n", margin)
        opening = "," if self.count else "["
        self.sink.stream.write(f"{opening}{margin}{text}".encode())

    def _end(self) -> None:
        self.sink.stream.write(b"\n]\n" if self.count else b"[]\n")


class CsvWriter(RecordWriter):
    """A table. Rows are kept until the end, because the last record may have a new column."""

    def __init__(self, sink: Sink, *, layout: Any, is_marked: bool) -> None:
        """Write the columns of `layout` first. A marked file begins with a byte order mark."""
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
    # With this line end the module quotes a cell with CR or LF in it. Many CSV readers fail on NUL.
    csv.writer(buffer, lineterminator="\r\n").writerow(
        cell.replace("\0", "\\u0000") for cell in cells
    )
    return buffer.getvalue().removesuffix("\r\n").encode("utf-8") + b"\n"


@contextmanager
def write_records(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    like: RecordReader | None = None,
) -> Iterator[RecordWriter]:
    """Write a file of records; "-" is stdout. The file appears at the end of the block.

    An exception in the block leaves no new file, and an earlier file with that name stays. `format` is one of
    FORMATS; None takes the format from the suffix, or else from `like`. A file in the format of `like` gets
    the header or schema of `like`.
    """
    chosen = format or format_of(path) or (like.format if like is not None else None)
    if chosen is None:
        raise InputError(path, "has no suffix that names a format; end the name in .json or .jsonl")
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
    """Return a writer to an open sink; `layout` is the header or schema of a file to be like.

    `types` are column types of a Parquet file by name, such as "string", "int64" or "list<string>"; other
    types follow from the values. `is_marked` starts a CSV file with a byte order mark, so that Excel
    recognizes UTF-8.
    """
    if format == "parquet":
        from selfinstruct.dataset.record_files.parquet import ParquetWriter

        if sink.is_packed:
            raise InputError(sink.path, "cannot be both Parquet and gzip; leave out .gz")
        return ParquetWriter(sink, layout=layout, types=types or {})
    if format == "csv":
        return CsvWriter(sink, layout=layout, is_marked=is_marked)
    return JsonListWriter(sink) if format == "json" else JsonLinesWriter(sink)
