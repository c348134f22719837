"""Reader for Parquet, with pyarrow."""

from collections.abc import Iterator
from typing import Any

from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.source import RecordReader, Source
from selfinstruct.errors import InputError

_ROWS = 1_000
"""Rows of a batch."""


def pyarrow_for(name: str) -> Any:
    """Return the module pyarrow. Raises InputError about the file if pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        problem = "is Parquet, which needs pyarrow: pip install 'selfinstruct[parquet]'"
        raise InputError(name, problem) from None
    return pyarrow


class ParquetReader(RecordReader):
    """Rows as records."""

    format = "parquet"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        pyarrow = pyarrow_for(source.name)
        self._errors = (pyarrow.ArrowException, OSError, ValueError, OverflowError)
        self._unsupported = pyarrow.ArrowNotImplementedError
        self._opened = source.seekable()
        self._count = 0
        try:
            self._file = pyarrow.parquet.ParquetFile(self._opened, pre_buffer=False)
            self.layout = self._file.schema_arrow
        except self._errors as error:
            raise self._broken(error) from None
        names = self.layout.names
        duplicates = [name for name in names if names.count(name) > 1]
        if duplicates:
            problem = f"has two columns named {duplicates[0]!r}; rename one of them"
            raise InputError(source.name, problem)

    @property
    def share(self) -> float | None:
        """The share of the rows that were read."""
        rows: int = self._file.metadata.num_rows
        return self._count / rows if rows else 1.0

    def close(self) -> None:
        """Close the file and the copy of a pipe."""
        self._opened.close()
        super().close()

    def _records(self) -> Iterator[Record]:
        batches = self._file.iter_batches(batch_size=_ROWS, use_threads=False)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except self._errors as error:
                raise self._broken(error) from None
            columns = [self._values(batch, name) for name in batch.schema.names]
            for index in range(batch.num_rows):
                self._count += 1
                values = (column[index] for column in columns)
                fields = dict(zip(batch.schema.names, values, strict=True))
                yield Record(fields, self._source.name, self._count)

    def _values(self, batch: Any, name: str) -> list[Any]:
        try:
            column = batch.column(name)
            if str(column.type) == "time64[ns]":
                column.cast("time64[us]")  # fails for values that Python's time would cut
            values: list[Any] = column.to_pylist()
        except self._errors as error:
            problem = f"the column {name!r} cannot be read ({error}); change or drop the column"
            raise InputError(self._source.name, problem) from None
        return values

    def _broken(self, error: Exception) -> InputError:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:100].rstrip(".")
        problem = f"is not a complete Parquet file ({reason}); download or create it again"
        if isinstance(error, self._unsupported):
            problem = f"has a column that pyarrow cannot read ({reason}); drop it"
        return InputError(self._source.name, problem)
