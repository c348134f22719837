"""Opens a run directory for writing, or reads it.

An existing run's settings are read from its directory, so it is not affected by a later release's new
defaults. Only settings that the caller passes explicitly are compared with the stored ones. `run_files` lists
the directory's files.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from selfinstruct.budget.limits import Budget, Limits, limits_of
from selfinstruct.config.reading import load_settings
from selfinstruct.config.schema import OPERATIONAL, RunConfig
from selfinstruct.errors import ConfigChangedError, ConfigError, JournalError, RunDirectoryError
from selfinstruct.journal_events import (
    Event,
    ImportedFile,
    Outcome,
    RefilteredFrom,
    Released,
    Reserved,
    RunStarted,
    TaskImported,
)
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.state import RunState, apply, initial
from selfinstruct.records import Stage
from selfinstruct.runner.journal import Journal, read_journal
from selfinstruct.runner.journal_line import Entry
from selfinstruct.runner.lock import locked
from selfinstruct.runner.manifest import (
    Manifest,
    changed_settings,
    new_manifest,
    read_manifest,
    refuse_irregular,
    write_manifest,
)
from selfinstruct.runner.next_request import Scheduler
from selfinstruct.runner.run_events import run_events
from selfinstruct.runner.run_file_names import CONFIG, JOURNAL, LOCK, NAMES, system_error


@dataclass(kw_only=True)
class Run(Manifest):
    """A run, read from its directory."""

    directory: Path
    state: RunState
    worked_s: float = 0.0
    """Total working time of all processes, in seconds: each from its first to its last journal line."""
    journal: Journal[Event] | None = None
    """The open journal; None if the run is only read."""
    scheduler: Scheduler | None = None
    """The scheduler; None if the run is only read."""
    budget: Budget | None = None
    """The budget; None if the run is only read."""


@contextmanager
def open_run(
    directory: Path | str,
    settings: RunConfig | Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Create a run, or open an existing one for writing. The run stays locked within the `with` block.

    `settings` are the explicit settings. In a RunConfig, these are the settings that differ from the
    defaults. They must equal the run's stored settings, except for operational settings, which take effect
    immediately. The opened run keeps only those instances' texts that it needs (see `RunState`); `read_run`
    returns all of them.

    Raises RunDirectoryError, RunLockedError, ConfigChangedError, ConfigError, InputError or JournalError.
    """
    directory = Path(directory)
    given = (
        settings.given() if isinstance(settings, RunConfig) else load_settings("settings", settings)
    )
    plan: tuple[Manifest, bool] | None = None
    if not is_run(directory):
        # Find every problem before anything is written.
        plan = _plan(directory, given)
        _limits(plan[0].config)
    refuse_irregular(directory, is_written=True)
    with locked(directory):
        # Another process may have created the run in the meantime.
        if plan is None or is_run(directory):
            plan = _plan(directory, given)
        manifest, is_new = plan
        if is_new:
            write_manifest(directory, manifest)
        with Journal(directory / JOURNAL, run_events) as journal:
            keeps_instances = _shows_instances(manifest.config)
            run = _empty_run(directory, manifest, keeps_instances=keeps_instances)
            _continue(run, journal.replay(), given)
            run.journal = journal
            run.scheduler = Scheduler(run, run.state)
            run.budget = _budget(run, journal, run.scheduler)
            yield run


def _budget(run: Run, journal: Journal[Event], scheduler: Scheduler) -> Budget:
    def record(event: Reserved | Released) -> None:
        journal.append(event, durable=False)
        apply(run.state, event)

    limits = _limits(run.config)
    return Budget(
        run.state.ledger,
        limits,
        record=record,
        sync=journal.sync,
        finishing_cost=scheduler.finishing_cost,
    )


def _limits(config: RunConfig) -> Limits:
    return limits_of(config, (stage.sampling(config) for stage in recipe_of(config).stages))


