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

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selfinstruct.config import (
    BY_CONTENT,
    OPERATIONAL,
    RunConfig,
    fingerprint,
    plain,
)
from selfinstruct.errors import (
    ConfigChangedError,
    ConfigError,
    InputError,
    JournalError,
    OtherVersionError,
    RunDirectoryError,
)
from selfinstruct.events import Outcome, RunStarted
from selfinstruct.files import sync_directory, write_whole
from selfinstruct.filters import RULES_VERSION
from selfinstruct.journal import Entry, Journal, read_journal
from selfinstruct.lock import LOCK_FILE, locked
from selfinstruct.parse import PARSERS_VERSION
from selfinstruct.prompts import Template
from selfinstruct.recipes import (
    RECIPES,
    TEMPLATE_NAMES,
    Recipe,
    folder,
    frozen_templates,
    load_templates,
    template_names,
)
from selfinstruct.records import SeedTask
from selfinstruct.resources import resource
from selfinstruct.seeds import read_seed_tasks, render_seed_tasks
from selfinstruct.settings import load_settings, read_yaml
from selfinstruct.state import RunState, apply, initial
from selfinstruct.tokenizers import TOKENIZER_VERSION

VERSIONS = {
    "rules": RULES_VERSION,
    "parsers": PARSERS_VERSION,
    "tokenizer": TOKENIZER_VERSION,
}
"""What the decisions of a run rest on besides its settings."""

_BEFORE_THE_SETTING = {"profile": "default", "api": "chat", "tokenizer": "rouge"}
"""What releases did that did not have the setting yet: runs of theirs are read so, whatever is usual now."""

_GENERATED_ID = re.compile(r"task_\d+")

_CONFIG = "config.yaml"
_JOURNAL = "journal.jsonl"
_SEEDS = "seed_tasks.jsonl"
_PROMPTS = "prompts"
_OURS = frozenset({_CONFIG, _JOURNAL, f"{_JOURNAL}.torn", _SEEDS, _PROMPTS, LOCK_FILE, "exports"})


@dataclass(kw_only=True)
class Run:
    """A run as its directory tells it."""

    directory: Path
    config: RunConfig
    recipe: Recipe
    seed_tasks: Sequence[SeedTask]
    templates: Mapping[str, Template]
    versions: Mapping[str, int]
    """Of rules, parsers and tokenizer, as the run was made with them; see VERSIONS."""
    state: RunState
    journal: Journal | None = None
    """Open for appending; None where the run is only read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frozen:
    """What is fixed when a run is made."""

    config: RunConfig
    recipe: Recipe
    seed_tasks: Sequence[SeedTask]
    templates: Mapping[str, Template]
    versions: Mapping[str, int]

    @property
    def hashes(self) -> dict[str, str]:
        hashes = {f"{_PROMPTS}/{name}": t.sha256 for name, t in sorted(self.templates.items())}
        return {_SEEDS: hashlib.sha256(render_seed_tasks(self.seed_tasks)).hexdigest()} | hashes

    def fingerprint(self, settings: Iterable[str], versions: Mapping[str, int]) -> str:
        """Over the named settings and the versions, those that the run was made with."""
        values = plain(self.config)
        return fingerprint(
            {name: values[name] for name in settings}, hashes=self.hashes, versions=versions
        )


@contextmanager
def open_run(
    directory: Path | str, settings: RunConfig | Mapping[str, Any] | None = None
) -> Iterator[Run]:
    """Create a run or open an existing one for writing; the lock is held inside the `with`.

    `settings` are those given explicitly (of a RunConfig: those that differ from their defaults). They must
    agree with what is stored, except operational ones, which take effect from now on.

    Raises RunDirectoryError, RunLockedError, ConfigChangedError, ConfigError, InputError, JournalError.
    """
    directory = Path(directory)
    given = (
        settings.given() if isinstance(settings, RunConfig) else load_settings("settings", settings)
    )
    fresh: _Frozen | None = None
    if not is_run(directory):
        # Everything that can be wrong is found before anything is written.
        _refuse_foreign(directory)
        fresh = _fresh(given)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(directory, f"cannot be made ({error.strerror})") from None
    with locked(directory):
        frozen = _frozen(directory, given, fresh)
        with Journal(directory / _JOURNAL) as journal:
            run = _before_the_first_event(directory, frozen)
            for _ in replay(run, journal.replay()):
                pass
            run.journal = journal
            run.config = _with_operational(run.config, given)
            yield run


def _frozen(directory: Path, given: Mapping[str, Any], fresh: _Frozen | None) -> _Frozen:
    """What the run is; frozen now where it is new, or where nothing was paid for under other settings."""
    # Another process may have made the run before we had the lock.
    if fresh is not None and not is_run(directory):
        return _freeze(directory, fresh)
    frozen = _thaw(directory, to_continue=True)
    changes = _changes(frozen, given)
    if not changes:
        return frozen
    if _has_outcomes(directory):
        raise ConfigChangedError(directory, changes)
    # A first try with a wrong model, say: the directory need not be thrown away for that.
    return _freeze(directory, _fresh(given, before=frozen))


def _has_outcomes(directory: Path) -> bool:
    return any(isinstance(e.event, Outcome) for e in read_journal(directory / _JOURNAL))


def is_run(directory: Path | str) -> bool:
    """Whether there is a run in the directory."""
    return (Path(directory) / _CONFIG).is_file()


def read_run(directory: Path | str) -> Run:
    """Read a run without touching it, also while another process writes it.

    Raises RunDirectoryError, JournalError.
    """
    run, entries = read_history(directory)
    for _ in replay(run, entries):
        pass
    return run


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
        raise RunDirectoryError(directory, problem + " (a run directory holds config.yaml)")
    frozen = _thaw(directory, to_continue=False)
    return _before_the_first_event(directory, frozen), read_journal(directory / _JOURNAL)


def replay(run: Run, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Fold entries into a run; each is yielded once it is folded in. Raises JournalError."""
    for entry in entries:
        try:
            apply(run.state, entry.event)
        except (ValueError, KeyError) as error:
            raise JournalError(
                run.directory / _JOURNAL,
                f"line {entry.seq} cannot follow the lines before it ({error})",
            ) from None
        if isinstance(entry.event, RunStarted):
            run.config = _with_operational(run.config, entry.event.settings)
        yield entry


