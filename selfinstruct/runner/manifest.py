"""What is fixed when a run is made: settings, seed tasks, templates, versions. Made, written, read back.

    fresh(given) → Manifest      everything that can be wrong is found here, before anything is written
    write_manifest(directory, manifest)  config.yaml last: its existence means that the others are complete
    read_manifest(directory) → Manifest   checked against the hashes and the fingerprint in config.yaml
    changes(frozen, given)     what an existing run cannot be continued with

What has happened to a run is `directory`'s and the journal's business.
"""

import hashlib
import platform
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selfinstruct import __version__
from selfinstruct.config.reading import load_settings, read_yaml
from selfinstruct.config.schema import BY_CONTENT, OPERATIONAL, RunConfig, fingerprint, plain
from selfinstruct.config.shipped import resource
from selfinstruct.errors import (
    ConfigError,
    InputError,
    OtherVersionError,
    RunDirectoryError,
    RunWriteError,
)
from selfinstruct.files import (
    IrregularFileError,
    because,
    is_of_the_machine,
    open_regular,
    require_regular,
    sync_directory,
    write_together,
)
from selfinstruct.pipeline.filters import RULES_VERSION
from selfinstruct.pipeline.parse import PARSERS_VERSION
from selfinstruct.pipeline.prompts import Template
from selfinstruct.pipeline.recipes import (
    RECIPES,
    TEMPLATE_NAMES,
    Recipe,
    folder,
    frozen_templates,
    load_templates,
    template_names,
)
from selfinstruct.pipeline.seed_tasks import read_seed_tasks, render_seed_tasks
from selfinstruct.pipeline.tokenizers import TOKENIZER_VERSION
from selfinstruct.records import SeedTask
from selfinstruct.runner.journal import later_writer
from selfinstruct.runner.journal_line import JOURNAL_VERSION
from selfinstruct.runner.run_files import CONFIG, FILES, JOURNAL, PROMPTS, SEEDS, WRITTEN_IN_PLACE

VERSIONS = {
    "rules": RULES_VERSION,
    "parsers": PARSERS_VERSION,
    "tokenizer": TOKENIZER_VERSION,
    "journal": JOURNAL_VERSION,
}
"""What the decisions of a run rest on besides its settings, and the format that they are written in."""


def program_versions() -> dict[str, str]:
    """Return the versions of selfinstruct and of Python."""
    return {"selfinstruct": __version__, "python": platform.python_version()}


_GENERATED_ID = re.compile(r"(?:source:)?task_\d+")


