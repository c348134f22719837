"""A run's manifest: its settings, seed tasks, templates and versions, which are fixed at its creation.

new_manifest(given) → Manifest        detects all problems before any file is written
write_manifest(directory, manifest)   writes config.yaml last, which shows that the other files are complete
read_manifest(directory) → Manifest   checks the files against the fingerprint in config.yaml
changed_settings(manifest, given)     returns settings that differ from those the run must keep
"""

import hashlib
import platform
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selfinstruct import __version__
from selfinstruct.config.reading import load_settings
from selfinstruct.config.schema import BY_CONTENT, OPERATIONAL, RunConfig, fingerprint, plain
from selfinstruct.config.shipped_files import resource
from selfinstruct.errors import ConfigError, InputError, OtherVersionError, RunDirectoryError
from selfinstruct.files import (
    IrregularFileError,
    open_regular,
    require_regular,
    sync_directory,
    write_together,
)
from selfinstruct.files.yaml_text import read_yaml
from selfinstruct.pipeline.filters import RULES_VERSION
from selfinstruct.pipeline.languages import ENGLISH
from selfinstruct.pipeline.parse import PARSERS_VERSION
from selfinstruct.pipeline.prompts import (
    TEMPLATE_NAMES,
    Template,
    folder,
    frozen_templates,
    load_templates,
    shipped_templates,
    template_names,
)
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.recipes.types import Recipe
from selfinstruct.pipeline.seed_tasks import read_seed_tasks, render_seed_tasks
from selfinstruct.pipeline.tokenizers import TOKENIZER_VERSION
from selfinstruct.records import SeedTask
from selfinstruct.runner.journal import later_writer
from selfinstruct.runner.journal_line import JOURNAL_VERSION
from selfinstruct.runner.run_file_names import (
    CONFIG,
    FILES,
    JOURNAL,
    PROMPTS,
    SEEDS,
    WRITTEN_IN_PLACE,
    system_error,
)

VERSIONS = {
    "rules": RULES_VERSION,
    "parsers": PARSERS_VERSION,
    "tokenizer": TOKENIZER_VERSION,
    "journal": JOURNAL_VERSION,
}
"""Versions of the code that makes a run's decisions from replies, and of the journal format."""

_KINDS = {
    PROMPTS: stat.S_IFDIR,
    **dict.fromkeys(sorted(FILES), stat.S_IFREG),
    **{f"{PROMPTS}/{name}": stat.S_IFREG for name in sorted(TEMPLATE_NAMES)},
}
"""The file type that each name in a run directory must have. Directories come before their files."""

_GENERATED_ID = re.compile(r"(?:source:)?task_\d+")
_RESTORE = "restore it from a copy, or choose another directory for a new run"


