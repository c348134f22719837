"""Reads and writes Parquet files with pyarrow."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selfinstruct.dataset.record_files.formats import package_for, shortened
from selfinstruct.dataset.record_files.sink import Sink
from selfinstruct.dataset.record_files.source import Record, RecordReader, Source
from selfinstruct.dataset.record_files.values import dumps, encodable
from selfinstruct.dataset.record_files.writing import RecordWriter
from selfinstruct.errors import ExportError, InputError

_ROWS = 1_000
"""Number of rows read at a time."""


class ParquetReader(RecordReader):
    """Reads each Parquet row as a record."""

    format = "parquet"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        pyarrow = package_for(source.name, "pyarrow.parquet")
        # pyarrow raises KeyError if two columns have the same name.
        self._errors = (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError)
        self._unsupported = pyarrow.ArrowNotImplementedError
        self._count = 0
        try:
            self._file = pyarrow.parquet.ParquetFile(source.seekable(), pre_buffer=False)
            self.layout = self._file.schema_arrow
        except self._errors as error:
            raise self._broken(error) from None

    @property
    def share(self) -> float | None:
        """The share of the rows read so far, from 0 to 1."""
        rows: int = self._file.metadata.num_rows
        return self._count / rows if rows else 1.0

    def _records(self) -> Iterator[Record]:
        names = self.layout.names
        try:
            for batch in self._file.iter_batches(batch_size=_ROWS, use_threads=False):
                columns = [self._values(batch, name) for name in names]
                for values in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
                    self._count += 1
                    fields = dict(zip(names, values, strict=True))
                    yield Record(fields, self._source.name, self._count)
        except self._errors as error:
            raise self._broken(error) from None

    def _values(self, batch: Any, name: str) -> list[Any]:
        try:
            column = batch.column(name)
            if str(column.type) == "time64[ns]":
                column.cast("time64[us]")  # Fails if `datetime.time` would lose nanoseconds.
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


class ParquetWriter(RecordWriter):
    """Writes one table, which is kept in memory because the column types depend on all records.

    A column gets the type from `layout` if all values fit, or else the type from `types`. If `types` has no
    entry for the column, pyarrow infers a type from all values. Empty objects, which Parquet cannot store,
    and added lists and objects become JSON text.
    """

    def __init__(self, sink: Sink, *, layout: Any, types: Mapping[str, str]) -> None:
        super().__init__(sink)
        self._layout = layout
        self._pyarrow = package_for(sink.path, "pyarrow.parquet")
        self._types = types
        self._columns: dict[str, list[Any]] = {name: [] for name in layout.names} if layout else {}
        self._added: set[str] = set()
        self._places: list[str] = []

    def _write(self, record: Record, added: Mapping[str, Any]) -> None:
        self._added.update(added)
        plain = {name: _plain(value) for name, value in added.items()}
        for name, value in {**record.fields, **plain}.items():
            column = self._columns.setdefault(encodable(name), [])
            column += [None] * (self.count - len(column))
            column.append(value)
        self._places.append(record.place)

    def _end(self) -> None:
        pyarrow = self._pyarrow
        if self.count and not self._columns:
            problem = "cannot store records without any field as Parquet; write to a .jsonl file"
            raise ExportError(self.sink.path, problem)
        fields, arrays = [], []
        for name, column in self._columns.items():
            column += [None] * (self.count - len(column))
            array = self._array(name, column)
            known = self._layout_field(name)
            field = known if known is not None else pyarrow.field(name, array.type)
            is_nullable = field.nullable or array.null_count > 0
            fields.append(field.with_type(array.type).with_nullable(is_nullable))
            arrays.append(array)
        metadata = dict(self._layout.metadata or {}) if self._layout is not None else {}
        if pyarrow.schema(fields) != self._layout:
            metadata.pop(b"huggingface", None)  # Otherwise `datasets` fails to load the file.
        schema = pyarrow.schema(fields, metadata or None)
        buffer = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), buffer)
        data = buffer.getvalue()
        try:
            # pyarrow can write lists that are nested too deeply for it to read.
            pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        except (pyarrow.ArrowException, OSError) as error:
            problem = f"could not be read as Parquet ({error}); write to a .jsonl file"
            raise ExportError(self.sink.path, problem) from None
        self.sink.stream.write(memoryview(data))

    def _layout_field(self, name: str) -> Any:
        """Return the column's field in the layout; None for new and changed columns."""
        if self._layout is None or name in self._added or name not in self._layout.names:
            return None
        return self._layout.field(name)

    def _array(self, name: str, values: Sequence[Any]) -> Any:
        known = self._layout_field(name)
        array = self._fitted(values, known.type) if known is not None else None
        if array is None:
            array = self._converted(values, self._stated(name))
        if array is None:
            ends = range(len(values) + 1)
            at = bisect_left(
                ends, x=True, key=lambda end: self._converted(values[:end], None) is None
            )
            problem = f"the field {shortened(name)} has values of types that no Parquet column can"
            problem += f" store together, from {self._places[at - 1]} on; write to a .jsonl file"
            raise ExportError(self.sink.path, problem)
        if _has_empty_struct(self._pyarrow, array.type):
            return self._pyarrow.array([None if v is None else dumps(v) for v in values])
        return array

    def _fitted(self, values: Sequence[Any], kind: Any) -> Any:
        """Return the values as an array of type `kind`; None if the conversion would change a value."""
        array = self._converted(values, kind)
        # pyarrow rounds silently. Compare the values as text, because NaN is not equal to itself.
        return array if array is not None and repr(array.to_pylist()) == repr(values) else None

    def _converted(self, values: Sequence[Any], kind: Any) -> Any:
        """Return the values as an array of type `kind`, or of an inferred type; None if impossible."""
        pyarrow = self._pyarrow
        try:
            return pyarrow.array(values, kind)
        except UnicodeEncodeError:
            return self._converted([encodable(value) for value in values], kind)
        except (pyarrow.ArrowException, OverflowError, ValueError, TypeError):
            return None

    def _stated(self, name: str) -> Any:
        stated = self._types.get(name, "")
        inner = stated.removeprefix("list<").removesuffix(">")
        if not stated:
            return None
        kind = self._pyarrow.type_for_alias(inner)
        return kind if inner == stated else self._pyarrow.list_(kind)


def _plain(value: Any) -> Any:
    return dumps(value) if isinstance(value, Mapping | list) else value


def _has_empty_struct(pyarrow: Any, kind: Any) -> bool:
    if pyarrow.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(pyarrow, f.type) for f in kind)
    return pyarrow.types.is_list(kind) and _has_empty_struct(pyarrow, kind.value_type)
