"""CSV with a header, read row by row. Every value is text."""

import csv
from collections.abc import Iterator

from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.source import LONGEST, Source, SourceReader
from selfinstruct.errors import InputError


def allow_long_cells() -> None:
    """Raise the limit of Python's csv module, which one model's output may pass; it is the process's own."""
    csv.field_size_limit(max(LONGEST, csv.field_size_limit()))


class CsvRecords(SourceReader):
    """Rows as records. Empty lines are passed over."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        allow_long_cells()
        self._rows = self._read()
        line, header = next(self._rows, (1, []))
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            problem = f"names the column {_short(twice[0])} twice; rename one of them"
            raise InputError(source.name, problem, line=line)
        self.layout = tuple(header)
        """The header."""

    def __iter__(self) -> Iterator[Record]:
        columns = len(self.layout)
        for number, (line, row) in enumerate(self._rows, start=1):
            if len(row) != columns:
                cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                problem = f"has {cells} where the header names {columns}; mend the row"
                if len(row) > columns:
                    problem += ", perhaps by putting a cell that holds a comma in quotes"
                if columns == 1:
                    problem += _separator(self.layout[0])
                raise InputError(self._source.name, problem, line=line)
            fields = dict(zip(self.layout, row, strict=True))
            yield Record(fields, self._source.name, number, line, None, sum(map(len, row)))

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that hold something, with the line on which each begins."""
        begin, last = 1, 0

        def lines() -> Iterator[str]:
            nonlocal last
            for last, text in self._source.text_lines():  # noqa: B007 - it is the enclosing one
                yield text

        rows = csv.reader(lines(), strict=True)
        while True:
            begin = last + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(self._source.name, _in_words(error), line=begin) from None
            if row:
                yield begin, row


def _separator(name: str) -> str:
    """What is behind a header of one column that holds another separator."""
    for character, word in ((";", "semicolons"), ("\t", "tabs")):
        if character in name:
            return f"; {word} seem to separate the columns of the header: save the file with commas"
    return ""


def _in_words(error: csv.Error) -> str:
    said = str(error)
    if "end of data" in said:
        return 'begins a cell in quotes that is never closed; close it with "'
    if "new-line" in said:
        return "has a line end of an old kind (CR) within a row; save the file with LF or CRLF"
    if "expected after" in said:
        return 'goes on behind the quotes that close a cell; write a quote within a cell as ""'
    return f"is not CSV ({said}); mend it there"


def _short(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:39] + "…")