_KINDS = {
    PROMPTS: stat.S_IFDIR,
    **dict.fromkeys(FILES, stat.S_IFREG),
    **{f"{PROMPTS}/{name}": stat.S_IFREG for name in sorted(TEMPLATE_NAMES)},
}
"""The kind of each file of a run directory; a folder comes before the files in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is fixed when a run is made: what `config.yaml` and the files beside it hold."""

    config: RunConfig
    recipe: Recipe
    seed_tasks: Sequence[SeedTask]
    templates: Mapping[str, Template]
    versions: Mapping[str, int]
    imported: int = 0
    """Tasks that were imported, so that a journal that was cut before them is noticed."""

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each frozen file, 64 hex digits, by its path in the run directory."""
        hashes = {f"{PROMPTS}/{name}": t.sha256 for name, t in sorted(self.templates.items())}
        return {SEEDS: hashlib.sha256(render_seed_tasks(self.seed_tasks)).hexdigest()} | hashes

    def fingerprint(self, settings: Iterable[str], versions: Mapping[str, int]) -> str:
        """Over the named settings and the versions, those that the run was made with."""
        values = plain(self.config)
        return fingerprint(
            {name: values[name] for name in settings}, hashes=self.hashes, versions=versions
        )


def fresh(
    given: Mapping[str, Any], *, before: Manifest | None = None, needs_model: bool = True
) -> Manifest:
    """What a new run is; of one that was frozen `before`, what is not given stays.

    One that is only made, and asks nobody yet, need not have a model.
    """
    config = before.config.changed(**given) if before is not None else RunConfig(**given)
    if needs_model and not config.model:
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
    path = config.seed_tasks or resource(SEEDS)
    if before is not None and not {"seed_tasks", "classification_seeds_only"} & given.keys():
        seed_tasks = before.seed_tasks
    else:
        seed_tasks = _seed_tasks(config, path)
    if len(seed_tasks) < config.demonstrations:
        kind = "classification tasks" if config.classification_seeds_only else "seed tasks"
        raise InputError(
            path,
            f"holds too few {kind} ({len(seed_tasks)}): a prompt shows {config.demonstrations} "
            "different ones; add some, or show fewer with --demonstrations",
        )
    for seed in seed_tasks:
        if _GENERATED_ID.fullmatch(seed.id):
            raise InputError(path, f"the id {seed.id!r} is kept for generated tasks; rename it")
        if not recipe.has_task_stages and not seed.instances:
            raise InputError(
                path,
                f"the task {seed.id!r} has no instance to show, which {recipe.name} needs; "
                "give it one, or take the task out",
            )
    if before is not None and "prompts" not in given and _use_the_same_templates(config, before):
        templates = before.templates
    else:
        templates = load_templates(config, config.prompts or resource(PROMPTS) / folder(config))
    return Manifest(
        config=config,
        recipe=recipe,
        seed_tasks=seed_tasks,
        templates=templates,
        versions=VERSIONS,
        imported=before.imported if before is not None else 0,
    )


def _use_the_same_templates(config: RunConfig, before: Manifest) -> bool:
    return folder(config) == folder(before.config) and before.templates.keys() == set(
        template_names(config)
    )


def _seed_tasks(config: RunConfig, path: Path) -> tuple[SeedTask, ...]:
    return tuple(
        seed
        for seed in read_seed_tasks(path)
        if seed.is_classification or not config.classification_seeds_only
    )


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write the frozen files; returns what was frozen. Raises RunDirectoryError."""
    import yaml

    refuse_irregular(directory)
    document: dict[str, Any] = {
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "settings": plain(manifest.config),
        "hashes": manifest.hashes,
        "versions": VERSIONS,
        "fingerprint": manifest.fingerprint(plain(manifest.config), VERSIONS),
    }
    if manifest.imported:
        document["imported"] = manifest.imported
    header = (
        "# Written when the run was made. Later starts take their settings from here; operational\n"
        f"# ones ({', '.join(sorted(OPERATIONAL))}) may be overridden, and the journal remembers them.\n"
    )
    prompts = directory / PROMPTS
    text = header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    files = {
        prompts / name: template.text.encode() for name, template in manifest.templates.items()
    }
    files[directory / SEEDS] = render_seed_tasks(manifest.seed_tasks)
    # Last: its existence means that the frozen files are complete.
    files[directory / CONFIG] = text.encode()
    try:
        prompts.mkdir(exist_ok=True)
        write_together(files)
        for name in (
            TEMPLATE_NAMES - manifest.templates.keys()
        ):  # of the settings that these replace
            (prompts / name).unlink(missing_ok=True)
        sync_directory(directory.parent)
    except OSError as error:
        with suppress(OSError):
            prompts.rmdir()  # where nothing is in it
        raise refused_by_the_system(directory, "written", error) from None
    return manifest


def refuse_irregular(
    directory: Path, *, is_written: bool = False, kinds: Mapping[str, int] = _KINDS
) -> None:
    """Raise RunDirectoryError where a file of a run is a link, a pipe, a device or a directory.

    The directory may come from a stranger, and a link in it may lead to any file of the user. Where the run
    `is_written`, what is written in place must not have a second name either.
    """
    for name, kind in kinds.items():
        in_place = is_written and name in WRITTEN_IN_PLACE
        try:
            require_regular(directory / name, kind=kind, is_written=in_place)
        except (IrregularFileError, IsADirectoryError) as error:
            said = "is a directory, not a regular file" if error.errno else str(error)
            remedy = "replace it with a copy, or choose another directory"
            raise RunDirectoryError(directory, f"{name} {said}; {remedy}") from None
        except OSError as error:
            raise refused_by_the_system(directory, "read", error) from None