@dataclass(kw_only=True)
class Manifest:
    """The contents of `config.yaml`, `seed_tasks.jsonl` and `prompts/`."""

    config: RunConfig
    seed_tasks: Sequence[SeedTask]
    templates: Mapping[str, Template]
    versions: Mapping[str, int]
    """Versions of the rules, parsers, tokenizer and journal at the run's creation; see `VERSIONS`."""
    imported: int = 0
    """Number of tasks imported at the run's creation. It shows whether the journal was truncated later."""

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return recipe_of(self.config)

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the seed tasks and of each template, as 64 hex digits, by path in the run directory."""
        seeds = hashlib.sha256(render_seed_tasks(self.seed_tasks)).hexdigest()
        return {SEEDS: seeds} | _hashes(self.templates)

    def fingerprint(self, settings: Iterable[str], versions: Mapping[str, int]) -> str:
        """Return a fingerprint of the settings with these names, the hashes, and these versions."""
        values = plain(self.config)
        return fingerprint(
            {name: values[name] for name in settings}, hashes=self.hashes, versions=versions
        )


def program_versions() -> dict[str, str]:
    """Return the versions of selfinstruct and of Python."""
    return {"selfinstruct": __version__, "python": platform.python_version()}


def new_manifest(
    given: Mapping[str, Any], *, before: Manifest | None = None, needs_model: bool = True
) -> Manifest:
    """Return a new run's manifest.

    Settings that are not in `given` are taken from `before`, or else are the defaults. If `needs_model` is
    false, as for an import, the model may be missing. Raises ConfigError or InputError.
    """
    config = before.config.changed(**given) if before is not None else RunConfig(**given)
    if needs_model and not config.model:
        raise ConfigError(
            "model", "is missing; choose a model, for example with --model gpt-5.4-mini"
        )
    if config.generated_demonstrations > config.demonstrations:
        raise ConfigError(
            "generated_demonstrations",
            f"must be at most demonstrations ({config.demonstrations}), not "
            f"{config.generated_demonstrations}",
        )
    path = config.seed_tasks or resource(ENGLISH.seed_tasks)
    if before is not None and not {"seed_tasks", "classification_seeds_only"} & given.keys():
        seed_tasks = before.seed_tasks
    else:
        seed_tasks = _seed_tasks(config, path)
    _check_seed_tasks(seed_tasks, path, config)
    if before is not None and "prompts" not in given and _has_same_templates(config, before):
        templates = before.templates
    else:
        templates = load_templates(config, config.prompts or shipped_templates(config))
    return Manifest(
        config=config,
        seed_tasks=seed_tasks,
        templates=templates,
        versions=VERSIONS,
        imported=before.imported if before is not None else 0,
    )


def _check_seed_tasks(seed_tasks: Sequence[SeedTask], path: Path, config: RunConfig) -> None:
    needs_instances = recipe_of(config).generate.needs_instances
    if len(seed_tasks) < config.demonstrations:
        kind = "classification tasks" if config.classification_seeds_only else "seed tasks"
        raise InputError(
            path,
            f"has too few {kind} ({len(seed_tasks)}): a prompt shows {config.demonstrations}; "
            "add some, or show fewer with --set demonstrations=NUMBER",
        )
    for seed in seed_tasks:
        if _GENERATED_ID.fullmatch(seed.id):
            raise InputError(path, f"the id {seed.id!r} is reserved for generated tasks; rename it")
        if needs_instances and not seed.instances:
            raise InputError(
                path,
                f"the task {seed.id!r} has no instance to show, which {config.recipe} needs; "
                "add an instance, or remove the task",
            )


def _has_same_templates(config: RunConfig, before: Manifest) -> bool:
    is_same_folder = folder(config) == folder(before.config)
    return is_same_folder and before.templates.keys() == set(template_names(config))


def _seed_tasks(config: RunConfig, path: Path) -> tuple[SeedTask, ...]:
    return tuple(
        seed
        for seed in read_seed_tasks(path)
        if seed.is_classification or not config.classification_seeds_only
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest's files. Raises RunDirectoryError."""
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
        "# Written at the run's creation. Later starts read their settings from this file. Operational\n"
        f"# settings ({', '.join(sorted(OPERATIONAL))}) may be overridden;\n"
        "# the journal stores the new values.\n"
    )
    prompts = directory / PROMPTS
    text = header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    files = {
        prompts / name: template.text.encode() for name, template in manifest.templates.items()
    }
    files[directory / SEEDS] = render_seed_tasks(manifest.seed_tasks)
    files[directory / CONFIG] = text.encode()  # last: it shows that the other files are complete
    try:
        prompts.mkdir(exist_ok=True)
        write_together(files)
        # Remove the templates that only an earlier manifest had, which this one replaces.
        for name in TEMPLATE_NAMES - manifest.templates.keys():
            (prompts / name).unlink(missing_ok=True)
        sync_directory(directory.parent)
    except OSError as error:
        with suppress(OSError):
            prompts.rmdir()  # only if empty
        raise system_error(directory, "written", error) from None


def refuse_irregular(
    directory: Path, *, is_written: bool = False, kinds: Mapping[str, int] = _KINDS
) -> None:
    """Raise RunDirectoryError if one of a run's files is a link, a pipe, a device or a directory.

    The directory may come from an untrusted source, and a link in it may point to any of the user's files. If
    `is_written` is true, a file that is written in place must not have more than one hard link either.
    """
    for name, kind in kinds.items():
        in_place = is_written and name in WRITTEN_IN_PLACE
        try:
            require_regular(directory / name, kind=kind, is_written=in_place)
        except (IrregularFileError, IsADirectoryError) as error:
            problem = "is a directory, not a regular file" if error.errno else str(error)
            remedy = "replace it with a copy, or choose another directory"
            raise RunDirectoryError(directory, f"{name} {problem}; {remedy}") from None
        except OSError as error:
            raise system_error(directory, "read", error) from None


