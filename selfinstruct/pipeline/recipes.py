"""A recipe: which templates, in which stages, with which sampling.

Knows how the parts of a method belong together; does no work itself. A further recipe is a further value here
and a folder of templates; for base models there is a second folder, `<recipe>-completions`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped import resource
from selfinstruct.errors import InputError
from selfinstruct.files import because
from selfinstruct.pipeline.prompts import Template, frozen_template, load_template
from selfinstruct.records import Sampling, Stage


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
_DEMONSTRATIONS = [
    {"instruction": "Name a river.", "input": "", "output": "The Elbe"},
    {"instruction": "Sum up.", "input": "A text.", "output": "A sum."},
]
_A_LIST = {
    "demonstrations": _DEMONSTRATIONS,
    "first_number": 3,
    "last_number": 10,
}
_A_TASK_AND_LIMIT = _A_TASK | {"max_instances": 5}

TEMPLATE_NAMES = frozenset(
    {
        "generate.txt",
        "generate_classification.txt",
        "classify.txt",
        "classify_again.txt",
        "instances_input_first.txt",
        "instances_output_first.txt",
    }
)
"""All files that some run uses."""


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
    own = resource("prompts") / folder(config)
    try:
        present = {file.name for file in path.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "is not a folder"
        remedy = f"name a folder of templates, such as a copy of {own}"
        raise InputError(path, f"{problem}; {remedy}") from None
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except ValueError:  # a NUL character
        raise InputError(path, "is no name of a folder; choose another") from None
    missing = [name for name in _templates(config) if name not in present]
    if missing:
        raise InputError(path, f"lacks {', '.join(missing)}; start from a copy of {own}")
    templates = {
        name: load_template(path / name, folder=folder(config), required=required, sample=sample)
        for name, (required, sample) in _templates(config).items()
    }
    name = list_template(config)
    problem = _misfit(config, templates[name].compiled.render(_A_LIST))
    if problem:
        raise InputError(path / name, f"{problem}; start from a copy of {own}")
    return templates


def frozen_templates(config: RunConfig, path: Path, names: Iterable[str]) -> dict[str, Template]:
    """Read the templates of those names that a run was made with, whatever a run needs today."""
    return {name: frozen_template(path / name, folder=folder(config)) for name in names}


def _misfit(config: RunConfig, prompt: str) -> str:
    """Why a list template, filled with `_A_LIST`, is one of another recipe or API; "" where it is not."""
    first = _A_LIST["first_number"]
    has_blocks = re.search(r"(?m)^\s*###", prompt) and "Instruction:" in prompt
    is_continued = config.api == "completions"
    if config.recipe == "alpaca":
        if not has_blocks:
            return 'shows no blocks of "###" and "Instruction:", as the recipe alpaca needs them'
        if is_continued and not re.search(rf"\n\s*{first}\. *Instruction:\Z", prompt):
            return f'must end in "{{{{ first_number }}}}. Instruction:" and nothing after it, {_GOES_ON}'
        return ""
    shown = (
        rf"(?im)^\W*(?:task\s+)?{n}\s*[.):].*{re.escape(demonstration['instruction'])}"
        for n, demonstration in enumerate(_DEMONSTRATIONS, start=1)
    )
    is_fenced = has_blocks and re.search(r"(?m)^\s*###\s*$", prompt)  # and not a heading
    if is_fenced or not all(re.search(line, prompt) for line in shown):
        return "does not show the demonstrations as numbered lines, as the recipe self-instruct needs them"
    number = re.search(rf"(?i)\n\W*(?:task\s+)?{first}\s*[.):](\s*)\Z", prompt)
    if is_continued and (number is None or number[1]):
        return f'must end in "{{{{ first_number }}}}." and nothing after it, {_GOES_ON}'
    if number is not None and not is_continued:
        return "ends in the number of the next task, which is for base models (--api completions)"
    return ""


_GOES_ON = "since a base model (--api completions) goes on from there"


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
            extra=config.extra_body or {},
        )
    if stage == "classify":
        return Sampling(
            model=config.model,
            temperature=config.classify_temperature,
            max_tokens=config.classify_max_tokens,
            stop=_stops(config, stage),
            extra=config.extra_body or {},
        )
    return Sampling(
        model=config.model,
        temperature=config.instances_temperature,
        presence_penalty=config.instances_presence_penalty,
        max_tokens=config.instances_max_tokens,
        stop=_stops(config, stage),
        extra=config.extra_body or {},
    )


def _stops(config: RunConfig, stage: Stage) -> tuple[str, ...]:
    """Where a base model, which does not know when it is done, is to stop (Self-Instruct, Table 4).

    A number or a label ends a text only where it begins a line: the published "16." would also end one at
    "in 1916.". Of an answer nothing is wanted but its first words, so there any "Task:" will do.
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
