"""A run in its directory: opened for writing, or read.

The settings of an existing run come from its directory, so new defaults of a later release change nothing.
Only explicit settings are compared with the stored ones. `run_files` lists the files of the directory.
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
from selfinstruct.events import (
    Event,
    ImportedFile,
    Outcome,
    RefilteredFrom,
    Released,
    Reserved,
    RunStarted,
    TaskImported,
)
from selfinstruct.pipeline.recipes import RECIPES, Recipe, sampling
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
from selfinstruct.runner.run_events import run_events
from selfinstruct.runner.run_files import CONFIG, JOURNAL, LOCK, NAMES, system_error
from selfinstruct.runner.scheduler import Scheduler


@dataclass(kw_only=True)
class Run(Manifest):
    """A run as its directory describes it."""

    directory: Path
    state: RunState
    worked_s: float = 0.0
    """Total working time of all processes, in seconds: from the first to the last line of each."""
    journal: Journal[Event] | None = None
    """The open journal; None where the run is only read."""
    scheduler: Scheduler | None = None
    """None where the run is only read."""
    budget: Budget | None = None
    """None where the run is only read."""


@contextmanager
def open_run(
    directory: Path | str,
    settings: RunConfig | Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Create a run, or open an existing one for writing; hold its lock inside the `with`.

    `settings` are the explicit settings; of a RunConfig, all that differ from the defaults. They must equal
    the stored ones, except operational settings, which take effect from now on. The opened run has no
    texts of instances that it does not need (`RunState`); `read_run` has all of them.

    Raises RunDirectoryError, RunLockedError, ConfigChangedError, ConfigError, InputError, JournalError.
    """
    directory = Path(directory)
    given = (
        settings.given() if isinstance(settings, RunConfig) else load_settings("settings", settings)
    )
    plan: tuple[Manifest, bool] | None = None
    if not is_run(directory):
        # Find every problem before anything is written.
        plan = _plan(directory, given)
        _limits(plan[0].config, plan[0].recipe)
    refuse_irregular(directory, is_written=True)
    with locked(directory):
        # Another process may have made the run in the meantime.
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

    limits = _limits(run.config, run.recipe)
    return Budget(
        run.state.ledger,
        limits,
        record=record,
        sync=journal.sync,
        finishing_cost=scheduler.finishing_cost,
    )


def _limits(config: RunConfig, recipe: Recipe) -> Limits:
    stages = get_args(Stage) if recipe.has_task_stages else ("generate",)
    return limits_of(config, (sampling(config, stage) for stage in stages))


