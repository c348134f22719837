"""The run directory: what a run is, frozen, and what has happened to it.

    my-run/
    ├── config.yaml        settings, hashes, versions and fingerprint; written last of the frozen files
    ├── prompts/           the templates used
    ├── seed_tasks.jsonl   the seed tasks used
    ├── journal.jsonl      everything that happened
    ├── run.lock           who writes
    └── exports/           datasets

Opening an existing directory takes the settings from it: the defaults of a later release change nothing.
Only settings given explicitly are compared with the stored ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
from selfinstruct.pipeline.prompts import Template
from selfinstruct.pipeline.recipes import RECIPES, Recipe, sampling
from selfinstruct.pipeline.state import RunState, apply, initial
from selfinstruct.records import SeedTask, Stage
from selfinstruct.runner.journal import Journal, read_journal
from selfinstruct.runner.journal_line import Entry
from selfinstruct.runner.lock import locked
from selfinstruct.runner.manifest import (
    Manifest,
    changes,
    fresh,
    read_manifest,
    refuse_irregular,
    refused_by_the_system,
    write_manifest,
)
from selfinstruct.runner.run_files import CONFIG, JOURNAL, LOCK, NAMES


@dataclass(kw_only=True)
class Run:
    """A run as its directory tells it."""

    directory: Path
    config: RunConfig
    recipe: Recipe
    seed_tasks: Sequence[SeedTask]
    templates: Mapping[str, Template]
    versions: Mapping[str, int]
    """Of rules, parsers and tokenizer, as the run was made with them; see `manifest.VERSIONS`."""
    state: RunState
    imported: int = 0
    """Tasks that were imported when the run was made; the journal holds them."""
    worked_s: float = 0.0
    """How long processes have been at it, seconds from the first to the last line of each."""
    journal: Journal | None = None
    """Open for appending; None where the run is only read."""
    budget: Budget | None = None
    """What may be sent and was; None where the run is only read."""


@contextmanager
def open_run(
    directory: Path | str,
    settings: RunConfig | Mapping[str, Any] | None = None,
    *,
    heard: Callable[[Run, Event], None] | None = None,
) -> Iterator[Run]:
    """Create a run or open an existing one for writing; the lock is held inside the `with`.

    `settings` are those given explicitly (of a RunConfig: those that differ from their defaults). They must
    agree with what is stored, except operational ones, which take effect from now on. What is opened is for
    going on with: the texts of instances stay on the disk where they are not needed (`RunState`); `read_run`
    has them. `heard` is told of every event that is replayed, once it is folded in.

    Raises RunDirectoryError, RunLockedError, ConfigChangedError, ConfigError, InputError, JournalError.
    """
    directory = Path(directory)
    given = (
        settings.given() if isinstance(settings, RunConfig) else load_settings("settings", settings)
    )
    new: Manifest | None = None
    if not is_run(directory):
        # Everything that can be wrong is found before anything is written.
        _refuse_foreign(directory)
        new = fresh(given)
        _limits(new.config, new.recipe)
    refuse_irregular(directory, is_written=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused_by_the_system(directory, "made", error) from None
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory))
        except OSError as error:
            raise refused_by_the_system(directory, "written", error) from None
        manifest = _manifest(directory, given, new)
        with Journal(directory / JOURNAL) as journal:
            run = _before_the_first_event(
                directory, manifest, keeps_instances=_shows_instances(manifest.config)
            )
            for entry in replay(run, journal.replay()):
                if heard is not None:
                    heard(run, entry.event)
            _require_all_imports(run)
            run.config = _with_operational(run.config, given)
            run.journal = journal
            run.budget = _budget(run, journal)
            yield run


def _budget(run: Run, journal: Journal) -> Budget:
    def record(event: Reserved | Released) -> None:
        journal.append(event, durable=False)
        apply(run.state, event)

    limits = _limits(run.config, run.recipe)
    return Budget(run.state.ledger, limits, record=record, sync=journal.sync)


def _limits(config: RunConfig, recipe: Recipe) -> Limits:
    stages = get_args(Stage) if recipe.has_task_stages else ("generate",)
    return limits_of(config, (sampling(config, stage) for stage in stages))


def _manifest(directory: Path, given: Mapping[str, Any], new: Manifest | None) -> Manifest:
    """What the run is; frozen now where it is new, or where nothing was paid for under other settings."""
    # Another process may have made the run before we had the lock.
    if new is not None and not is_run(directory):
        return write_manifest(directory, new)
    manifest, is_new = _agreed(directory, given)
    return write_manifest(directory, manifest) if is_new else manifest


def _agreed(directory: Path, given: Mapping[str, Any]) -> tuple[Manifest, bool]:
    """What an existing run is with these settings, and whether that is something new, to be frozen.

    Raises ConfigChangedError where it cannot be: replies were paid for under other settings. The sampling of
    a stage may change as long as that stage has no reply: it may be refused while others do well.
    """
    source = refiltered_from(directory)
    if source is not None:
        raise RunDirectoryError(
            directory,
            f"was refiltered from {source.source}, so it is not continued: continue that one, then refilter "
            "it into a new directory",
        )
    manifest = read_manifest(directory, has_replies=_has_outcomes)
    if not (manifest.config.model or given.get("model")):
        raise RunDirectoryError(
            directory,
            "was imported, and no model was named yet; name the one to ask, for example -m gpt-4.1-mini",
        )
    differing = changes(manifest, given)
    if not differing:
        return manifest, False
    asked = _stages_asked(directory)
    if asked and any(_stage_of(name) in {None, *asked} for name in differing):
        raise ConfigChangedError(directory, differing)
    # A first try with a wrong model, say: the directory need not be thrown away for that.
    new = fresh(given, before=manifest)
    if not new.recipe.has_task_stages and _lacks_instances(directory):
        raise ConfigError(
            "recipe",
            f"{new.recipe.name} never asks for instances, which some imported tasks lack; leave --recipe out",
        )
    return new, True


def _stages_asked(directory: Path) -> set[Stage]:
    """The stages of which some request has an outcome."""
    events = (entry.event for entry in read_journal(directory / JOURNAL))
    return {event.stage for event in events if isinstance(event, Outcome)}


def _lacks_instances(directory: Path) -> bool:
    """Whether a task was imported of which the instances are still to be asked for."""
    events = (entry.event for entry in read_journal(directory / JOURNAL))
    return any(isinstance(event, TaskImported) and event.instances is None for event in events)


def _stage_of(setting: str) -> Stage | None:
    """The stage whose sampling a setting is; None for one that concerns them all."""
    stages: tuple[Stage, ...] = get_args(Stage)
    return next((stage for stage in stages if setting.startswith(f"{stage}_")), None)


def _has_outcomes(directory: Path) -> bool:
    return bool(_stages_asked(directory))


def is_run(directory: Path | str) -> bool:
    """Whether there is a run in the directory. Raises RunDirectoryError where that cannot be found out."""
    directory = Path(directory)
    try:
        (directory / CONFIG).lstat()  # what is no regular file is refused when it is opened
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise refused_by_the_system(directory, "read", error) from None
    except ValueError:
        raise RunDirectoryError(directory, "is no name of a directory; choose another") from None
    return True


def refiltered_from(directory: Path) -> RefilteredFrom | None:
    """Where the replies in a directory come from, if `refilter` made it, or began to. Never raises."""
    first = _first_event(directory)
    return first if isinstance(first, RefilteredFrom) else None


def _first_event(directory: Path) -> Event | None:
    """What the first line of the journal says, by which a run that was made at once is known."""
    with suppress(JournalError):  # which whoever reads on will say
        for entry in read_journal(directory / JOURNAL):
            return entry.event
    return None


def require_free(directory: Path) -> None:
    """Raise RunDirectoryError unless there is nothing, or what a broken-off `make_run` has left."""
    if is_run(directory):
        raise RunDirectoryError(directory, "is a run already; choose a new directory")
    _refuse_foreign(directory, may_be_left_over=True)


def may_be_run(directory: Path) -> bool:
    """Whether there is a run in the directory, or what is left of one whose settings were lost."""
    return is_run(directory) or (directory / JOURNAL).exists()


def read_run(directory: Path | str) -> Run:
    """Read a run without touching it, also while another process writes it.

    Raises RunDirectoryError, JournalError.
    """
    run, entries = read_history(directory)
    for _ in replay(run, entries):
        pass
    return run


def planned_run(directory: Path | str | None, settings: Mapping[str, Any]) -> Run:
    """The run that `open_run` would open, without touching anything: nothing is written, no lock is taken.

    `directory` None stands for a new one. Raises what `open_run` raises, except RunLockedError.
    """
    given = load_settings("settings", settings)
    if directory is None or not is_run(directory):
        if directory is not None:
            _refuse_foreign(Path(directory))
        return _before_the_first_event(Path(directory or "."), fresh(given))
    directory = Path(directory)
    manifest, _ = _agreed(directory, given)
    run = _before_the_first_event(directory, manifest)
    for _ in replay(run, read_journal(directory / JOURNAL)):
        pass
    _require_all_imports(run)
    run.config = _with_operational(run.config, given)
    return run


def _require_all_imports(run: Run) -> None:
    """Raise RunDirectoryError where the journal was cut within what was imported: no model has that."""
    lost = run.imported - run.state.imported
    if lost > 0:
        raise RunDirectoryError(
            run.directory,
            f"its journal was cut: {lost:,} of the {run.imported:,} tasks that were imported "
            "are not in it; import the files again, into a new directory",
        )


def read_history(directory: Path | str) -> tuple[Run, Iterator[Entry]]:
    """A run as it was before its first event, and its journal, for those who look at it line by line.

    Nothing is folded in: see `replay`. Like `read_run` it touches nothing. Raises RunDirectoryError; the
    iterator raises JournalError.
    """
    directory = Path(directory)
    if not is_run(directory):
        if directory.is_dir():
            problem = "is not a run directory"
        else:
            problem = "is a file and no run directory" if directory.exists() else "does not exist"
        raise RunDirectoryError(
            directory,
            f"{problem} (a run directory holds config.yaml); name the one that `selfinstruct run` "
            "was told with -o",
        )
    manifest = read_manifest(directory)
    return _before_the_first_event(directory, manifest), read_journal(directory / JOURNAL)


def replay(run: Run, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Fold entries into a run; each is yielded once it is folded in. Raises JournalError."""
    before: datetime | None = None
    for entry in entries:
        try:
            apply(run.state, entry.event)
        except (ValueError, KeyError) as error:
            why = f"they tell nothing of {error.args[0]}" if isinstance(error, KeyError) else error
            raise JournalError(
                run.directory / JOURNAL,
                f"line {entry.seq} cannot follow the lines before it ({why}); nothing was changed. "
                "Restore the file from a copy, or cut it before that line to give up what follows.",
            ) from None
        if isinstance(entry.event, RunStarted):
            run.config = _with_operational(run.config, entry.event.settings)
        elif before is not None:
            run.worked_s += max(0.0, (entry.at - before).total_seconds())
        before = entry.at
        yield entry


