"""Imports files into a new run directory, which is created completely or not at all."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfinstruct.dataset.callbacks import Progress, no_progress
from selfinstruct.dataset.importing.merge import MEANING, LeftOut, TaskMerger
from selfinstruct.dataset.importing.source_formats import IN_ORDER, form_of, statement_of
from selfinstruct.dataset.importing.task_events import task_imported
from selfinstruct.dataset.record_files import read_records
from selfinstruct.errors import InputError
from selfinstruct.files import because, is_stream
from selfinstruct.journal_events import ImportedFile, RunStarted, TaskImported
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.records import Reason
from selfinstruct.runner.create_from_events import make_run
from selfinstruct.runner.directory import require_free
from selfinstruct.runner.manifest import Manifest, new_manifest, program_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Statistics of one import."""

    files: tuple[ImportedFile, ...]
    """The imported files, in the order in which they were read."""
    tasks: int
    with_instances: int
    """Number of tasks that already have instances."""
    without_kind: int
    """Number of tasks for which the run must still generate a kind and instances."""
    rows: int
    """Number of instances in all tasks."""
    instances_rejected: Mapping[Reason, int]
    """Number of rejected instances by reason, most frequent first."""
    left_out: Mapping[LeftOut, int]
    """Number of unused records by cause, most frequent first."""
    repaired: int
    """Number of records in which lone surrogates were replaced with U+FFFD."""
    model: str
    """The run's model; "" if no model is configured yet."""
    without_instances: int
    """Number of tasks for which the run must still generate instances."""


def import_run(
    directory: Path,
    files: Sequence[Path],
    settings: Mapping[str, Any],
    *,
    show: Progress = no_progress,
) -> Import:
    """Create a run in `directory` that contains the seed tasks, followed by the tasks from `files`.

    `settings` contains only explicitly chosen settings. All files are read before anything is written. Raises
    ConfigError, InputError, RunDirectoryError or JournalError; in each case, no run is created.
    """
    require_free(directory)
    manifest = new_manifest(settings, needs_model=False)
    sources = _sources(files, manifest.config.profile)
    seeds = [seed.instruction for seed in manifest.seed_tasks]
    merger = TaskMerger(seeds, profile=manifest.config.profile)
    records = [
        _read(path, file, number, merger, lambda share, text: show(share / len(sources), text))
        for number, (path, file) in enumerate(sources)
    ]
    merger.count_unread_replies()
    if not merger.tasks:
        causes = "; ".join(f"{MEANING[cause]}: {n:,}" for cause, n in merger.left_out.items())
        raise InputError(sources[0][0], f"has nothing to import ({causes}); choose other files")
    tasks_of_file = Counter(task.file for task in merger.tasks.values())
    imported = tuple(
        replace(file, records=records[number], tasks=tasks_of_file[number])
        for number, (_, file) in enumerate(sources)
    )
    tasks = list(_tasks(merger, manifest))
    config = manifest.config
    if "num_instructions" not in settings:
        config = config.changed(num_instructions=len(tasks))
    manifest = replace(manifest, config=config, imported=len(tasks))
    started = RunStarted(versions=program_versions(), settings={})
    make_run(directory, manifest, [*imported, started, *tasks])
    return _summary(imported, tasks, merger, model=manifest.config.model)


def _sources(files: Sequence[Path], profile: str) -> list[tuple[Path, ImportedFile]]:
    """Return the files in the order in which they must be read. Reads only each file's first record.

    Raises InputError if a file cannot be imported.
    """
    sources: list[tuple[Path, ImportedFile]] = []
    known: set[str] = set()
    names: Counter[str] = Counter()
    for path in files:
        if str(path) == "-" or is_stream(path):
            problem = (
                "cannot be imported, because its hash could not be checked later; save it as a file"
            )
            raise InputError("stdin" if str(path) == "-" else path, problem)
        with read_records(path) as records:
            first = next(iter(records), None)
        if first is None:
            raise InputError(path, "has no records; choose another file")
        real = os.path.realpath(path)
        if real in known:
            raise InputError(path, "is specified twice; keep one")
        known.add(real)
        # The journal stores only the file name, as valid Unicode, and no directories.
        name = os.fsencode(path.name).decode(errors="backslashreplace")
        names[name] += 1
        file = ImportedFile(
            name=f"{name} ({names[name]})" if names[name] > 1 else name,
            sha256=_sha256(path),
            form=form_of(first),
            records=0,
            tasks=0,
            profile=profile,
        )
        sources.append((path, file))
    return sorted(sources, key=lambda source: IN_ORDER.index(source[1].form))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None


def _read(
    path: Path,
    file: ImportedFile,
    number: int,
    merger: TaskMerger,
    show: Callable[[float, str], None],
) -> int:
    """Merge all records of a file, and return the number of records."""
    count = 0
    with read_records(path) as records:
        for record in records:
            count += 1
            place = replace(record, source=file.name).place
            merger.add(statement_of(record, file.form), place=place, file=number)
            show(number + (records.share or 0), f"{merger.records:,} records read")
    return count


def _tasks(merger: TaskMerger, manifest: Manifest) -> Iterator[TaskImported]:
    """Yield an event for each merged task. Raises InputError if the recipe can never finish a task."""
    for number, task in enumerate(merger.tasks.values(), start=1):
        event = task_imported(task, number, manifest.config)
        if event.instances is None and not recipe_of(manifest.config).asks_about_tasks:
            problem = (
                f"the task has no usable instance, and the recipe {manifest.config.recipe} never requests "
                "one; leave out --recipe, or remove such tasks"
            )
            raise InputError(event.place, problem)
        yield event


def _summary(
    files: tuple[ImportedFile, ...],
    tasks: Sequence[TaskImported],
    merger: TaskMerger,
    *,
    model: str,
) -> Import:
    rejected = Counter(rejection.reason for task in tasks for rejection in task.rejected)
    finished = [task.instances for task in tasks if task.instances is not None]
    return Import(
        files=files,
        tasks=len(tasks),
        with_instances=len(finished),
        without_kind=sum(t.is_classification is None and t.instances is None for t in tasks),
        rows=sum(map(len, finished)),
        instances_rejected=dict(rejected.most_common()),
        left_out=dict(merger.left_out.most_common()),
        repaired=merger.repaired,
        model=model,
        without_instances=len(tasks) - len(finished),
    )
