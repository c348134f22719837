"""The facts of a run for its card, which depend on the files of the run only."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PureWindowsPath
from typing import get_args

from selfinstruct.config.request_extras import looks_secret
from selfinstruct.config.schema import RunConfig
from selfinstruct.events import ImportedFile, RefilteredFrom
from selfinstruct.pipeline.filters import RULES, RULES_VERSION
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.pipeline.recipes import sampling
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Reason, Sampling, Stage
from selfinstruct.runner.directory import Run
from selfinstruct.runner.manifest import Manifest, new_manifest
from selfinstruct.runner.run_files import PROMPTS, SEEDS

_EXAMPLES_OF = 20
"""Maximum of rows to choose examples from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A file that prompts contain: seed tasks or a template."""

    name: str
    sha256: str
    is_packaged: bool
    """True if the file comes with selfinstruct, so that its licence is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The origin of the data of a run."""

    recipe: str
    profile: str
    asked_for: str
    """The model in the configuration."""
    models: Sequence[tuple[str, int]]
    """The models by the names of the server, each with its number of instructions, largest first."""
    imported_models: Sequence[tuple[str, int]]
    """The models that imported files name, in the same form."""
    config: RunConfig
    instructions_asked: int
    """The number of instructions in one request."""
    stages: Sequence[tuple[Stage, Sampling]]
    has_task_stages: bool
    """True for separate requests about kind and instances."""
    extra: Sequence[str]
    """Further members of every request as "name: value"; the name only if the value may be private."""
    seeds: Material
    seed_count: int
    templates: Sequence[Material]
    imports: Sequence[ImportedFile]
    imported: int
    source: RefilteredFrom | None
    """The earlier run, if the replies come from one."""
    versions: Mapping[str, int]
    """The versions of rules, parsers, tokenizer and journal."""
    rules_are_current: bool
    """True if this version has the same rules."""
    programs: Sequence[str]
    """The versions of selfinstruct that wrote the run, in order."""
    summary: RunSummary
    idle_rules: Sequence[Reason]
    """The reasons that rejected no candidate."""
    rows: Sequence[Mapping[str, object]]
    """The first row of each of the first tasks, for examples."""

    @property
    def title(self) -> str:
        """A title for the data."""
        name = "Alpaca-style" if self.recipe == "alpaca" else "Self-Instruct"
        if not self.is_generated:
            return "Imported instruction data"
        if not self.models:
            return f"{name} data"
        if self.imported > self.summary.grown:
            return f"Imported instruction data, and {name} data grown from it"
        first = " ".join(self.models[0][0].split())[:80]
        others = f" and {len(self.models) - 1} more" if len(self.models) > 1 else ""
        return f"{name} data by {first}{others}"

    @property
    def is_generated(self) -> bool:
        """True if the run generated instructions; if not, the seed tasks had no influence."""
        return self.summary.grown > 0 or not self.imported

    @property
    def is_asked(self) -> bool:
        """True if the run has or will have requests."""
        return self.is_generated or bool(self.summary.requests)

    @property
    def own_material(self) -> Sequence[str]:
        """The names of the material that did not come with selfinstruct."""
        names = []
        if self.is_generated and not self.seeds.is_packaged:
            names.append("the seed tasks")
        if self.is_asked and not all(template.is_packaged for template in self.templates):
            names.append("the templates of the prompts")
        if self.imports:
            names.append("the imported tasks")
        return names


def facts_of(run: Run) -> Facts:
    """Return the facts of a run."""
    seeds, templates = _materials(run)
    summary = summarize(run.state)
    stages: tuple[Stage, ...] = get_args(Stage) if run.recipe.has_task_stages else ("generate",)
    return Facts(
        recipe=run.recipe.name,
        profile=run.config.profile,
        asked_for=_without_folders(run.config.model),
        models=_counted(t.provenance.model for t in run.state.pool.generated if t.provenance),
        imported_models=_counted(
            t.imported_model for t in run.state.pool.generated if t.imported_model
        ),
        config=run.config,
        instructions_asked=run.recipe.instructions_asked,
        stages=[(stage, sampling(run.config, stage)) for stage in stages],
        has_task_stages=run.recipe.has_task_stages,
        extra=_extra(run.config.extra_body or {}),
        seeds=seeds,
        seed_count=len(run.seed_tasks),
        templates=templates,
        imports=run.state.imports,
        imported=run.state.imported,
        source=run.state.source,
        versions=run.versions,
        rules_are_current=run.versions.get("rules") == RULES_VERSION,
        programs=run.state.programs,
        summary=summary,
        idle_rules=_idle_rules(run, summary),
        rows=_first_rows(run),
    )


def _counted(models: Iterable[str]) -> list[tuple[str, int]]:
    counts = Counter(map(_without_folders, models))
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _without_folders(model: str) -> str:
    """Return the name of a model without its folder, which local servers include."""
    is_path = model.startswith(("/", "~", "./", "../")) or PureWindowsPath(model).drive
    return (PureWindowsPath(model).name or model) if is_path else model


def _extra(body: Mapping[str, object]) -> list[str]:
    return [
        f"{name}: {json.dumps(value)}" if _may_be_shown(name, value) else name
        for name, value in body.items()
    ]


def _may_be_shown(name: str, value: object) -> bool:
    if isinstance(value, str):
        return not looks_secret(name, value) and not re.search(r"[/\\]", value)
    return isinstance(value, int | float) and not looks_secret(name)


def _materials(run: Run) -> tuple[Material, list[Material]]:
    """Return the seed tasks and the templates.

    A file comes with selfinstruct if its setting was not given, or if the default has the same content.
    """
    config = run.config
    used = Manifest(
        config=config,
        recipe=run.recipe,
        seed_tasks=run.seed_tasks,
        templates=run.templates,
        versions=run.versions,
    ).hashes
    ours = new_manifest(
        {
            "model": "any",
            "recipe": config.recipe,
            "profile": config.profile,
            "api": config.api,
            "classification_seeds_only": config.classification_seeds_only,
        }
    ).hashes

    def material(path: str, name: str, *, is_given: bool) -> Material:
        is_packaged = not is_given or ours.get(path) == used[path]
        return Material(name=name, sha256=used[path], is_packaged=is_packaged)

    seeds = material(SEEDS, SEEDS, is_given=config.seed_tasks is not None)
    templates = [
        material(f"{PROMPTS}/{file}", template.name, is_given=config.prompts is not None)
        for file, template in run.templates.items()
    ]
    return seeds, templates


def _idle_rules(run: Run, summary: RunSummary) -> list[Reason]:
    profile = PROFILES[run.config.profile]
    rules = [reason for reason, _ in RULES[profile.name, run.recipe.name]]
    rules += [Reason.WRONG_SCRIPT] * profile.checks_script + [
        Reason.NO_TOKENS
    ] * profile.needs_tokens
    rules.append(Reason.NOT_NOVEL)
    return [reason for reason in rules if reason not in summary.rejected]


def _first_rows(run: Run) -> list[Mapping[str, object]]:
    """Return the first row of each task, which most options of an export keep."""
    rows = (
        {"instruction": task.instruction, "input": first.input, "output": first.output}
        for task in run.state.pool.generated
        for first in (task.instances or ())[:1]
    )
    return list(islice(rows, _EXAMPLES_OF))
