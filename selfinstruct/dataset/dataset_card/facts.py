"""What a run can tell of how its data was made. Only what is a function of its files."""

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
"""Tasks whose first rows are kept, of which some are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A file that prompts were made of."""

    name: str
    sha256: str
    is_packaged: bool
    """Whether it is one that comes with selfinstruct, whose licence is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How the data of a run was made."""

    recipe: str
    profile: str
    asked_for: str
    """The model, as the person named it."""
    models: Sequence[tuple[str, int]]
    """As the server named them, each with the instructions that it wrote; the busiest first."""
    imported_models: Sequence[tuple[str, int]]
    """Likewise of imported tasks, as far as the files name any."""
    config: RunConfig
    instructions_asked: int
    """In one request."""
    stages: Sequence[tuple[Stage, Sampling]]
    has_task_stages: bool
    """Whether kind and instances were asked for apart."""
    extra: Sequence[str]
    """What else every request held, as "name: value"; of what may be nobody's business the name only."""
    seeds: Material
    seed_count: int
    templates: Sequence[Material]
    imports: Sequence[ImportedFile]
    imported: int
    source: RefilteredFrom | None
    """Where the replies come from, where they are another run's."""
    versions: Mapping[str, int]
    """Of rules, parsers, tokenizer and journal."""
    rules_are_current: bool
    """Whether the rules are those that this version knows by name."""
    programs: Sequence[str]
    """Versions of selfinstruct that worked at it, the first one first."""
    summary: RunSummary
    idle_rules: Sequence[Reason]
    """The reasons for which a candidate could have been rejected, and none was."""
    rows: Sequence[Mapping[str, object]]
    """The first row of each of the first tasks."""

    @property
    def title(self) -> str:
        """What the data may be called."""
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
        """Whether the run has made instructions itself; else its seed tasks had no part in it."""
        return self.summary.grown > 0 or not self.imported

    @property
    def is_asked(self) -> bool:
        """Whether a model was asked for anything, or is going to be."""
        return self.is_generated or bool(self.summary.requests)

    @property
    def own_material(self) -> Sequence[str]:
        """What the data was grown from and did not come with selfinstruct, in words."""
        found = []
        if self.is_generated and not self.seeds.is_packaged:
            found.append("the seed tasks")
        if self.is_asked and not all(template.is_packaged for template in self.templates):
            found.append("the templates of the prompts")
        if self.imports:
            found.append("the imported tasks")
        return found


def facts_of(run: Run) -> Facts:
    """Return what a run tells of itself."""
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
    """Servers of one's own name a model by its path: in which folder it lies is nobody's business."""
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
    """The seed tasks and the templates, each with whether it is what comes with selfinstruct.

    One is where its setting was not given, or where it is what these settings would give today.
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
    """The first row of each task: whatever an export leaves out for its number, these stay longest."""
    rows = (
        {"instruction": task.instruction, "input": first.input, "output": first.output}
        for task in run.state.pool.generated
        for first in (task.instances or ())[:1]
    )
    return list(islice(rows, _EXAMPLES_OF))