def read_manifest(
    directory: Path, *, has_replies: Callable[[Path], bool] | None = None
) -> Manifest:
    """Read the frozen files and check them against the fingerprint. Raises RunDirectoryError.

    The version of the journal must be ours. Those of rules, parsers and tokenizer must be ours only where the
    run is to be continued, since decisions are written down; then `has_replies` says whether the run has any.
    """
    import yaml

    refuse_irregular(directory)
    try:
        document = read_yaml(directory / CONFIG, opener=open_regular)
        stored = dict(document["settings"])
        versions = {name: int(version) for name, version in document["versions"].items()}
        expected = str(document["fingerprint"])
        hashes = dict(document["hashes"])
        imported = int(document.get("imported", 0))
        # Names of files only, wherever they come from: no path may lead out of the folder.
        names = [Path(str(name)).name for name in hashes if name != SEEDS]
    except OSError as error:
        raise refused_by_the_system(directory, "read", error, what=CONFIG) from None
    except (
        yaml.YAMLError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ):
        raise RunDirectoryError(directory, f"config.yaml is damaged; {_RESTORE}") from None
    differing = {
        name: (versions.get(name), VERSIONS.get(name))
        for name in [*VERSIONS, *sorted(versions.keys() - VERSIONS.keys())]
        if versions.get(name) != VERSIONS.get(name)
    }
    if "journal" in differing:
        raise OtherVersionError(directory, differing, remedy="use it with that version only")
    if differing and has_replies is not None:
        remedy = (
            "it can be read and exported, and continued only with that version"
            if has_replies(directory)
            else "it has no reply yet, so start it anew in another directory"
        )
        raise OtherVersionError(directory, differing, remedy=remedy)
    try:
        config = RunConfig(**load_settings("", stored))
    except ConfigError as error:
        raise RunDirectoryError(directory, _unusable(directory, error)) from None
    recipe = RECIPES[config.recipe]
    try:
        manifest = Manifest(
            config=config,
            recipe=recipe,
            seed_tasks=read_seed_tasks(directory / SEEDS, opener=open_regular),
            templates=frozen_templates(config, directory / PROMPTS, names),
            versions=versions,
            imported=imported,
        )
    except InputError as error:
        name = error.path.relative_to(directory).as_posix()
        place = f"line {error.line}" if error.line is not None else "it"
        why = f": {place} {error.problem.partition(';')[0]}"
        raise RunDirectoryError(directory, _not_the_same(name, why)) from None
    for name, sha256 in manifest.hashes.items():
        if hashes.get(name) != sha256:
            raise RunDirectoryError(directory, _not_the_same(name))
    if manifest.fingerprint(stored, versions) != expected:
        raise RunDirectoryError(
            directory,
            "settings in config.yaml were changed after the run was made; put them back, "
            "or choose another directory for a new run",
        )
    return manifest


_RESTORE = "restore it from a copy, or choose another directory for a new run"


def _not_the_same(name: str, why: str = "") -> str:
    return f"{name} is not what the run was made with{why}; {_RESTORE}"


def _unusable(directory: Path, error: ConfigError) -> str:
    """What to say of a stored setting that cannot be: it was edited, or a later version has it."""
    what = f"{error.setting} in config.yaml"
    writer = later_writer(directory / JOURNAL)
    if writer:
        return (
            f"{what} is a setting of selfinstruct {writer}, which made this run and is newer than the one "
            "that reads it; type the same command with that version, or with a later one"
        )
    return (
        f"{what} cannot be read ({error.problem.partition(';')[0]}): it was edited, or a later version of "
        "selfinstruct wrote it; put it back, or type the same command with the version that made the run"
    )


def changes(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Data settings that were given and differ from the frozen ones: (stored, given)."""
    found: dict[str, tuple[object, object]] = {}
    for name, value in given.items():
        if name in OPERATIONAL:
            continue
        if name in BY_CONTENT:
            if value is not None and _content(manifest, name, Path(value)) != _content(
                manifest, name
            ):
                found[name] = ("other content", str(value))
        elif value != getattr(manifest.config, name):
            found[name] = (getattr(manifest.config, name), value)
    return found


def _content(manifest: Manifest, name: str, path: Path | None = None) -> object:
    """What a setting that counts by its content stands for: that of `path`, or the frozen one."""
    if name == "seed_tasks":
        return _seed_tasks(manifest.config, path) if path is not None else manifest.seed_tasks
    templates = load_templates(manifest.config, path) if path is not None else manifest.templates
    return {file: template.sha256 for file, template in templates.items()}


def refused_by_the_system(
    directory: Path, done: str, error: OSError, *, what: str = ""
) -> RunDirectoryError:
    """The operating system does not let us: wrong usage, except where it is the machine's own trouble.

    `what` names the file in the directory, where it is about one.
    """
    kind = RunWriteError if is_of_the_machine(error) else RunDirectoryError
    return kind(directory, f"{what} cannot be {done} {because(error)}".lstrip())
