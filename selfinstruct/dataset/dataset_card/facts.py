"""The facts about a run that its dataset card shows. They depend only on the run's files."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

from selfinstruct.config.request_extras import looks_secret
from selfinstruct.pipeline.decide import rules_of
from selfinstruct.pipeline.filters import RULES_VERSION
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Reason, Sampling, Stage
from selfinstruct.runner.directory import Run
from selfinstruct.runner.manifest import new_manifest
from selfinstruct.runner.run_file_names import PROMPTS, SEEDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A file whose content appears in prompts: the seed tasks or a template."""

    name: str
    sha256: str
    is_packaged: bool
    """True if the file comes with selfinstruct, so its licence is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The origin of a run's data."""

    run: Run = field(repr=False)
    asked_for: str
    """The configured model, without its directory."""
    models: Sequence[tuple[str, int]]
    """The models as the server reported them, each with its number of instructions, largest first."""
    imported_models: Sequence[tuple[str, int]]
    """The models that the imported files report, each with its number of instructions, largest first."""
    extra: Sequence[str]
    """Additional members of every request, as "name: value". If the value may be private, only the name."""
    seeds: Material
    templates: Sequence[Material]
    summary: RunSummary

    @property
    def title(self) -> str:
        """The dataset's title."""
        name = self.run.recipe.title
        if not self.is_generated:
            return "Imported instruction data"
        if not self.models:
            return f"{name} data"
        if self.summary.imported > self.summary.grown:
            return f"Imported instruction data, and {name} data grown from it"
        first = " ".join(self.models[0][0].split())[:80]
        others = f" and {len(self.models) - 1} more" if len(self.models) > 1 else ""
        return f"{name} data by {first}{others}"

    @property
    def is_generated(self) -> bool:
        """True if the run generates instructions. If not, the seed tasks have no influence on the data."""
        return self.summary.grown > 0 or not self.summary.imported

    @property
    def is_asked(self) -> bool:
        """True if the run has sent or will send requests."""
        return self.is_generated or bool(self.summary.requests)

    @property
    def own_material(self) -> Sequence[str]:
        """Descriptions of the materials that did not come with selfinstruct."""
        has_own_templates = not all(template.is_packaged for template in self.templates)
        own = {
            "the seed tasks": self.is_generated and not self.seeds.is_packaged,
            "the templates of the prompts": self.is_asked and has_own_templates,
            "the imported tasks": self.run.state.imports,
        }
        return [name for name, is_own in own.items() if is_own]

    @property
    def stages(self) -> Sequence[tuple[Stage, Sampling]]:
        """The recipe's request stages with their sampling settings."""
        run = self.run
        return [(stage.name, stage.sampling(run.config)) for stage in run.recipe.stages]

    @property
    def rejected(self) -> Mapping[Reason, int]:
        """Number of rejected candidates by reason, including 0 for each rule that rejected none."""
        rules = [reason for reason, _ in rules_of(self.run.state, self.run.config)]
        idle = dict.fromkeys([*rules, Reason.NOT_NOVEL], 0)
        return {**self.summary.rejected, **idle, **self.summary.rejected}

    @property
    def has_current_rules(self) -> bool:
        """True if the run used the same filter rules as this version of selfinstruct."""
        return self.run.versions.get("rules") == RULES_VERSION


def facts_of(run: Run) -> Facts:
    """Return the facts about `run`."""
    state = run.state
    seeds, templates = _materials(run)
    return Facts(
        run=run,
        asked_for=_without_folders(run.config.model),
        models=_counted(t.provenance.model for t in state.pool.generated if t.provenance),
        imported_models=_counted(t.imported_model for t in state.pool.generated),
        extra=_extra(run.config.extra_body or {}),
        seeds=seeds,
        templates=templates,
        summary=summarize(state),
    )


def _counted(models: Iterable[str | None]) -> list[tuple[str, int]]:
    counts = Counter(_without_folders(model) for model in models if model)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _without_folders(model: str) -> str:
    """Return the model name without its directory, which local servers include."""
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
    """Return the seed tasks and the templates as materials.

    A file counts as packaged if its setting is unset, or if its content equals the default file's.
    """
    config = run.config
    names = ("recipe", "profile", "api", "classification_seeds_only")
    ours = new_manifest({"model": "any", **{n: getattr(config, n) for n in names}}).hashes

    def material(path: str, name: str, sha256: str, *, is_given: bool) -> Material:
        is_packaged = not is_given or ours.get(path) == sha256
        return Material(name=name, sha256=sha256, is_packaged=is_packaged)

    seeds_sha256 = hashlib.sha256(render_seed_tasks(run.seed_tasks)).hexdigest()
    seeds = material(SEEDS, SEEDS, seeds_sha256, is_given=config.seed_tasks is not None)
    has_own = config.prompts is not None
    templates = [
        material(f"{PROMPTS}/{file}", template.name, template.sha256, is_given=has_own)
        for file, template in run.templates.items()
    ]
    return seeds, templates
