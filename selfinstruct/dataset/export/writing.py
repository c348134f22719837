"""Writes rows to one or more files. Either all files are written or none.

    with writing(Path("data.json"), ExportOptions(split=(0.95, 0.05))) as export:
        parts = export.write(rows)                     # data.train.json, data.test.json
        export.add(Path("README.md"), b"# My data")    # a file next to the data

The files appear under their names at the end of the block. If the block raises, no new file is created, and
existing files are kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from selfinstruct.dataset.export.csv_injection import without_formulas
from selfinstruct.dataset.export.datasets_folder import Folder
from selfinstruct.dataset.export.export_options import FORMATS, ExportOptions
from selfinstruct.dataset.export.row_shapes import shape_of
from selfinstruct.dataset.export.splitting import shuffled, split
from selfinstruct.dataset.record_files import Record, RecordWriter
from selfinstruct.dataset.record_files.formats import package_for
from selfinstruct.dataset.record_files.sink import MemorySink, Sink, Target
from selfinstruct.dataset.record_files.writing import writer_to
from selfinstruct.dataset.rows import SIMILARITIES, Row
from selfinstruct.errors import ConfigError

_SHOWN = 20
"""Maximum number of rows in `Export.first`."""

Opened = TypeVar("Opened", bound=Target)


@dataclass(slots=True, kw_only=True)
class Part:
    """One part of a split: one file, or one dataset in a `datasets` directory."""

    path: Path
    name: str
    """"train", "validation" or "test"."""
    rows: int = 0
    instructions: int = 0
    """Number of different instructions."""
    seed_rows: int = 0
    """Number of rows from seed tasks."""
    without_output: int = 0
    """Number of rows whose output is empty or only white space."""


@contextmanager
def writing(
    path: Path,
    options: ExportOptions,
    *,
    types: Mapping[str, str] | None = None,
    hold: Callable[[], None] = lambda: None,
) -> Iterator["Export"]:
    """Open an export to `path`; "-" is stdout. All files appear at the end of the block.

    `types` contains Arrow column types for Parquet by column name; other types are inferred from the values.
    `hold` is called after all files are complete and before they are renamed. Raises ConfigError if options
    cannot be combined, InputError if a file must not be replaced or the template cannot be used, and
    ExportError if a file cannot be written.
    """
    targets: list[Target] = []
    try:
        export = Export(path, options, types or {}, targets)
        yield export
        hold()
        for target in targets:
            target.finish()
    except BaseException:  # including KeyboardInterrupt
        for target in reversed(targets):  # because new folders must be empty to be removed
            target.abandon()
        raise


class Export:
    """An export in progress; see `writing`."""

    def __init__(
        self, path: Path, options: ExportOptions, types: Mapping[str, str], targets: list[Target]
    ) -> None:
        """Open the output files, and append each of them to `targets`."""
        self.options = options
        self.container = options.container_of(path)
        """The file format; one of CONTAINERS."""
        self._kept = SIMILARITIES if options.similarities else ()
        self._shape = shape_of(
            FORMATS[options.format].shape,
            template=options.template,
            system=options.system,
            kept=self._kept,
        )
        self.columns: dict[str, None] = {}
        """The columns written so far, in order."""
        self.first: list[Row] = []
        """The first rows, as they were written."""
        self._targets = targets
        self._files = options.names(path)
        self._folder: Folder | None = None
        if self.container == "datasets":
            package_for(path, "datasets")  # raises an error early if the package is missing
            self._folder = self._opened(Folder(path))
        self._writers = [self._writer(file, types) for _, file in self._files]

    def _writer(self, file: Path, types: Mapping[str, str]) -> RecordWriter:
        """Return a writer for one part, which writes to a file, or to memory for a `datasets` directory."""
        if self._folder is not None:
            return writer_to(self._opened(MemorySink(file)), "parquet", types=types)
        sink, is_marked = self._opened(Sink(file)), self.options.csv_safe
        return writer_to(sink, self.container, types=types, is_marked=is_marked)

    def _opened(self, target: Opened) -> Opened:
        self._targets.append(target)  # first, because opening may be interrupted
        target.open()
        return target

    def write(self, rows: Iterable[Row]) -> list[Part]:
        """Write all rows, and return the parts. Call this only once.

        Raises ConfigError if there are fewer instructions than parts, InputError if the template fails on a
        row, and ExportError if writing fails.
        """
        parts = [
            self._write(writer, part, path=file, name=name)
            for (name, file), writer, part in zip(
                self._files, self._writers, self._parts(rows), strict=True
            )
        ]
        for writer in self._writers:  # Complete all files before the first is renamed.
            writer.complete()
        if self._folder is not None:
            streams = (writer.sink.stream for writer in self._writers)
            self._folder.save({part.name: s for part, s in zip(parts, streams, strict=True)})
        return parts

    def _parts(self, rows: Iterable[Row]) -> Sequence[Iterable[Row]]:
        options = self.options
        parts: list[Iterable[Row]] = [rows]
        if options.shares:
            try:
                parts = [*split([*rows], options.shares, seed=options.shuffle_seed or 0)]
            except ValueError as error:
                raise ConfigError("split", f"is not possible: {error}; leave out --split") from None
        if options.shuffle_seed is None:
            return parts
        return [shuffled([*part], options.shuffle_seed) for part in parts]

    def _write(self, writer: RecordWriter, rows: Iterable[Row], *, path: Path, name: str) -> Part:
        made = Part(path=path, name=name)
        instructions = set()
        for row in rows:
            instructions.add(row["instruction"])
            made.rows += 1
            made.seed_rows += row.get("origin") == "seed"
            made.without_output += not row["output"].strip()
            shaped = self._shape(row)
            if self.options.csv_safe:
                shaped = without_formulas(shaped)
            self.columns.update(dict.fromkeys(shaped))
            if len(self.first) < _SHOWN:
                self.first.append({**shaped})
            added = {column: shaped.pop(column) for column in self._kept if column in shaped}
            writer.write(Record(shaped, str(path), made.rows), added)
        made.instructions = len(instructions)
        return made

    def add(self, path: Path, data: bytes) -> None:
        """Write a file next to the data. Raises ExportError, or InputError if `path` belongs to a run."""
        sink = self._opened(Sink(path))
        with sink.faults():
            sink.stream.write(data)
        sink.complete()
