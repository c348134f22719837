"""The two kinds of sources that rows can be exported from: a run, or a file of records."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.dataset.export.alpaca_files import rows_of
from selfinstruct.dataset.export.rows import Added, Row, provenance_rows, select
from selfinstruct.dataset.export.selection import first_instructions
from selfinstruct.dataset.file_jobs import Progress, open_input
from selfinstruct.dataset.record_files import RecordReader
from selfinstruct.errors import ConfigError, InputError, RunDirectoryError
from selfinstruct.files import is_stream
from selfinstruct.pipeline.summary import summarize
from selfinstruct.runner.directory import Run, read_run
from selfinstruct.runner.loop import is_complete

if TYPE_CHECKING:
    from selfinstruct.pipeline.state import RunState
    from selfinstruct.records import Task


@dataclass(frozen=True, kw_only=True)
class RowSelection:
    """Which rows to export from a source, and which columns to add."""

    include_seed_tasks: bool = False
    limit: int | None = None
    """Maximum number of instructions; None for all instructions."""
    similarities: bool = False
    """Whether to add the most similar earlier instructions to each row."""
    input_format: str | None = None
    """The input file's format. If None, the file's name or first character determines it."""


@dataclass
class RunSource:
    """A run whose tasks are exported."""

    run: Run
    selection: RowSelection

    def rows(self, progress: Progress) -> Iterator[Row]:
        """Yield the rows in pool order. Raises RunDirectoryError if the run has no rows."""
        state, selection = self.run.state, self.selection
        tasks = select(
            state.pool, include_seed_tasks=selection.include_seed_tasks, limit=selection.limit
        )
        if not any(task.instances for task in tasks):
            raise RunDirectoryError(
                self.run.directory,
                f"has no rows yet: none of its {state.accepted:,} instructions has instances; nothing was "
                "written. Continue the run, then export it",
            )
        added = _similarities(state, tasks, progress) if selection.similarities else None
        for number, task in enumerate(tasks, start=1):
            progress(number / len(tasks), f"{number:,} of {len(tasks):,} instructions")
            yield from provenance_rows([task], added=added)

    def remarks(self) -> list[str]:
        """Return remarks about instructions that have no rows, and about an incomplete run."""
        state, config = self.run.state, self.run.config
        remarks = []
        without_rows = state.counts.finished_tasks - state.counts.with_instances
        if without_rows:
            have = "has" if without_rows == 1 else "have"
            remarks.append(
                f"{without_rows:,} of the run's {state.accepted:,} instructions {have} no usable instance "
                "and no row"
            )
        if never_asked := summarize(state).never_asked:
            remarks.append(
                f"of the run's {state.accepted:,} instructions {never_asked:,} have no instances, because "
                "the model was never asked"
            )
        if state.source is None and not is_complete(self.run):
            remarks.append(
                f"{self.run.directory} is not complete yet: {state.accepted:,} of "
                f"{config.num_instructions:,} instructions, "
                f"{state.counts.finished_tasks:,} of them finished"
            )
        return remarks


@dataclass
class FileSource:
    """A file of Alpaca-style records that are exported."""

    records: RecordReader
    selection: RowSelection
    run: None = None

    def rows(self, progress: Progress) -> Iterator[Row]:
        """Yield the rows in file order. Raises InputError if there are none or one is not Alpaca-style."""
        rows: Iterator[Row] = rows_of(self.records)
        if self.selection.limit is not None:
            rows = first_instructions(rows, self.selection.limit)
        number = 0
        for number, row in enumerate(rows, start=1):
            progress(self.records.share, f"{number:,} rows")
            yield row
        if not number:
            raise InputError(self.records.name, "has no rows, so there is nothing to export")

    def remarks(self) -> list[str]:
        """Return an empty list, because there are no remarks about files."""
        return []


@contextmanager
def source_of(name: str, selection: RowSelection) -> Iterator[RunSource | FileSource]:
    """Open the source `name`: a run if it is a directory, otherwise a file; "-" is stdin."""
    if not _is_file(name):
        if selection.input_format is not None:
            raise ConfigError("input_format", f"is for files, but {name} is a run; leave it out")
        yield RunSource(read_run(Path(name)), selection)
        return
    problem = f"needs a run, but {name} is a list of records"
    if selection.include_seed_tasks:
        raise ConfigError("include_seed_tasks", f"{problem}; leave it out")
    if selection.similarities:
        remedy = "to add them to a list, use selfinstruct filter --similarities"
        raise ConfigError("similarities", f"{problem}; {remedy}")
    with open_input(name, selection.input_format) as records:
        yield FileSource(records, selection)


def _is_file(name: str) -> bool:
    path = Path(name)
    try:
        is_misspelt = bool(path.suffix) and not path.exists()
        return name == "-" or path.is_file() or (path.exists() and is_stream(path)) or is_misspelt
    except OSError:
        return False  # reading the run reports the problem with the name


def _similarities(state: "RunState", tasks: "Sequence[Task]", progress: Progress) -> Added:
    """Return, for each task, its similarities to the tasks that were in the pool when it was accepted."""
    position = {task.id: number for number, task in enumerate(state.pool)}
    ids = [task.id for task in tasks if task.instances]
    similarities = state.index.similarities(
        [position[task_id] for task_id in ids], workers=os.cpu_count() or 1
    )
    added = {}
    for number, (task_id, similar) in enumerate(zip(ids, similarities, strict=True), start=1):
        added[task_id] = similar.as_fields(state.index.texts)
        progress(number / len(ids), f"{number:,} of {len(ids):,} similarities")
    return added
