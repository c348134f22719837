"""The source with a name: a run directory, or a file of records; "-" is stdin.

with open_source("my-run") as source:
    rows = [*source.rows()]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from selfinstruct.dataset.alpaca_files import rows_of
from selfinstruct.dataset.callbacks import Progress, no_progress
from selfinstruct.dataset.record_files import Record, RecordReader, read_records
from selfinstruct.dataset.record_files.formats import check_format
from selfinstruct.dataset.row_filters import RowFilter, first_instructions
from selfinstruct.dataset.rows import Row, provenance_rows, select
from selfinstruct.errors import ConfigError, InputError, RunDirectoryError
from selfinstruct.pipeline.summary import summarize
from selfinstruct.runner.directory import Run, read_run
from selfinstruct.runner.loop import is_complete


@dataclass
class RunSource:
    """The rows of a run; the records are the rows of the `jsonl` export."""

    run: Run
    include_seed_tasks: bool = False
    reader: None = None

    def rows(self, progress: Progress = no_progress) -> Iterator[Row]:
        """Yield the rows in pool order. Raises RunDirectoryError if the run has no rows."""
        state = self.run.state
        tasks = select(state.pool, include_seed_tasks=self.include_seed_tasks)
        if not any(task.instances for task in tasks):
            raise RunDirectoryError(
                self.run.directory,
                f"has no rows yet: none of its {state.accepted:,} instructions has instances; nothing was "
                "written. Continue the run, then export it",
            )
        for number, task in enumerate(tasks, start=1):
            progress(number / len(tasks), f"{number:,} of {len(tasks):,} instructions")
            yield from provenance_rows([task])

    def records(self) -> Iterator[Record]:
        """Yield the rows as records."""
        for number, row in enumerate(self.rows(), start=1):
            yield Record(row, str(self.run.directory), number)

    def first(self, count: int) -> RowFilter:
        """Return the filter for the first `count` accepted tasks, with or without rows, and seed tasks."""
        later = {task.id for task in self.run.state.pool.generated[count:]}
        return lambda rows: (row for row in rows if row["task_id"] not in later)

    def remarks(self) -> Iterator[str]:
        """Yield remarks about instructions without rows."""
        state, config = self.run.state, self.run.config
        without_rows = state.counts.finished_tasks - state.counts.with_instances
        if without_rows:
            have = "has" if without_rows == 1 else "have"
            yield (
                f"{without_rows:,} of the run's {state.accepted:,} instructions {have} no usable instance "
                "and no row"
            )
        if never_asked := summarize(state).never_asked:
            yield (
                f"of the run's {state.accepted:,} instructions {never_asked:,} have no instances, because "
                "the model was never asked"
            )
        if state.source is None and not is_complete(self.run):
            yield (
                f"{self.run.directory} is not complete yet: {state.accepted:,} of "
                f"{config.num_instructions:,} instructions, "
                f"{state.counts.finished_tasks:,} of them finished"
            )


@dataclass
class FileSource:
    """The records of a file, which are Alpaca-style if a caller wants rows."""

    reader: RecordReader
    run: None = None

    def rows(self, progress: Progress = no_progress) -> Iterator[Row]:
        """Yield the rows in file order. Raises InputError if there are none or one is not Alpaca-style."""
        number = 0
        for number, row in enumerate(rows_of(self.reader), start=1):
            progress(self.reader.share, f"{number:,} rows")
            yield row
        if not number:
            raise InputError(self.reader.name, "has no rows, so there is nothing to export")

    def records(self) -> Iterator[Record]:
        """Yield the records with any fields."""
        return iter(self.reader)

    def first(self, count: int) -> RowFilter:
        """Return the filter for the first `count` different instructions."""
        return partial(first_instructions, count=count)

    def remarks(self) -> Iterator[str]:
        """Yield no remarks."""
        return iter(())


Source = RunSource | FileSource
"""Rows or records that can be read once."""


@contextmanager
def open_source(
    name: str,
    *,
    is_run: bool | None = None,
    input_format: str | None = None,
    include_seed_tasks: bool = False,
) -> Iterator[Source]:
    """Open a run or a file. `input_format` is the format of a file; None by its name or first character.

    Without `is_run`, a run is a directory, or a missing path without a suffix. Raises ConfigError for an
    option that does not fit the source, and the errors of the run or the file.
    """
    if _names_run(name) if is_run is None else is_run:
        if input_format is not None:
            raise ConfigError("input_format", f"is for files, but {name} is a run; leave it out")
        yield RunSource(read_run(Path(name)), include_seed_tasks)
        return
    if include_seed_tasks:
        problem = f"needs a run, but {name} is a list of records; leave it out"
        raise ConfigError("include_seed_tasks", problem)
    check_format("input_format", input_format)
    with read_records(name, format=input_format, option="--input-format") as reader:
        yield FileSource(reader)


def _names_run(name: str) -> bool:
    path = Path(name)
    try:
        return name != "-" and (path.is_dir() if path.exists() else not path.suffix)
    except OSError:
        return True  # reading the run reports the problem with the name