def _refuse_foreign(directory: Path) -> None:
    try:
        names = {path.name for path in directory.iterdir()} if directory.exists() else set()
    except OSError as error:
        raise RunDirectoryError(directory, f"cannot be read ({error.strerror})") from None
    # Our lock is the first thing that we put anywhere: without it, even a seed_tasks.jsonl is somebody's own.
    ours = _OURS if LOCK_FILE in names else frozenset({".DS_Store"})
    foreign = sorted(name for name in names - ours if not name.endswith(".tmp"))
    if foreign:
        raise RunDirectoryError(
            directory,
            f"is not a run directory and not empty (it holds {foreign[0]}); choose a new directory",
        )
    if _has_outcomes(directory):
        raise RunDirectoryError(
            directory,
            "holds a journal but no config.yaml, so the run cannot be continued; restore config.yaml",
        )


def _fresh(given: Mapping[str, Any], *, before: _Frozen | None = None) -> _Frozen:
    """What a new run is; of one that was frozen `before`, what is not given stays."""
    config = before.config.changed(**given) if before is not None else RunConfig(**given)
    if not config.model:
        raise ConfigError(
            "model", "is missing; name the model to ask, for example --model gpt-4.1-mini"
        )
    recipe = RECIPES[config.recipe]
    if config.generated_demonstrations > config.demonstrations:
        raise ConfigError(
            "generated_demonstrations",
            f"must not exceed demonstrations, of which they are a part: {config.generated_demonstrations} "
            f"(--generated-demonstrations) is more than {config.demonstrations} (--demonstrations)",
        )
    path = config.seed_tasks or resource(_SEEDS)
    if before is not None and not {"seed_tasks", "classification_seeds_only"} & given.keys():
        seed_tasks = before.seed_tasks
    else:
        seed_tasks = _seed_tasks(config, path)
    if len(seed_tasks) < config.demonstrations:
        kind = "classification tasks" if config.classification_seeds_only else "seed tasks"
        raise InputError(
            path,
            f"holds too few {kind} ({len(seed_tasks)}): a prompt shows {config.demonstrations} "
            "different ones",
        )
    for seed in seed_tasks:
        if _GENERATED_ID.fullmatch(seed.id):
            raise InputError(path, f"the id {seed.id!r} is kept for generated tasks; rename it")
        if not recipe.has_task_stages and not seed.instances:
            raise InputError(
                path, f"the task {seed.id!r} has no instance to show, which {recipe.name} needs"
            )
    if before is not None and "prompts" not in given and _use_the_same_templates(config, before):
        templates = before.templates
    else:
        templates = load_templates(config, config.prompts or resource(_PROMPTS) / folder(config))
    return _Frozen(
        config=config,
        recipe=recipe,
        seed_tasks=seed_tasks,
        templates=templates,
        versions=VERSIONS,
    )


def _use_the_same_templates(config: RunConfig, before: _Frozen) -> bool:
    return folder(config) == folder(before.config) and before.templates.keys() == set(
        template_names(config)
    )


def _seed_tasks(config: RunConfig, path: Path) -> tuple[SeedTask, ...]:
    return tuple(
        seed
        for seed in read_seed_tasks(path)
        if seed.is_classification or not config.classification_seeds_only
    )


