"""From files to a run directory: made whole or not at all. Everything is read before anything is written."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfinstruct.dataset.importing.merge import MEANING, Gathering, LeftOut
from selfinstruct.dataset.importing.source_formats import IN_ORDER, form_of, told_by
from selfinstruct.dataset.importing.tasks import task_imported
from selfinstruct.dataset.record_files import Record, read_records
from selfinstruct.errors import InputError
from selfinstruct.events import Event, Form, ImportedFile, RunStarted, TaskImported
from selfinstruct.files import because
from selfinstruct.records import Reason
from selfinstruct.runner.create import make_run
from selfinstruct.runner.directory import require_free
from selfinstruct.runner.manifest import Manifest, new_manifest, program_versions

Show = Callable[[float | None, str], None]
"""Takes the share done of what is under way, None where it is not known, and what there is to say."""

_AT_A_TIME = 1 << 20
"""Bytes that are hashed at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What was imported, and what was left out."""

    files: tuple[ImportedFile, ...]
    """In the order in which they were read."""
    tasks: int
    with_instances: int
    """Tasks of which nothing will be asked."""
    without_kind: int
    """Tasks of which the kind will be asked, and then the instances."""
    rows: int
    """Instances in all."""
    instances_rejected: Mapping[Reason, int]
    """Instances that cannot be used, by reason, most frequent first."""
    left_out: Mapping[LeftOut, int]
    """Records from which nothing was taken, by cause, most frequent first."""
    mended: int
    """Records that held halves of surrogate pairs, in place of which U+FFFD stands."""
    model: str
    """That the run will ask; "" where none was named yet."""

    @property
    def without_instances(self) -> int:
        """Tasks of which the instances will be asked."""
        return self.tasks - self.with_instances


def import_run(
    directory: Path,
    files: Sequence[Path],
    settings: Mapping[str, Any],
    *,
    show: Show = lambda _share, _line: None,
) -> Import:
    """Make a run in `directory` whose pool begins with the tasks that `files` tell of, behind the seed tasks.

    `settings` are those given explicitly. Raises ConfigError, InputError with the place in a file,
    RunDirectoryError, JournalError; then there is no run.
    """
    require_free(directory)
    manifest = new_manifest(settings, needs_model=False)
    sources = _sources(files)
    gathering = Gathering(
        (seed.instruction for seed in manifest.seed_tasks), profile=manifest.config.profile
    )
    records = [
        _read(source, number, gathering, show=show, total=sum(s.size for s in sources))
        for number, source in enumerate(sources)
    ]
    gathering.count_rows_stand()
    if not gathering.tasks:
        why = "; ".join(f"{MEANING[cause]}: {n:,}" for cause, n in gathering.left_out.items())
        raise InputError(sources[0].path, f"nothing is left to import ({why}); name other files")
    named = Counter(task.file for task in gathering.tasks.values())
    told = tuple(
        ImportedFile(
            name=source.name,
            sha256=source.sha256,
            form=source.form,
            records=records[number],
            tasks=named[number],
            profile=manifest.config.profile,
        )
        for number, source in enumerate(sources)
    )
    tasks = list(_tasks(gathering, manifest, show))
    config = manifest.config
    if "num_instructions" not in settings:
        config = config.changed(num_instructions=len(tasks))
    manifest = replace(manifest, config=config, imported=len(tasks))
    started = RunStarted(versions=program_versions(), settings={})
    make_run(directory, manifest, _shown([*told, started, *tasks], show))
    return _summary(told, tasks, gathering, model=manifest.config.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A file, and what it was recognised as."""

    path: Path
    name: str
    """As the journal has it."""
    form: Form
    sha256: str
    size: int
    """Bytes."""
    before: int = 0
    """Bytes of the files that are read before it."""


def _sources(files: Sequence[Path]) -> list[_Source]:
    """The files in the order in which they are read; what is wrong with any is found before that."""
    found: list[_Source] = []
    known: set[str] = set()
    names: Counter[str] = Counter()
    for path in files:
        if str(path) == "-" or _is_special(path):
            raise InputError(
                "stdin" if str(path) == "-" else path,
                "cannot be imported: what was read could not be told by its hash later; write it to a file",
            )
        with read_records(path) as records:
            first = next(iter(records), None)
        if first is None:
            raise InputError(path, "holds no records; name a file that does")
        real = os.path.realpath(path)
        if real in known:
            raise InputError(path, "is given twice; name it once")
        known.add(real)
        name = _as_text(path)
        names[name] += 1
        found.append(
            _Source(
                path=path,
                name=f"{name} ({names[name]})" if names[name] > 1 else name,
                form=form_of(first),
                sha256=_sha256(path),
                size=path.stat().st_size,
            )
        )
    found.sort(key=lambda source: IN_ORDER.index(source.form))
    before = [sum(source.size for source in found[:n]) for n in range(len(found))]
    return [replace(source, before=n) for source, n in zip(found, before, strict=True)]


def _is_special(path: Path) -> bool:
    """Whether it can be read once only, as a pipe. What is not there, or is a folder, its reader will say."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _as_text(path: Path) -> str:
    """The name of a file as a journal can hold it, whatever its bytes are; no folder of the machine."""
    return os.fsencode(path.name).decode(errors="backslashreplace")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_AT_A_TIME):
                digest.update(piece)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    return digest.hexdigest()


def _read(source: _Source, number: int, gathering: Gathering, *, show: Show, total: int) -> int:
    """Take all that a file says. Returns how many records it has."""
    count = 0
    with read_records(source.path) as records:
        for record in records:
            count += 1
            told = told_by(record, source.form)
            gathering.take(told, place=_place(record, source.name), file=number)
            share = (source.before + records.bytes_read) / total if total else None
            show(share, f"{gathering.records:,} records read")
    return count


def _place(record: Record, name: str) -> str:
    """Where a record stands, without the folder that its file is in."""
    return replace(record, source=name).place


def _tasks(gathering: Gathering, manifest: Manifest, show: Show) -> Iterator[TaskImported]:
    """The tasks as the journal has them. Raises InputError where the recipe could never finish one."""
    number_of_tasks = len(gathering.tasks)
    for number, task in enumerate(gathering.tasks.values(), start=1):
        event = task_imported(task, number, manifest.config)
        if event.instances is None and not manifest.recipe.has_task_stages:
            raise InputError(
                event.place,
                f"the task there has no usable instance, and the recipe {manifest.recipe.name} never "
                "asks for one; leave --recipe out, or take such tasks out",
            )
        yield event
        show(number / number_of_tasks, f"{number:,} of {number_of_tasks:,} tasks")


def _shown(events: Sequence[Event], show: Show) -> Iterator[Event]:
    for number, event in enumerate(events, start=1):
        yield event
        show(number / len(events), f"{number:,} of {len(events):,} lines written")


def _summary(
    files: tuple[ImportedFile, ...],
    tasks: Sequence[TaskImported],
    gathering: Gathering,
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
        left_out=dict(gathering.left_out.most_common()),
        mended=gathering.mended,
        model=model,
    )
