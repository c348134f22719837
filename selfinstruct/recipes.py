"""A recipe: which templates, in which stages, with which sampling.

Knows how the parts of a method belong together; does no work itself. A further recipe is a further value here
and a folder of templates; for base models there is a second folder, `<recipe>-completions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.config import RunConfig
from selfinstruct.errors import InputError
from selfinstruct.prompts import Template, load_template
from selfinstruct.records import Sampling, Stage
from selfinstruct.resources import resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How tasks are made."""

    name: str
    instructions_asked: int
    """New instructions asked for in one request."""
    has_task_stages: bool
    """Whether the kind and the instances of a task are asked for; otherwise a reply holds all of a task."""


SELF_INSTRUCT = Recipe(
    name="self-instruct",
    instructions_asked=8,  # Self-Instruct, Table 5: the list of eight goes on to 16
    has_task_stages=True,
)
ALPACA = Recipe(
    name="alpaca",
    instructions_asked=17,  # Alpaca: twenty in all, three of them shown
    has_task_stages=False,
)

RECIPES = {recipe.name: recipe for recipe in (SELF_INSTRUCT, ALPACA)}

_A_TASK = {"instruction": "Name three rivers of Europe."}
_A_LIST = {
    "demonstrations": [
        {"instruction": "Name a river.", "input": "", "output": "The Elbe"},
        {"instruction": "Sum up.", "input": "A text.", "output": "A sum."},
    ],
    "first_number": 3,
    "last_number": 10,
}
_A_TASK_AND_LIMIT = _A_TASK | {"max_instances": 5}


def folder(config: RunConfig) -> str:
    """Name of the folder that holds the recipe's own templates."""
    return f"{config.recipe}-completions" if config.api == "completions" else config.recipe


def list_template(config: RunConfig) -> str:
    """Name of the template for new instructions."""
    return "generate_classification.txt" if config.classification_seeds_only else "generate.txt"


def _templates(config: RunConfig) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Files that a run uses, each with the value that it must use and an example of every value it may."""
    files: dict[str, tuple[str, Mapping[str, Any]]] = {
        list_template(config): ("demonstrations", _A_LIST)
    }
    if RECIPES[config.recipe].has_task_stages:
        files["classify.txt"] = ("instruction", _A_TASK)
        if config.profile == "default":
            files["classify_again.txt"] = ("instruction", _A_TASK)
        files["instances_input_first.txt"] = ("instruction", _A_TASK_AND_LIMIT)
        files["instances_output_first.txt"] = ("instruction", _A_TASK_AND_LIMIT)
    return files


def template_names(config: RunConfig) -> tuple[str, ...]:
    """Names of the files that a run uses."""
    return tuple(_templates(config))


def load_templates(config: RunConfig, path: Path) -> dict[str, Template]:
    """Read and check the templates that a run uses, from the folder at `path`. Raises InputError."""
    missing = [name for name in _templates(config) if not (path / name).is_file()]
    if missing:
        raise InputError(
            path,
            f"has no {' and no '.join(missing)}; a folder of templates for this run holds "
            f"{', '.join(_templates(config))} (start from a copy of {resource('prompts') / folder(config)})",
        )
    return {
        name: load_template(path / name, folder=folder(config), required=required, sample=sample)
        for name, (required, sample) in _templates(config).items()
    }


def sampling(config: RunConfig, stage: Stage) -> Sampling:
    """Sampling parameters of a stage."""
    if stage == "generate":
        return Sampling(
            model=config.model,
            temperature=config.generate_temperature,
            top_p=config.generate_top_p,
            presence_penalty=config.generate_presence_penalty,
            max_tokens=config.generate_max_tokens,
            stop=_stops(config, stage),
        )
    if stage == "classify":
        return Sampling(
            model=config.model,
            temperature=config.classify_temperature,
            max_tokens=config.classify_max_tokens,
            stop=_stops(config, stage),
        )
    return Sampling(
        model=config.model,
        temperature=config.instances_temperature,
        presence_penalty=config.instances_presence_penalty,
        max_tokens=config.instances_max_tokens,
        stop=_stops(config, stage),
    )


def _stops(config: RunConfig, stage: Stage) -> tuple[str, ...]:
    """Where a base model, which does not know when it is done, is to stop (Self-Instruct, Table 4).

    Each stop begins with a line: the published "16." would also end a text at "in 1916.".
    """
    if config.api == "chat":
        return ()
    if stage == "classify":
        return ("\n", "Task:")
    if stage == "instances":
        return (f"\nExample {config.max_instances + 1}", "\nTask:")
    last = config.demonstrations + RECIPES[config.recipe].instructions_asked
    if config.recipe == "alpaca":
        return (f"###\n{last + 1}.",)
    return ("\n\n", f"\n{last}")
