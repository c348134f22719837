"""Writes records to a file of whatever format, whole or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfinstruct.dataset.record_files.csv_writing import CsvWriter
from selfinstruct.dataset.record_files.formats import FORMATS, format_of, is_gzipped
from selfinstruct.dataset.record_files.json_writing import JsonLinesWriter, JsonListWriter
from selfinstruct.dataset.record_files.parquet_writing import ParquetWriter
from selfinstruct.dataset.record_files.reading import RecordReader
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.sink import Sink, SinkWriter
from selfinstruct.errors import InputError


class RecordWriter:
    """Takes records, one by one."""

    def __init__(self, sink: Sink, writer: SinkWriter) -> None:
        self._sink = sink
        self._writer = writer
        self._is_complete = False
        self.count = 0
        """How many were written."""

    def write(self, record: Record, added: Mapping[str, Any] | None = None) -> None:
        """Write a record with everything in it.

        `added` are fields put behind its own; where it has one of that name, that gets the new value.
        Raises ExportError where the format cannot hold it or the disk fails.
        """
        with self._sink.faults():
            self._writer.write(record, added or {})
        self.count += 1

    def complete(self) -> None:
        """Bring the file to its end, so that nothing can go wrong any more when it gets its name.

        For who writes several that belong together. Done at the end of the block by itself.
        """
        if not self._is_complete:
            with self._sink.faults():
                self._writer.finish()
            self._sink.complete()
        self._is_complete = True


@contextmanager
def write_records(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    like: RecordReader | None = None,
    types: Mapping[str, str] | None = None,
    is_marked: bool = False,
) -> Iterator[RecordWriter]:
    """Write a file of records; "-" is stdout. At the end of the block the file is there, whole.

    If the block is left by an exception, nothing is left over and a file that was there before stands.
    `format` is one of FORMATS; None takes it from the suffix or, where that says nothing, from `like`. Of
    `like` a file also has its header or schema, so that it has one where no record is written. `types` are
    those of columns of a Parquet file, by name ("string", "bool", "int64", "list<string>"), whose values come
    from no Parquet file; all others are told from their values. `is_marked` begins a CSV file with the mark
    by which Excel knows that it is UTF-8.
    """
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    chosen = format or format_of(path) or (like.format if like is not None else None)
    if chosen is None:
        raise InputError(path, "has no suffix that names a format; end it in .json or .jsonl, say")
    if chosen == "parquet" and is_gzipped(path):
        raise InputError(path, "is to be Parquet, which is compressed by itself; leave out .gz")
    layout = like.layout if like is not None and like.format == chosen else None
    sink = Sink(path)
    writer: SinkWriter | None = None
    try:
        sink.open()
        writer = _WRITERS[chosen](sink, layout)
        writer.types = types or {}
        writer.is_marked = is_marked
        taking = RecordWriter(sink, writer)
        yield taking
        taking.complete()
        sink.finish()
    except BaseException:  # Ctrl-C too
        sink.abandon()
        raise
    finally:
        if writer is not None:
            with suppress(OSError):  # of what was to be written no more; why is told already
                writer.close()


_WRITERS: Mapping[str, type[SinkWriter]] = {
    "json": JsonListWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}