def read_manifest(directory: Path, *, is_continued: bool = False) -> Manifest:
    """Read a manifest and check it against its fingerprint. Raises RunDirectoryError.

    The journal format must have the same version as this program's. If `is_continued` is true, the versions
    of the rules, parsers and tokenizer must be the same too. Otherwise they may differ, because the journal
    stores the decisions that they made.
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
        # Only the file name of each path is used, so no path can lead out of the directory.
        names = [Path(str(name)).name for name in hashes if name != SEEDS]
    except OSError as error:
        raise system_error(directory, "read", error, name=CONFIG) from None
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise RunDirectoryError(directory, f"config.yaml is damaged; {_RESTORE}") from None
    _check_versions(directory, versions, is_continued=is_continued)
    try:
        config = RunConfig(**load_settings("", stored))
    except ConfigError as error:
        raise RunDirectoryError(directory, _bad_setting(directory, error)) from None
    try:
        manifest = Manifest(
            config=config,
            seed_tasks=read_seed_tasks(directory / SEEDS, opener=open_regular),
            templates=frozen_templates(config, directory / PROMPTS, names),
            versions=versions,
            imported=imported,
        )
    except InputError as error:
        name = error.path.relative_to(directory).as_posix()
        place = f"line {error.line}" if error.line is not None else "it"
        problem = f": {place} {error.problem.partition(';')[0]}"
        raise RunDirectoryError(directory, _changed_file(name, problem)) from None
    for name, sha256 in manifest.hashes.items():
        if hashes.get(name) != sha256:
            raise RunDirectoryError(directory, _changed_file(name))
    if manifest.fingerprint(stored, versions) != expected:
        raise RunDirectoryError(
            directory,
            "settings in config.yaml were changed after the run was created; restore them, or choose another "
            "directory for a new run",
        )
    return manifest


def _check_versions(directory: Path, versions: Mapping[str, int], *, is_continued: bool) -> None:
    differing = {
        name: (versions.get(name), VERSIONS.get(name))
        for name in [*VERSIONS, *sorted(versions.keys() - VERSIONS.keys())]
        if versions.get(name) != VERSIONS.get(name)
    }
    if "journal" in differing:
        raise OtherVersionError(directory, differing, remedy="use it with that version only")
    if differing and is_continued:
        raise OtherVersionError(
            directory,
            differing,
            remedy="continue it with that version; this version can read and export it",
        )


def _changed_file(name: str, problem: str = "") -> str:
    return f"{name} is not the file that the run was created with{problem}; {_RESTORE}"


def _bad_setting(directory: Path, error: ConfigError) -> str:
    """Return a message about a stored setting that a later version wrote or someone edited."""
    setting = f"{error.setting} in config.yaml"
    writer = later_writer(directory / JOURNAL)
    if writer:
        return (
            f"{setting} was written by selfinstruct {writer}, which is newer than this version; run the same "
            "command with that version or a later one"
        )
    return (
        f"{setting} cannot be read ({error.problem.partition(';')[0]}): it was edited, or a later version of "
        "selfinstruct wrote it; restore it, or run the same command with the version that created the run"
    )


def changed_settings(
    manifest: Manifest, given: Mapping[str, Any]
) -> dict[str, tuple[object, object]]:
    """Return the non-operational settings that differ from the manifest, as name → (stored, given)."""
    changes: dict[str, tuple[object, object]] = {}
    for name, value in given.items():
        stored = getattr(manifest.config, name)
        if name in BY_CONTENT:
            if value is not None and not _has_content(manifest, name, Path(value)):
                changes[name] = ("other content", str(value))
        elif name not in OPERATIONAL and value != stored:
            changes[name] = (stored, value)
    return changes


def _has_content(manifest: Manifest, name: str, path: Path) -> bool:
    """Return whether the files at `path` have the same content as those that the run was created with.

    `name` is the setting that specifies the path, such as "seed_tasks".
    """
    if name == "seed_tasks":
        return _seed_tasks(manifest.config, path) == manifest.seed_tasks
    templates = load_templates(manifest.config, path)
    return _hashes(templates) == _hashes(manifest.templates)


def _hashes(templates: Mapping[str, Template]) -> dict[str, str]:
    """Return the SHA-256 of each template by its path in the run directory."""
    return {f"{PROMPTS}/{name}": t.sha256 for name, t in sorted(templates.items())}
