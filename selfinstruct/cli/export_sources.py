"""Where an export takes its rows from: a run, or a file of somebody."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from selfinstruct.cli.progress_bar import Show
from selfinstruct.cli.record_files import open_input
from selfinstruct.dataset.export import (
    Added,
    Row,
    first_instructions,
    provenance_rows,
    rows_of,
    select,
)
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
class Chosen:
    """Which of its rows."""

    include_seed_tasks: bool = False
    limit: int | None = None
    """Instructions; None for all."""
    similarities: bool = False
    input_format: str | None = None


@dataclass
class RunSource:
    """A run's tasks."""

    directory: Path
    chosen: Chosen
    run: Run = field(init=False)

    def __enter__(self) -> Self:
        if self.chosen.input_format is not None:
            problem = f"is for files, and {self.directory} is a run; leave it out"
            raise ConfigError("input_format", problem)
        self.run = read_run(self.directory)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rows(self, show: Show) -> Iterator[Row]:
        """The rows, in pool order. Raises RunDirectoryError where there are none."""
        state = self.run.state
        tasks = select(
            state.pool,
            include_seed_tasks=self.chosen.include_seed_tasks,
            limit=self.chosen.limit,
        )
        if not any(task.instances for task in tasks):
            raise RunDirectoryError(
                self.directory,
                f"has no rows yet: of {state.accepted:,} instructions none has instances; nothing was "
                "written. Continue the run, then export it",
            )
        added = _similarities(state, tasks, show) if self.chosen.similarities else None
        for number, task in enumerate(tasks, start=1):
            show(number / len(tasks), f"{number:,} of {len(tasks):,} instructions")
            yield from provenance_rows([task], added=added)

    def remarks(self) -> list[str]:
        """What a person should know about it."""
        state, config = self.run.state, self.run.config
        told = []
        bare = state.counts.finished_tasks - state.counts.with_instances
        if bare:
            have = "has" if bare == 1 else "have"
            told.append(
                f"{bare:,} of the run's {state.accepted:,} instructions {have} no instance that can be used, "
                "and no row"
            )
        if never_asked := summarize(state).never_asked:
            told.append(
                f"of the run's {state.accepted:,} instructions {never_asked:,} have no instances, because "
                "the model was never asked"
            )
        if state.source is None and not is_complete(self.run):
            told.append(
                f"{self.directory} is not complete yet: {state.accepted:,} of "
                f"{config.num_instructions:,} instructions, "
                f"{state.counts.finished_tasks:,} of them finished"
            )
        return told


@dataclass
class FileSource:
    """Anyone's Alpaca-style records."""

    name: str
    chosen: Chosen
    run: None = None
    _records: RecordReader = field(init=False)

    def __enter__(self) -> Self:
        if self.chosen.include_seed_tasks:
            problem = f"needs a run, and {self.name} is a list of records; leave it out"
            raise ConfigError("include_seed_tasks", problem)
        if self.chosen.similarities:
            problem = (
                f"needs a run, and {self.name} is a list of records; selfinstruct filter --similarities adds "
                "them to a list"
            )
            raise ConfigError("similarities", problem)
        self._records = open_input(self.name, self.chosen.input_format)
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    def rows(self, show: Show) -> Iterator[Row]:
        """The rows, in order. Raises InputError where there are none, and for what is none."""
        rows: Iterator[Row] = rows_of(self._records)
        if self.chosen.limit is not None:
            rows = first_instructions(rows, self.chosen.limit)
        number = 0
        for number, row in enumerate(rows, start=1):
            total = self._records.total_bytes
            show(self._records.bytes_read / total if total else None, f"{number:,} rows")
            yield row
        if not number:
            raise InputError(self._records.name, "holds no rows, so there is nothing to export")

    def remarks(self) -> list[str]:
        """What a person should know about it."""
        return []


def source_of(name: str, chosen: Chosen) -> AbstractContextManager[RunSource | FileSource]:
    """The source of that name: a directory is a run, anything else a file; "-" is stdin."""
    path = Path(name)
    try:
        is_list = name == "-" or path.is_file() or (path.exists() and is_stream(path))
        is_list = is_list or (bool(path.suffix) and not path.exists())  # meant to be a file
    except OSError:
        is_list = False  # whoever reads it says what is wrong with the name
    return FileSource(name, chosen) if is_list else RunSource(path, chosen)


def _similarities(state: "RunState", tasks: "Sequence[Task]", show: Show) -> Added:
    """The fields of each task: compared with the pool as it was when the task was accepted."""
    texts = state.index.texts
    place = {task.id: position for position, task in enumerate(state.pool)}
    wanted = [task.id for task in tasks if task.instances]
    found = state.index.similarities(
        [place[task_id] for task_id in wanted], workers=os.cpu_count() or 1
    )
    added = {}
    for number, (task_id, similarities) in enumerate(zip(wanted, found, strict=True), start=1):
        added[task_id] = similarities.as_fields(texts)
        show(number / len(wanted), f"{number:,} of {len(wanted):,} similarities")
    return added
