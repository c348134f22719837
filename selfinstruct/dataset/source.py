"""Opens a run directory or a file of records as a source of rows. The name "-" means stdin.

with open_source("my-run") as source:
    rows = [*source.rows()]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from selfinstruct.dataset.callbacks import Progress, no_progress
from selfinstruct.dataset.record_files import Record, RecordReader, read_records
from selfinstruct.dataset.record_files.formats import check_format
from selfinstruct.dataset.row_filters import RowFilter, first_instructions
from selfinstruct.dataset.rows import Row, provenance_rows, select
from selfinstruct.dataset.rows_from_records import rows_of
from selfinstruct.errors import ConfigError, InputError, RunDirectoryError
from selfinstruct.pipeline.summary import summarize
from selfinstruct.runner.directory import Run, read_run
from selfinstruct.runner.loop import is_complete


@dataclass
class RunSource:
    """A run as a source. Its rows, and also its records, are the rows of the `jsonl` export."""

    run: Run
    include_seed_tasks: bool = False
    reader: None = None

    def rows(self, progress: Progress = no_progress) -> Iterator[Row]:
        """Yield the rows in the order of the run's tasks. Raises RunDirectoryError if the run has no rows."""
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
        """Return a filter that keeps the rows of seed tasks and of the first `count` accepted tasks.

        Accepted tasks without rows count too.
        """
        later = {task.id for task in self.run.state.pool.generated[count:]}
        return lambda rows: (row for row in rows if row["task_id"] not in later)

    def remarks(self) -> Iterator[str]:
        """Yield remarks for the user about instructions without rows, and about an incomplete run."""
        state, config = self.run.state, self.run.config
        without_rows = state.counts.finished_tasks - state.counts.with_instances
        if without_rows:
            have = "has" if without_rows == 1 else "have"
            yield (
                f"{without_rows:,} of the run's {state.accepted:,} instructions {have} no usable instance, "
                "and so no row"
            )
        if never_asked := summarize(state).never_asked:
            yield (
                f"{never_asked:,} of the run's {state.accepted:,} instructions have no instances, because "
                "the model was never asked for them"
            )
        if state.source is None and not is_complete(self.run):
            yield (
                f"{self.run.directory} is not complete yet: {state.accepted:,} of "
                f"{config.num_instructions:,} instructions, "
                f"{state.counts.finished_tasks:,} of them finished"
            )


@dataclass
class FileSource:
    """A file of records as a source. To be read as rows, the records must be Alpaca-style."""

    reader: RecordReader
    run: None = None

    def rows(self, progress: Progress = no_progress) -> Iterator[Row]:
        """Yield the rows in file order.

        Raises InputError if the file has no rows or a record is not Alpaca-style.
        """
        number = 0
        for number, row in enumerate(rows_of(self.reader), start=1):
            progress(self.reader.share, f"{number:,} rows")
            yield row
        if not number:
            raise InputError(self.reader.name, "has no rows, so there is nothing to export")

    def records(self) -> Iterator[Record]:
        """Yield the records in file order. They may have any fields."""
        return iter(self.reader)

    def first(self, count: int) -> RowFilter:
        """Return a filter that keeps all rows with one of the first `count` different instructions."""
        return partial(first_instructions, count=count)

    def remarks(self) -> Iterator[str]:
        """Yield nothing, because there are no remarks about files."""
        return iter(())


Source = RunSource | FileSource
"""A run or a file, whose rows or records can be read once."""


@contextmanager
def open_source(
    name: str,
    *,
    is_run: bool | None = None,
    input_format: str | None = None,
    include_seed_tasks: bool = False,
) -> Iterator[Source]:
    """Open a run or a file.

    If `is_run` is None, `name` is taken as a run if it is a directory, or if it does not exist and has no
    suffix. `input_format` is a file's format; if None, the file's name or first character determines it.
    Raises ConfigError if an option does not fit the source. Raises RunDirectoryError, JournalError or
    InputError if the run or file cannot be read.
    """
    if _names_run(name) if is_run is None else is_run:
        if input_format is not None:
            raise ConfigError(
                "input_format", f"is only for files, but {name} is a run; leave it out"
            )
        yield RunSource(read_run(Path(name)), include_seed_tasks)
        return
    if include_seed_tasks:
        problem = f"needs a run, but {name} is a file of records; leave it out"
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