def _freeze(directory: Path, frozen: _Frozen) -> _Frozen:
    """Write the frozen files; returns what was frozen."""
    import yaml

    document = {
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "settings": plain(frozen.config),
        "hashes": frozen.hashes,
        "versions": VERSIONS,
        "fingerprint": frozen.fingerprint(plain(frozen.config), VERSIONS),
    }
    header = (
        "# Written when the run was made. Later starts take their settings from here; operational\n"
        f"# ones ({', '.join(sorted(OPERATIONAL))}) may be overridden, and the journal remembers them.\n"
    )
    try:
        (directory / _PROMPTS).mkdir(exist_ok=True)
        for name, template in frozen.templates.items():
            write_whole(directory / _PROMPTS / name, template.text.encode())
        write_whole(directory / _SEEDS, render_seed_tasks(frozen.seed_tasks))
        # Last: its existence means that the frozen files are complete.
        text = header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        write_whole(directory / _CONFIG, text.encode())
        for name in TEMPLATE_NAMES - frozen.templates.keys():  # of the settings that these replace
            (directory / _PROMPTS / name).unlink(missing_ok=True)
        sync_directory(directory.parent)
    except OSError as error:
        raise RunDirectoryError(directory, f"cannot be written ({error.strerror})") from None
    return frozen


def _thaw(directory: Path, *, to_continue: bool) -> _Frozen:
    """Read the frozen files and check them against the fingerprint.

    Only to continue must the versions of rules, parsers and tokenizer be ours: decisions are written down.
    """
    import yaml

    path = directory / _CONFIG
    try:
        document = read_yaml(path, is_ours=True)
        stored = dict(document["settings"])
        versions = {name: int(version) for name, version in document["versions"].items()}
        expected = str(document["fingerprint"])
        hashes = dict(document["hashes"])
        # Names of files only, wherever they come from: no path may lead out of the folder.
        names = [Path(str(name)).name for name in hashes if name != _SEEDS]
    except OSError as error:
        raise RunDirectoryError(
            directory, f"config.yaml cannot be read ({error.strerror})"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise RunDirectoryError(
            directory, "config.yaml is damaged; restore it from a copy"
        ) from None
    if to_continue and versions != VERSIONS:
        differing = {
            name: (versions.get(name), VERSIONS.get(name))
            for name in [*VERSIONS, *sorted(versions.keys() - VERSIONS.keys())]
            if versions.get(name) != VERSIONS.get(name)
        }
        raise OtherVersionError(directory, differing, has_replies=_has_outcomes(directory))
    config = RunConfig(**load_settings(str(path), _BEFORE_THE_SETTING | stored))
    recipe = RECIPES[config.recipe]
    frozen = _Frozen(
        config=config,
        recipe=recipe,
        seed_tasks=read_seed_tasks(directory / _SEEDS),
        templates=frozen_templates(config, directory / _PROMPTS, names),
        versions=versions,
    )
    for name, sha256 in frozen.hashes.items():
        if hashes.get(name) != sha256:
            raise RunDirectoryError(
                directory, f"{name} is not what the run was made with; restore it from a copy"
            )
    if frozen.fingerprint(stored, versions) != expected:
        raise RunDirectoryError(
            directory,
            "settings in config.yaml were changed after the run was made; put them back, "
            "or choose another directory for a new run",
        )
    return frozen


def _changes(frozen: _Frozen, given: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Data settings that were given and differ from the frozen ones: (stored, given)."""
    changes: dict[str, tuple[object, object]] = {}
    for name, value in given.items():
        if name in OPERATIONAL:
            continue
        if name in BY_CONTENT:
            if value is not None and _content(frozen, name, Path(value)) != _content(frozen, name):
                changes[name] = ("other content", str(value))
        elif value != getattr(frozen.config, name):
            changes[name] = (getattr(frozen.config, name), value)
    return changes


def _content(frozen: _Frozen, name: str, path: Path | None = None) -> object:
    """What a setting that counts by its content stands for: that of `path`, or the frozen one."""
    if name == "seed_tasks":
        return _seed_tasks(frozen.config, path) if path is not None else frozen.seed_tasks
    templates = load_templates(frozen.config, path) if path is not None else frozen.templates
    return {file: template.sha256 for file, template in templates.items()}


def _before_the_first_event(directory: Path, frozen: _Frozen) -> Run:
    return Run(
        directory=directory,
        config=frozen.config,
        recipe=frozen.recipe,
        seed_tasks=frozen.seed_tasks,
        templates=frozen.templates,
        versions=frozen.versions,
        state=initial(frozen.config, frozen.seed_tasks),
    )


def _with_operational(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    return replace(config, **{n: v for n, v in settings.items() if n in OPERATIONAL})
