"""Parquet, read batch by batch with pyarrow. Values are made into Python's only where somebody looks."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.source import Source, SourceReader
from selfinstruct.errors import InputError

if TYPE_CHECKING:
    import pyarrow

ROWS = 1_000
"""Rows of a batch."""


def pyarrow_for(name: str) -> Any:
    """pyarrow, for a file. Raises InputError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        problem = "is Parquet, for which pyarrow is needed: pip install 'selfinstruct[parquet]'"
        raise InputError(name, problem) from None
    return pyarrow


class Row(Mapping[str, Any]):
    """A row of a batch, as a mapping. Pickled, it takes only itself along."""

    def __init__(self, batch: "pyarrow.RecordBatch", index: int, place: tuple[str, int]) -> None:
        self.batch = batch
        self.index = index
        self._place = place

    def __getitem__(self, name: str) -> Any:
        if name not in self.batch.schema.names:
            raise KeyError(name)
        cell = self.batch.column(name)[self.index]
        try:
            return cell.as_py()
        except (ValueError, OverflowError) as error:
            problem = f"the column {name!r} cannot be read ({error}); mend or drop it"
            source, number = self._place
            raise InputError(source, f"row {number}: {problem}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch.schema.names)

    def __len__(self) -> int:
        return len(self.batch.schema.names)

    def __reduce__(self) -> tuple[Any, ...]:
        import pyarrow

        own = rows_of(self.batch, [self.index])
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, own.schema) as stream:
            stream.write_batch(own)
        return _restored, (sink.getvalue().to_pybytes(), self._place)


def rows_of(batch: "pyarrow.RecordBatch", rows: Sequence[int]) -> "pyarrow.RecordBatch":
    """Some rows of a batch, with the same types."""
    import pyarrow

    places = pyarrow.array(rows, pyarrow.int64())
    columns = []
    for column in batch.columns:
        try:
            columns.append(column.take(places))
        except (
            pyarrow.ArrowNotImplementedError
        ):  # of views, as other writers than pyarrow's have them
            copied = column.cast(_without_views(pyarrow, column.type)).take(places)
            columns.append(copied.cast(column.type))
    return pyarrow.RecordBatch.from_arrays(columns, schema=batch.schema)


def _without_views(pyarrow: Any, kind: Any) -> Any:
    """The type that holds the same values and no views."""
    types = pyarrow.types
    if types.is_string_view(kind):
        return pyarrow.large_string()
    if types.is_binary_view(kind):
        return pyarrow.large_binary()
    if types.is_struct(kind):
        return pyarrow.struct([f.with_type(_without_views(pyarrow, f.type)) for f in kind])
    if types.is_list(kind) or types.is_large_list(kind):
        make = pyarrow.list_ if types.is_list(kind) else pyarrow.large_list
        return make(kind.value_field.with_type(_without_views(pyarrow, kind.value_type)))
    return kind


def _restored(data: bytes, place: tuple[str, int]) -> Row:
    import pyarrow

    return Row(pyarrow.ipc.open_stream(data).read_next_batch(), 0, place)


class ParquetRecords(SourceReader):
    """Rows as records."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._given = 0
        pyarrow = pyarrow_for(source.name)
        self._errors = (pyarrow.ArrowException, OSError, ValueError)
        self._not_made = pyarrow.ArrowNotImplementedError
        self._opened: io.IOBase | Any = source.file
        try:
            self._file = pyarrow.parquet.ParquetFile(self._opened, pre_buffer=False)
            self.layout = self._file.schema_arrow
        except self._errors as error:
            raise self._broken(error) from None
        names = self.layout.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            problem = f"has two columns named {twice[0]!r}; rename one of them"
            raise InputError(source.name, problem)

    @property
    def bytes_read(self) -> int:
        """As many of the file's bytes as of its rows."""
        rows: int = self._file.metadata.num_rows
        return (self._source.total_bytes or 0) * self._given // rows if rows else 0

    def close(self) -> None:
        """Close the file, and what it was copied to."""
        self._opened.close()
        self._source.close()

    def __iter__(self) -> Iterator[Record]:
        name = self._source.name
        batches = self._file.iter_batches(batch_size=ROWS, use_threads=False)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except self._errors as error:
                raise self._broken(error) from None
            size = batch.nbytes // max(1, batch.num_rows)
            for index in range(batch.num_rows):
                self._given += 1
                row = Row(batch, index, (name, self._given))
                yield Record(row, name, self._given, None, row, size)

    def _broken(self, error: Exception) -> InputError:
        said = str(error).strip().splitlines()[0][:100] if str(error).strip() else "no reason given"
        problem = f"is not a whole Parquet file ({said.rstrip('.')}); get or make it anew"
        if isinstance(error, self._not_made):
            problem = f"has a column that pyarrow cannot read ({said.rstrip('.')}); drop it"
        return InputError(self._source.name, problem)
