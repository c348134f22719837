"""Writes rows into files, all of them whole or none of them.

    with writing(Path("data.json"), Wanted(split=(0.95, 0.05))) as export:
        parts = export.write(rows)                     # data.train.json, data.test.json
        export.add(Path("README.md"), b"# My data")    # what is written beside them

At the end of the block the files get their names. If it is left by an exception, nothing is left over and
what was there before stands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from selfinstruct.dataset.export.csv_injection import without_formulas
from selfinstruct.dataset.export.datasets_folder import Folder, datasets_for, save
from selfinstruct.dataset.export.formats import FORMATS, Wanted
from selfinstruct.dataset.export.row_shapes import shape_of
from selfinstruct.dataset.export.rows import Row
from selfinstruct.dataset.export.selection import at_most_each, shuffled, split
from selfinstruct.dataset.record_files import Record, RecordWriter, write_records
from selfinstruct.dataset.record_files.sink import Sink
from selfinstruct.errors import ConfigError, ExportError

_SHOWN = 20
"""Rows that are kept to be shown."""

Kind = TypeVar("Kind", Sink, Folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was written into one file, or one part of a folder."""

    path: Path
    name: str
    """"train", "validation" or "test"."""
    rows: int
    instructions: int
    """Different ones among these rows."""
    seed_rows: int
    """Rows of seed tasks among them."""
    without_output: int
    """Rows with nothing but white space for an output: a file of somebody else may have such."""


@contextmanager
def writing(
    path: Path,
    wanted: Wanted,
    *,
    types: Mapping[str, str] | None = None,
    hold: Callable[[], None] = lambda: None,
) -> Iterator["Export"]:
    """Export to `path`, "-" for stdout; at the end of the block all files are there, whole.

    `types` are those of columns where a file has types, by name, as pyarrow writes them; all others are told
    from the values. `hold` is called once nothing can go wrong any more. Raises ConfigError for what cannot
    be, InputError for a file that is not to be replaced or a template that cannot be used, ExportError.
    """
    with ExitStack() as held:
        export = Export(path, wanted, types or {}, held)
        yield export
        hold()


class Export:
    """An export under way; see `writing`."""

    def __init__(
        self, path: Path, wanted: Wanted, types: Mapping[str, str], held: ExitStack
    ) -> None:
        self.wanted = wanted
        self.container = wanted.container_of(path)
        """The kind of file; one of CONTAINERS."""
        self._shape = shape_of(
            FORMATS[wanted.format].shape,
            template=wanted.template,
            system=wanted.system,
            kept=wanted.kept,
        )
        self.columns: tuple[str, ...] = ()
        """Of what was written, in order."""
        self.first: list[Row] = []
        """The first rows as they were written, for who wants to show some."""
        self._held = held
        # Left last: what tells of the rows gets its name after them.
        self._beside = held.enter_context(ExitStack())
        self._files = wanted.names(path)
        self._folder: Folder | None = None
        drafts: ExitStack | None = None
        if self.container == "datasets":
            datasets_for(path)  # now, since it may take long until there is something to write
            self._folder = held.enter_context(_whole(Folder(path)))
            drafts = held.enter_context(ExitStack())
        self._drafts = drafts
        self._writers = [
            (drafts or held).enter_context(
                write_records(self._draft(name), format="parquet", types=types)
                if drafts is not None
                else write_records(
                    file, format=self.container, types=types, is_marked=wanted.csv_safe
                )
            )
            for name, file in self._files
        ]

    def _draft(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder.drafts / f"{name}.parquet"

    def write(self, rows: Iterable[Row]) -> list[Part]:
        """Write the rows, in shape and in parts, once.

        Raises ConfigError where there are fewer instructions than parts, InputError for a template that fails
        on a row, and ExportError.
        """
        parts = []
        for (name, file), writer, some in zip(
            self._files, self._writers, self._parts(rows), strict=True
        ):
            with self._named():
                parts.append(self._write(writer, some, path=file, name=name))
        for writer in self._writers:  # all, before any gets its name
            with self._named():
                writer.complete()
        if self._folder is not None and self._drafts is not None:
            self._drafts.close()
            save({name: self._draft(name) for name, _ in self._files}, self._folder)
            self._folder.complete()
        return parts

    def _parts(self, rows: Iterable[Row]) -> Sequence[Iterable[Row]]:
        wanted = self.wanted
        if wanted.max_instances_per_task is not None:
            rows = at_most_each(rows, wanted.max_instances_per_task)
        parts: list[Iterable[Row]] = [rows]
        if wanted.split:
            try:
                parts = [*split([*rows], wanted.split, seed=wanted.shuffle_seed or 0)]
            except ValueError as error:
                raise ConfigError("split", f"cannot be: {error}; leave it out") from None
        if wanted.shuffle_seed is None:
            return parts
        return [shuffled([*part], wanted.shuffle_seed) for part in parts]

    def _write(self, writer: RecordWriter, rows: Iterable[Row], *, path: Path, name: str) -> Part:
        count, seed_rows, without_output = 0, 0, 0
        instructions = set()
        columns = dict.fromkeys(self.columns or self._shape.columns)
        for count, row in enumerate(rows, start=1):
            instructions.add(row["instruction"])
            seed_rows += row.get("origin") == "seed"
            without_output += not row["output"].strip()
            made = self._shape.of(row)
            if self.wanted.csv_safe:
                made = without_formulas(made)
            columns.update(dict.fromkeys(made))
            if len(self.first) < _SHOWN:
                self.first.append({**made})
            size = len(row["instruction"]) + len(row["input"]) + len(row["output"])
            added = {column: made.pop(column) for column in self.wanted.kept if column in made}
            writer.write(Record(made, str(path), count, size=size), added)
        self.columns = tuple(columns)
        return Part(
            path=path,
            name=name,
            rows=count,
            instructions=len(instructions),
            seed_rows=seed_rows,
            without_output=without_output,
        )

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What goes wrong with a draft is told of the folder that it is for."""
        try:
            yield
        except ExportError as error:
            if self._folder is None:
                raise
            problem = str(error).removeprefix(f"{error.path}: ")
            raise ExportError(self._folder.path, problem) from None

    def add(self, path: Path, data: bytes) -> None:
        """A file to be written beside them. Raises ExportError, InputError."""
        sink = Sink(path)

        def abandon(kind: object, *_: object) -> None:
            if kind is not None:
                sink.abandon()  # before the others, whose folders must be empty to be taken back

        self._held.push(abandon)
        self._beside.enter_context(_whole(sink))
        with sink.faults():
            sink.stream.write(data)
        sink.complete()


@contextmanager
def _whole(written: Kind) -> Iterator[Kind]:
    """Open something that is finished at the end of the block, or else abandoned."""
    try:
        written.open()
        yield written
        written.finish()
    except BaseException:  # Ctrl-C too
        written.abandon()
        raise