def _plan(directory: Path, given: Mapping[str, Any]) -> tuple[Manifest, bool]:
    """Return the manifest for a run with these settings, and whether the manifest is new.

    Raises ConfigChangedError if the run already has replies that were requested with other settings. A
    stage's sampling parameters may change until one of the stage's requests has an outcome.
    """
    if not is_run(directory):
        _refuse_foreign(directory)
        return new_manifest(given), True
    source = refiltered_from(directory)
    if source is not None:
        raise RunDirectoryError(
            directory,
            f"was refiltered from {source.source}, so it cannot be continued; continue that run, then "
            "refilter it into a new directory",
        )
    manifest = read_manifest(directory, is_continued=True)
    if not (manifest.config.model or given.get("model")):
        raise RunDirectoryError(
            directory,
            "was imported without a model; choose one, for example with -m gpt-5.4-mini",
        )
    changes = changed_settings(manifest, given)
    if not changes:
        return manifest, False
    stages = _stages_with_outcomes(directory)
    if stages and any(_stage_of(name) in {None, *stages} for name in changes):
        raise ConfigChangedError(directory, changes)
    # The directory can still be used, for example if the first attempt had a wrong model name.
    new = new_manifest(given, before=manifest)
    if not recipe_of(new.config).asks_about_tasks and _lacks_instances(directory):
        raise ConfigError(
            "recipe",
            f"{new.config.recipe} never asks for instances, but some imported tasks have none; leave out "
            "--recipe",
        )
    return new, True


def _events(directory: Path) -> Iterator[Event]:
    return (entry.event for entry in read_journal(directory / JOURNAL))


def _stages_with_outcomes(directory: Path) -> set[Stage]:
    return {event.stage for event in _events(directory) if isinstance(event, Outcome)}


def _lacks_instances(directory: Path) -> bool:
    """Return whether an imported task still needs instances."""
    return any(isinstance(e, TaskImported) and e.instances is None for e in _events(directory))


def _stage_of(setting: str) -> Stage | None:
    """Return the stage that a sampling parameter belongs to; None for any other setting."""
    stages: tuple[Stage, ...] = get_args(Stage)
    return next((stage for stage in stages if setting.startswith(f"{stage}_")), None)


def is_run(directory: Path | str) -> bool:
    """Return whether the directory is a run. Raises RunDirectoryError if it cannot be accessed."""
    directory = Path(directory)
    try:
        (directory / CONFIG).lstat()  # an irregular file is rejected later, when it is opened
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise system_error(directory, "read", error) from None
    except ValueError:
        raise RunDirectoryError(
            directory, "is not a valid directory name; choose another"
        ) from None
    return True


def refiltered_from(directory: Path) -> RefilteredFrom | None:
    """If `refilter` created the directory or began to, return its source, otherwise None. Never raises."""
    first = _first_event(directory)
    return first if isinstance(first, RefilteredFrom) else None


def _first_event(directory: Path) -> Event | None:
    """Return the first event of the journal, which marks a refiltered or imported run."""
    with suppress(JournalError):  # the next reader raises it again
        return next(_events(directory), None)
    return None


def require_free(directory: Path) -> None:
    """Raise RunDirectoryError unless the directory is missing, empty, or left by an incomplete `make_run`."""
    if is_run(directory):
        raise RunDirectoryError(directory, "is already a run; choose a new directory")
    _refuse_foreign(directory, may_be_left_over=True)


def may_be_run(directory: Path) -> bool:
    """Return whether the directory is a run, or contains a journal without config.yaml."""
    return is_run(directory) or (directory / JOURNAL).exists()


def read_run(directory: Path | str) -> Run:
    """Read a run without changing any file. Another process may be writing to the run.

    Raises RunDirectoryError or JournalError.
    """
    run, entries = read_history(directory)
    for _ in replay(run, entries):
        pass
    return run


def planned_run(directory: Path | str | None, settings: Mapping[str, Any]) -> Run:
    """Return the run that `open_run` would open, without writing any file or taking the lock.

    If `directory` is None, the run is new. Raises the same errors as `open_run`, except RunLockedError.
    """
    given = load_settings("settings", settings)
    if directory is None:
        return _empty_run(Path(), new_manifest(given))
    directory = Path(directory)
    manifest, _ = _plan(directory, given)
    run = _empty_run(directory, manifest)
    _continue(run, read_journal(directory / JOURNAL), given)
    return run


