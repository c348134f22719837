"""Reads CSV files with a header. Every value is text."""

import csv
from collections.abc import Iterator

from selfinstruct.dataset.record_files.formats import separator_remark, shortened
from selfinstruct.dataset.record_files.source import LONGEST_LINE, Record, RecordReader, Source
from selfinstruct.errors import InputError


class CsvReader(RecordReader):
    """Reads each CSV row as a record. Empty lines are skipped."""

    format = "csv"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        # A model's reply may be longer than the csv module's default limit.
        csv.field_size_limit(max(LONGEST_LINE, csv.field_size_limit()))
        self._rows = self._numbered_rows()
        line, header = next(self._rows, (1, []))
        duplicates = [name for name in header if header.count(name) > 1]
        if duplicates:
            problem = f"has two columns named {shortened(duplicates[0])}; rename one of them"
            raise InputError(source.name, problem, line=line)
        self.layout = tuple(header)

    def _records(self) -> Iterator[Record]:
        columns = len(self.layout)
        for number, (line, row) in enumerate(self._rows, start=1):
            if len(row) != columns:
                cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                problem = f"has {cells}, but the header has {columns}; fix the row"
                if len(row) > columns:
                    problem += ", perhaps by putting a cell with a comma in quotes"
                if columns == 1:
                    remark = separator_remark(self.layout[0])
                    problem += f"; {remark}" if remark else ""
                raise InputError(self._source.name, problem, line=line)
            fields = dict(zip(self.layout, row, strict=True))
            yield Record(fields, self._source.name, number, line)

    def _numbered_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the non-empty rows, each with the number of its first line."""
        rows = csv.reader((text for _, text in self._source.text_lines()), strict=True)
        while True:
            first = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(self._source.name, _problem(error), line=first) from None
            if row:
                yield first, row


_PROBLEMS = {
    "end of data": 'begins a quoted cell that is never closed; close it with "',
    "new-line": "has a bare carriage return (CR) in a row; save the file with LF or CRLF line ends",
    "expected after": 'has text after a closing quote; write a quote within a cell as ""',
}
"""Error messages for users, by a part of the csv module's message."""


def _problem(error: csv.Error) -> str:
    known = (problem for part, problem in _PROBLEMS.items() if part in str(error))
    return next(known, f"is not CSV ({error}); fix it there")
