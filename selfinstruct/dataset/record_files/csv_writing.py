"""Records as CSV. The header names every field that some record has, in the order in which they came up."""

import codecs
import csv
import io
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from selfinstruct.dataset.record_files.csv_reading import allow_long_cells
from selfinstruct.dataset.record_files.json_text import as_text, members, on_one_line, whole
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.sink import Sink, SinkWriter


class CsvWriter(SinkWriter):
    """Rows wait in a temporary file: the last record may have a field that the header must name."""

    def __init__(self, sink: Sink, layout: tuple[str, ...] | None) -> None:
        super().__init__(sink, layout)
        self._header = dict.fromkeys(layout or ())
        self._draft = tempfile.TemporaryFile(dir=sink.folder)  # noqa: SIM115 - closed by `close`
        self._widths: set[int] = set()

    def write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record."""
        cells = _cells(record) | {name: as_text(value) for name, value in added.items()}
        self._header.update(dict.fromkeys(cells))
        self._widths.add(len(self._header))
        self._draft.write(_line(cells.get(name, "") for name in self._header))

    def finish(self) -> None:
        """Write the end."""
        stream = self._sink.stream
        if self.is_marked:
            stream.write(codecs.BOM_UTF8)
        if self._header:
            stream.write(_line(whole(name) for name in self._header))
        self._draft.seek(0)
        if self._widths <= {len(self._header)}:
            shutil.copyfileobj(self._draft, stream)
            return
        allow_long_cells()
        for row in csv.reader(line.decode("utf-8") for line in self._draft):
            stream.write(_line(row + [""] * (len(self._header) - len(row))))

    def close(self) -> None:
        """Let go of temporary files."""
        self._draft.close()


def _cells(record: Record) -> dict[str, str]:
    if not isinstance(record.raw, str):
        return {name: as_text(value) for name, value in record.fields.items()}
    # The text of a number, a list or an object is the cell: 1.10 stays 1.10.
    raw = record.raw
    return {
        m.key: as_text(m.value)
        if m.value is None or isinstance(m.value, str)
        else whole(on_one_line(raw[m.begin : m.end]))
        for m in members(raw)
    }


def _line(cells: Iterable[str]) -> bytes:
    # Python's csv module and others cannot read a NUL, so it is written out, like half of a surrogate pair.
    row = [cell.replace("\0", "\\u0000") for cell in cells]
    buffer = io.StringIO(newline="")
    # With this ending the module puts a cell with either character of it in quotes, as it must be.
    csv.writer(buffer, lineterminator="\r\n").writerow(row)
    return buffer.getvalue().removesuffix("\r\n").encode("utf-8") + b"\n"