def _continue(run: Run, entries: Iterable[Entry[Event]], given: Mapping[str, Any]) -> None:
    """Apply the journal and the given settings to a run that is being continued.

    Raises RunDirectoryError if imported tasks are missing, because no model can write them again.
    """
    for _ in replay(run, entries):
        pass
    run.config = _with_operational(run.config, given)
    lost = run.imported - run.state.counts.imported
    if lost > 0:
        raise RunDirectoryError(
            run.directory,
            f"its journal was truncated: {lost:,} of the {run.imported:,} imported tasks are missing; import "
            "the files again into a new directory",
        )


def read_history(directory: Path | str) -> tuple[Run, Iterator[Entry[Event]]]:
    """Return a run in its initial state, and its journal entries, which `replay` can apply to it.

    Like `read_run`, this changes no file. Raises RunDirectoryError; the iterator raises JournalError.
    """
    directory = Path(directory)
    if not is_run(directory):
        if directory.is_dir():
            problem = "is not a run directory"
        else:
            problem = "is a file, not a run directory" if directory.exists() else "does not exist"
        raise RunDirectoryError(
            directory,
            f"{problem} (a run directory contains config.yaml); use the directory that you passed to "
            "`selfinstruct run` with -o",
        )
    return _empty_run(directory, read_manifest(directory)), read_journal(directory / JOURNAL)


def replay(run: Run, entries: Iterable[Entry[Event]]) -> Iterator[Entry[Event]]:
    """Apply journal entries to a run, and yield each entry after it is applied. Raises JournalError."""
    before: datetime | None = None
    for entry in entries:
        try:
            apply(run.state, entry.event)
        except (ValueError, KeyError) as error:
            why = f"they do not have {error.args[0]}" if isinstance(error, KeyError) else error
            raise JournalError(
                run.directory / JOURNAL,
                f"line {entry.seq} cannot follow the lines before it ({why}); nothing was changed. "
                "Restore the file from a copy, or delete that line and everything after it.",
            ) from None
        if isinstance(entry.event, RunStarted):
            run.config = _with_operational(run.config, entry.event.settings)
        elif before is not None:
            run.worked_s += max(0.0, (entry.at - before).total_seconds())
        before = entry.at
        yield entry


def _refuse_foreign(directory: Path, *, may_be_left_over: bool = False) -> None:
    """Raise RunDirectoryError if a directory that is not a run cannot become one."""
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return  # the run will create it
    except NotADirectoryError:
        problem = "is a file" if directory.is_file() else "has a parent that is a file"
        raise RunDirectoryError(directory, f"{problem}; choose a new directory") from None
    except OSError as error:
        raise system_error(directory, "read", error) from None
    # A run creates its lock file first. Without one, a seed_tasks.jsonl here belongs to the user.
    known = NAMES if LOCK in names else frozenset({".DS_Store"})
    foreign = sorted(name for name in names - known if not name.endswith(".tmp"))
    if foreign:
        raise RunDirectoryError(
            directory,
            f"is not a run directory and is not empty (it contains {foreign[0]}); choose a new directory",
        )
    refuse_irregular(directory)
    first, has_outcomes = _first_event(directory), bool(_stages_with_outcomes(directory))
    made_by = ""
    if isinstance(first, RefilteredFrom):
        made_by = f"refiltering {first.source}"
    elif isinstance(first, ImportedFile) and not has_outcomes:  # an outcome means a complete import
        made_by = f"importing {first.name}"
    if made_by and not may_be_left_over:
        raise RunDirectoryError(
            directory,
            f"was left incomplete when {made_by} was interrupted; run that command again to complete it, or "
            "choose a new directory",
        )
    if not made_by and has_outcomes:
        raise RunDirectoryError(
            directory,
            "contains a journal but no config.yaml, so the run cannot be continued; restore config.yaml "
            "from a copy, or choose a new directory",
        )


def _shows_instances(config: RunConfig) -> bool:
    """Return whether demonstrations in prompts show the instances of generated tasks."""
    shows = recipe_of(config).generate.shows_instances(config)
    return shows and config.generated_demonstrations > 0


def _empty_run(directory: Path, manifest: Manifest, *, keeps_instances: bool = True) -> Run:
    """Return a run in its initial state, before any event is applied."""
    state = initial(manifest.config, manifest.seed_tasks, keeps_instances=keeps_instances)
    return Run(**vars(manifest), directory=directory, state=state)


def _with_operational(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    return replace(config, **{n: v for n, v in settings.items() if n in OPERATIONAL})