def _plan(directory: Path, given: Mapping[str, Any]) -> tuple[Manifest, bool]:
    """Return the manifest of a run with these settings, and whether the manifest is new.

    Raises ConfigChangedError where an existing run has replies under other settings. The sampling parameters
    of a stage may change as long as no request of the stage has an outcome.
    """
    if not is_run(directory):
        _refuse_foreign(directory)
        return new_manifest(given), True
    source = refiltered_from(directory)
    if source is not None:
        raise RunDirectoryError(
            directory,
            f"was refiltered from {source.source}, so it is not continued; continue that one, then refilter "
            "it into a new directory",
        )
    manifest = read_manifest(directory, is_continued=True)
    if not (manifest.config.model or given.get("model")):
        raise RunDirectoryError(
            directory,
            "was imported, and no model was named yet; name the one to ask, for example -m gpt-5.4-mini",
        )
    changes = changed_settings(manifest, given)
    if not changes:
        return manifest, False
    stages = _stages_with_outcomes(directory)
    if stages and any(_stage_of(name) in {None, *stages} for name in changes):
        raise ConfigChangedError(directory, changes)
    # The first attempt had a wrong model, for example: the directory is still good.
    new = new_manifest(given, before=manifest)
    if not new.recipe.has_task_stages and _lacks_instances(directory):
        raise ConfigError(
            "recipe",
            f"{new.recipe.name} never asks for instances, and some imported tasks have none; leave --recipe "
            "out",
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
    """Return the stage of a sampling parameter; None for a setting of the whole run."""
    stages: tuple[Stage, ...] = get_args(Stage)
    return next((stage for stage in stages if setting.startswith(f"{stage}_")), None)


def is_run(directory: Path | str) -> bool:
    """Return whether the directory holds a run. Raises RunDirectoryError where the system does not say."""
    directory = Path(directory)
    try:
        (directory / CONFIG).lstat()  # an irregular file is refused when it is opened
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise system_error(directory, "read", error) from None
    except ValueError:
        raise RunDirectoryError(directory, "is no name of a directory; choose another") from None
    return True


def refiltered_from(directory: Path) -> RefilteredFrom | None:
    """Return the source of a directory that `refilter` made or began to make, else None. Never raises."""
    first = _first_event(directory)
    return first if isinstance(first, RefilteredFrom) else None


def _first_event(directory: Path) -> Event | None:
    """Return the first event of the journal, which marks a refiltered or imported run."""
    with suppress(JournalError):  # raised again by the next reader
        return next(_events(directory), None)
    return None


def require_free(directory: Path) -> None:
    """Raise RunDirectoryError unless the directory is missing, empty, or an incomplete `make_run`."""
    if is_run(directory):
        raise RunDirectoryError(directory, "is a run already; choose a new directory")
    _refuse_foreign(directory, may_be_left_over=True)


def may_be_run(directory: Path) -> bool:
    """Return whether the directory holds a run, or a journal without its config.yaml."""
    return is_run(directory) or (directory / JOURNAL).exists()


def read_run(directory: Path | str) -> Run:
    """Read a run without changing anything, even while another process writes it.

    Raises RunDirectoryError, JournalError.
    """
    run, entries = read_history(directory)
    for _ in replay(run, entries):
        pass
    return run


def planned_run(directory: Path | str | None, settings: Mapping[str, Any]) -> Run:
    """Return the run that `open_run` would open; write nothing and take no lock.

    `directory` None means a new run. Raises the errors of `open_run`, except RunLockedError.
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
    """Apply the journal and the given settings to a run that is continued.

    Raises RunDirectoryError where imported tasks are missing: no model can write them again.
    """
    for _ in replay(run, entries):
        pass
    run.config = _with_operational(run.config, given)
    lost = run.imported - run.state.counts.imported
    if lost > 0:
        raise RunDirectoryError(
            run.directory,
            f"its journal was cut: {lost:,} of the {run.imported:,} imported tasks are missing; import the "
            "files again, into a new directory",
        )


def read_history(directory: Path | str) -> tuple[Run, Iterator[Entry[Event]]]:
    """Return a run before its first event, and the entries of its journal; `replay` applies the entries.

    Like `read_run`, it changes nothing. Raises RunDirectoryError; the iterator raises JournalError.
    """
    directory = Path(directory)
    if not is_run(directory):
        if directory.is_dir():
            problem = "is not a run directory"
        else:
            problem = "is a file and no run directory" if directory.exists() else "does not exist"
        raise RunDirectoryError(
            directory,
            f"{problem} (a run directory holds config.yaml); name the directory that was given to "
            "`selfinstruct run` with -o",
        )
    return _empty_run(directory, read_manifest(directory)), read_journal(directory / JOURNAL)


def replay(run: Run, entries: Iterable[Entry[Event]]) -> Iterator[Entry[Event]]:
    """Apply entries to a run; yield each entry once it is applied. Raises JournalError."""
    before: datetime | None = None
    for entry in entries:
        try:
            apply(run.state, entry.event)
        except (ValueError, KeyError) as error:
            why = f"{error.args[0]} is not in them" if isinstance(error, KeyError) else error
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
    """Raise RunDirectoryError where a directory without a run cannot become one."""
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return  # the run creates it
    except NotADirectoryError:
        problem = "is a file" if directory.is_file() else "leads through a file"
        raise RunDirectoryError(
            directory, f"{problem}; choose the name of a new directory"
        ) from None
    except OSError as error:
        raise system_error(directory, "read", error) from None
    # A run creates its lock first. Without a lock, a seed_tasks.jsonl here belongs to the user.
    known = NAMES if LOCK in names else frozenset({".DS_Store"})
    foreign = sorted(name for name in names - known if not name.endswith(".tmp"))
    if foreign:
        raise RunDirectoryError(
            directory,
            f"is not a run directory and not empty (it holds {foreign[0]}); choose a new directory",
        )
    refuse_irregular(directory)
    first, has_outcomes = _first_event(directory), bool(_stages_with_outcomes(directory))
    made_by = ""
    if isinstance(first, RefilteredFrom):
        made_by = f"refiltering {first.source}"
    elif isinstance(first, ImportedFile) and not has_outcomes:  # outcomes show a complete import
        made_by = f"importing {first.name}"
    if made_by and not may_be_left_over:
        raise RunDirectoryError(
            directory,
            f"holds what is left of {made_by}, which was interrupted; type that command again to complete "
            "it, or choose a new directory",
        )
    if not made_by and has_outcomes:
        raise RunDirectoryError(
            directory,
            "holds a journal but no config.yaml, so the run cannot be continued; restore config.yaml "
            "from a copy, or choose a new directory",
        )


def _shows_instances(config: RunConfig) -> bool:
    """Return whether demonstrations show instances of generated tasks."""
    shows = config.show_input or not RECIPES[config.recipe].has_task_stages
    return shows and config.generated_demonstrations > 0


def _empty_run(directory: Path, manifest: Manifest, *, keeps_instances: bool = True) -> Run:
    """Return a run before its first event."""
    state = initial(manifest.config, manifest.seed_tasks, keeps_instances=keeps_instances)
    return Run(**vars(manifest), directory=directory, state=state)


def _with_operational(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    return replace(config, **{n: v for n, v in settings.items() if n in OPERATIONAL})
