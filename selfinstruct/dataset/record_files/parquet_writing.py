"""Records as Parquet. Rows that were Parquet keep their types; those of other records are inferred."""

import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from selfinstruct.dataset.record_files.json_text import dumps, whole
from selfinstruct.dataset.record_files.parquet_reading import ROWS, Row, pyarrow_for, rows_of
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.sink import Sink, SinkWriter
from selfinstruct.errors import ExportError

if TYPE_CHECKING:
    import pyarrow

_GROUP = 16_000_000
"""Bytes of rows that are written together, and of what is in memory meanwhile."""


class ParquetWriter(SinkWriter):
    """Writes groups of rows; where a later group has other types, all of them get types that fit both.

    Until the end nobody knows which: a group that does not fit begins another temporary file, and the files
    are put together at the end. Mostly there is one.
    """

    def __init__(self, sink: Sink, layout: Any) -> None:
        super().__init__(sink, layout)
        self._pyarrow = pyarrow_for(str(sink.path))
        self._run: list[tuple[Record, Mapping[str, Any]]] = []
        self._run_size = 0
        self._tables: list[pyarrow.Table] = []
        self._waiting = 0
        self._bare = 0
        """Rows without any field that came since the last table: a table of them would not know how many."""
        self._parts: list[IO[bytes]] = []
        self._writer: Any = None
        self._schema: Any = None

    def write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record."""
        if self._run and (
            _batch(record) is not _batch(self._run[-1][0])
            or len(self._run) >= ROWS
            or self._run_size > _GROUP
        ):
            self._end_run()
        self._run.append((record, added))
        self._run_size += record.size

    def finish(self) -> None:
        """Write the end."""
        self._end_run()
        self._end_group()
        if self._bare:
            if self._schema is None:
                problem = "can have no records without any field as Parquet; write .jsonl"
                raise ExportError(self._sink.path, problem)
            self._append(self._nulls(self._schema))
        pyarrow, stream = self._pyarrow, self._sink.stream
        if self._writer is None:
            empty = (self._layout or pyarrow.schema([])).empty_table()
            pyarrow.parquet.write_table(empty, stream)
            return
        self._writer.close()
        self._check()
        if len(self._parts) == 1:
            self._parts[0].seek(0)
            shutil.copyfileobj(self._parts[0], stream)
            return
        with pyarrow.parquet.ParquetWriter(stream, self._schema) as writer:
            for part in self._parts:
                part.seek(0)
                file = pyarrow.parquet.ParquetFile(part)
                for batch in file.iter_batches(batch_size=ROWS * 50):
                    table = pyarrow.Table.from_batches([batch])
                    writer.write_table(self._fitted(table, self._schema))

    def _check(self) -> None:
        """What was written can be read: of lists within lists more can be written than read."""
        part = self._parts[-1]
        part.seek(0)
        try:
            self._pyarrow.parquet.ParquetFile(part)
        except (self._pyarrow.ArrowException, OSError) as error:
            problem = f"could not be read as Parquet ({error}); write .jsonl"
            raise ExportError(self._sink.path, problem) from None

    def close(self) -> None:
        """Let go of temporary files."""
        if self._writer is not None and self._writer.is_open:
            with suppress(OSError):  # what it still has to write is not wanted
                self._writer.close()
        for part in self._parts:
            with suppress(OSError):
                part.close()

    def _end_run(self) -> None:
        """Make a table of the records since the last one, which come from one batch or from none."""
        if not self._run:
            return
        pyarrow, run = self._pyarrow, self._run
        self._run, self._run_size = [], 0
        batch = _batch(run[0][0])
        columns: dict[str, Any] = {}
        if batch is not None:
            taken = rows_of(batch, [record.raw.index for record, _ in run])
            columns = dict(zip(batch.schema.names, taken.columns, strict=True))
            fields = {field.name: field for field in batch.schema}
            metadata = dict(batch.schema.metadata or {})
        else:
            fields, metadata = {}, {}
            for name in dict.fromkeys(name for record, _ in run for name in record.fields):
                columns[whole(name)] = self._inferred(name, run)
        for name in dict.fromkeys(name for _, added in run for name in added):
            values = [added.get(name, record.fields.get(name)) for record, added in run]
            columns[name] = self._added(values)
            fields.pop(name, None)
            metadata.pop(b"huggingface", None)  # it lists the columns, and loading fails for others
        if not columns:
            self._bare += len(run)
            return
        schema = pyarrow.schema(
            [
                fields.get(name, pyarrow.field(name, column.type))
                for name, column in columns.items()
            ],
            metadata=metadata or None,
        )
        if self._bare:
            self._tables.append(self._nulls(schema))
        self._tables.append(pyarrow.Table.from_arrays(list(columns.values()), schema=schema))
        self._waiting += self._tables[-1].nbytes
        if self._waiting > _GROUP:
            self._end_group()

    def _nulls(self, schema: Any) -> Any:
        """The rows without any field as a table with these columns."""
        pyarrow, count = self._pyarrow, self._bare
        self._bare = 0
        columns = [pyarrow.nulls(count, field.type) for field in schema]
        schema = pyarrow.schema([f.with_nullable(nullable=True) for f in schema], schema.metadata)
        return pyarrow.Table.from_arrays(columns, schema=schema)

    def _inferred(self, name: str, run: Sequence[tuple[Record, Mapping[str, Any]]]) -> Any:
        """The column of a field of records that were no Parquet."""
        pyarrow = self._pyarrow
        values = [record.fields.get(name) for record, _ in run]
        try:
            column = pyarrow.array(values, self._stated(name))
        except UnicodeEncodeError:
            values = [_encodable(value) for value in values]
            column = self._array(name, values, run)
        except (pyarrow.ArrowException, OverflowError, ValueError, TypeError):
            column = self._array(name, values, run)
        if _has_empty_struct(pyarrow, column.type):  # which Parquet does not have
            return pyarrow.array([None if value is None else dumps(value) for value in values])
        return column

    def _stated(self, name: str) -> Any:
        """The type of a column, where it was stated; else None."""
        stated = self.types.get(name, "")
        of_list = stated.removeprefix("list<").removesuffix(">")
        if not stated:
            return None
        kind = self._pyarrow.type_for_alias(of_list)
        return kind if of_list == stated else self._pyarrow.list_(kind)

    def _array(
        self, name: str, values: list[Any], run: Sequence[tuple[Record, Mapping[str, Any]]]
    ) -> Any:
        pyarrow = self._pyarrow
        errors = (pyarrow.ArrowException, OverflowError, ValueError, TypeError)

        def is_too_long(count: int) -> bool:
            try:
                pyarrow.array(values[:count], self._stated(name))
            except errors:
                return True
            return False

        try:
            return pyarrow.array(values, self._stated(name))
        except errors:
            at = bisect_left(range(len(values) + 1), x=True, key=is_too_long) - 1
            raise self._unfit(name, f"at {run[at][0].place}") from None

    def _added(self, values: list[Any]) -> Any:
        """A column of added values: text, numbers, true and false as such, all else as JSON text."""
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} or kinds == {bool}:
            return self._pyarrow.array(values, None if kinds else self._pyarrow.string())
        texts = [value if isinstance(value, str | None) else dumps(value) for value in values]
        texts = [text if text is None else whole(text) for text in texts]
        return self._pyarrow.array(texts, self._pyarrow.string())

    def _end_group(self) -> None:
        """Write the tables that wait, in as few groups of rows as their types allow."""
        pyarrow = self._pyarrow
        tables, self._tables, self._waiting = self._tables, [], 0
        while tables:
            first = tables[0].schema
            count = next(
                (n for n, table in enumerate(tables) if not table.schema.equals(first)), len(tables)
            )
            self._append(pyarrow.concat_tables(tables[:count]).combine_chunks())
            tables = tables[count:]

    def _append(self, table: Any) -> None:
        schema = table.schema
        if self._schema is not None and not schema.equals(self._schema):
            schema = self._unified(self._schema, schema)
        if self._schema is None or not schema.equals(self._schema):
            self._begin_part(schema)
        self._writer.write_table(self._fitted(table, self._schema))

    def _begin_part(self, schema: Any) -> None:
        if self._writer is not None:
            self._writer.close()
        part = tempfile.TemporaryFile(dir=self._sink.folder)  # noqa: SIM115 - closed by `close`
        self._parts.append(part)
        try:
            self._writer = self._pyarrow.parquet.ParquetWriter(part, schema)
        except self._pyarrow.ArrowException as error:
            problem = f"cannot be Parquet ({str(error).splitlines()[0]}); write .jsonl"
            raise ExportError(self._sink.path, problem) from None
        self._schema = schema

    def _unified(self, old: Any, new: Any) -> Any:
        """A schema for rows of both."""
        pyarrow = self._pyarrow
        for field in new:
            if field.name in old.names:
                before = old.field(field.name).type
                pair = [pyarrow.schema([(field.name, kind)]) for kind in (before, field.type)]
                try:
                    both = pyarrow.unify_schemas(pair, promote_options="permissive").types[0]
                    fits = all(_holds(pyarrow, both, kind) for kind in (before, field.type))
                except pyarrow.ArrowException:
                    fits = False
                if not fits:
                    raise self._unfit(field.name, f"({before} and {field.type})")
        both = pyarrow.unify_schemas([old, new], promote_options="permissive")
        # What only one of them has, rows of the other one lack.
        fields = [
            field
            if field.name in old.names and field.name in new.names
            else field.with_nullable(nullable=True)
            for field in both
        ]
        return pyarrow.schema(fields, old.metadata)

    def _fitted(self, table: Any, schema: Any) -> Any:
        """The table with the columns and types of a schema."""
        pyarrow = self._pyarrow
        if table.schema.equals(schema):
            return table
        columns = []
        for field in schema:
            if field.name not in table.schema.names:
                columns.append(pyarrow.nulls(len(table), field.type))
                continue
            try:
                columns.append(table.column(field.name).cast(field.type))
            except pyarrow.ArrowException:
                found = table.schema.field(field.name).type
                raise self._unfit(field.name, f"({found} and {field.type})") from None
        return pyarrow.Table.from_arrays(columns, schema=schema)

    def _unfit(self, name: str, remark: str) -> ExportError:
        shown = repr(name if len(name) <= 40 else name[:39] + "…")
        return ExportError(
            self._sink.path,
            f"the field {shown} holds what no one column of Parquet can {remark}; write .jsonl",
        )


def _batch(record: Record) -> Any:
    """The batch that a record is a row of, if it is one."""
    return record.raw.batch if isinstance(record.raw, Row) else None


def _holds(pyarrow: Any, kind: Any, other: Any) -> bool:
    """Whether a type that pyarrow has found for several holds values of one of these just as they are."""
    types = pyarrow.types
    if types.is_struct(kind) and types.is_struct(other):
        inner = {field.name: field.type for field in kind}
        return all(_holds(pyarrow, inner[field.name], field.type) for field in other)
    if hasattr(kind, "value_type") and hasattr(other, "value_type"):
        return _holds(pyarrow, kind.value_type, other.value_type)
    if types.is_floating(kind):
        return not types.is_decimal(other)  # 1.1 is no float
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
    return not (is_bytes and (types.is_string(other) or types.is_large_string(other)))


def _has_empty_struct(pyarrow: Any, kind: Any) -> bool:
    if pyarrow.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(pyarrow, f.type) for f in kind)
    if pyarrow.types.is_list(kind):
        return _has_empty_struct(pyarrow, kind.value_type)
    return False


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value