def _refuse_foreign(directory: Path, *, may_be_left_over: bool = False) -> None:
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return  # to be made
    except NotADirectoryError:
        problem = "is a file" if directory.is_file() else "leads through a file"
        raise RunDirectoryError(
            directory, f"{problem}; choose the name of a new directory"
        ) from None
    except OSError as error:
        raise refused_by_the_system(directory, "read", error) from None
    # Our lock is the first thing that we put anywhere: without it, even a seed_tasks.jsonl is somebody's own.
    ours = NAMES if LOCK in names else frozenset({".DS_Store"})
    foreign = sorted(name for name in names - ours if not name.endswith(".tmp"))
    if foreign:
        raise RunDirectoryError(
            directory,
            f"is not a run directory and not empty (it holds {foreign[0]}); choose a new directory",
        )
    refuse_irregular(directory)
    first = _first_event(directory)
    has_outcomes = _has_outcomes(directory)
    left_of = ""
    if isinstance(first, RefilteredFrom):
        left_of = f"refiltering {first.source}"
    elif (
        isinstance(first, ImportedFile) and not has_outcomes
    ):  # else it had begun, and was paid for
        left_of = f"importing {first.name}"
    if left_of and not may_be_left_over:
        raise RunDirectoryError(
            directory,
            f"holds what is left of {left_of}, which was broken off; type that command again to complete "
            "it, or choose a new directory",
        )
    if not left_of and has_outcomes:
        raise RunDirectoryError(
            directory,
            "holds a journal but no config.yaml, so the run cannot be continued; restore config.yaml "
            "from a copy, or choose a new directory",
        )


def _shows_instances(config: RunConfig) -> bool:
    """Whether demonstrations show instances of generated tasks."""
    shows = config.show_input or not RECIPES[config.recipe].has_task_stages
    return shows and config.generated_demonstrations > 0


def _before_the_first_event(
    directory: Path, manifest: Manifest, *, keeps_instances: bool = True
) -> Run:
    return Run(
        directory=directory,
        config=manifest.config,
        recipe=manifest.recipe,
        seed_tasks=manifest.seed_tasks,
        templates=manifest.templates,
        versions=manifest.versions,
        imported=manifest.imported,
        state=initial(manifest.config, manifest.seed_tasks, keeps_instances=keeps_instances),
    )


def _with_operational(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    return replace(config, **{n: v for n, v in settings.items() if n in OPERATIONAL})
