"""Recipes: each generation method's templates, stages and sampling parameters.

A new recipe needs a `Recipe` in this module and a directory of templates. A second directory,
`<recipe>-completions`, contains the templates for base models.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.config.recipe_settings import RecipeSettings
from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped import resource
from selfinstruct.errors import InputError
from selfinstruct.files import because, open_regular
from selfinstruct.pipeline.prompts import Template, load_template, read_template
from selfinstruct.records import Sampling, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A generation method."""

    name: str
    instructions_asked: int
    """Number of new instructions that one request asks for."""
    has_task_stages: bool
    """Whether separate requests classify each task and write its instances. If false, one reply contains
    whole tasks."""


SELF_INSTRUCT = Recipe(
    name="self-instruct",
    instructions_asked=8,  # Self-Instruct, Table 5: the list continues from 9 to 16
    has_task_stages=True,
)
ALPACA = Recipe(
    name="alpaca",
    instructions_asked=17,  # Alpaca: a list of twenty, with three demonstrations
    has_task_stages=False,
)

RECIPES = {recipe.name: recipe for recipe in (SELF_INSTRUCT, ALPACA)}

_TASK_EXAMPLE = {"instruction": "Name three rivers of Europe."}
_DEMONSTRATIONS = [
    {"instruction": "Name a river.", "input": "", "output": "The Elbe"},
    {"instruction": "Sum up.", "input": "A text.", "output": "A sum."},
]
_LIST_EXAMPLE = {
    "demonstrations": _DEMONSTRATIONS,
    "first_number": 3,
    "last_number": 10,
}
_INSTANCES_EXAMPLE = _TASK_EXAMPLE | {"max_instances": 5}

CLASSIFY, CLASSIFY_AGAIN = "classify.txt", "classify_again.txt"
INPUT_FIRST, OUTPUT_FIRST = "instances_input_first.txt", "instances_output_first.txt"

_TEMPLATES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "generate.txt": ("demonstrations", _LIST_EXAMPLE),
    "generate_classification.txt": ("demonstrations", _LIST_EXAMPLE),
    CLASSIFY: ("instruction", _TASK_EXAMPLE),
    CLASSIFY_AGAIN: ("instruction", _TASK_EXAMPLE),
    INPUT_FIRST: ("instruction", _INSTANCES_EXAMPLE),
    OUTPUT_FIRST: ("instruction", _INSTANCES_EXAMPLE),
}
"""For each template, the value that it must use, and examples of all values that it may use."""
TEMPLATE_NAMES = frozenset(_TEMPLATES)
"""File names of all templates."""


def folder(config: RunConfig) -> str:
    """Return the name of the directory that contains the shipped templates for a run."""
    return f"{config.recipe}-completions" if config.api == "completions" else config.recipe


def list_template(config: RecipeSettings) -> str:
    """Return the file name of the template that asks for new instructions."""
    return "generate_classification.txt" if config.classification_seeds_only else "generate.txt"


def is_output_first(template_name: str) -> bool:
    """Return whether a template asks for the output (the class label) before the input."""
    return template_name.partition("@")[0].endswith(f"/{OUTPUT_FIRST}")


def template_names(config: RecipeSettings) -> tuple[str, ...]:
    """Return the file names of the templates that a run uses."""
    names = [list_template(config)]
    if RECIPES[config.recipe].has_task_stages:
        again = [CLASSIFY_AGAIN] if config.profile == "default" else []
        names += [CLASSIFY, *again, INPUT_FIRST, OUTPUT_FIRST]
    return tuple(names)


def load_templates(config: RunConfig, path: Path) -> dict[str, Template]:
    """Read and check a run's templates in the directory `path`.

    Raises InputError if the directory or a template is missing, unreadable or not suitable for the run.
    """
    shipped = resource("prompts") / folder(config)
    try:
        present = {file.name for file in path.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "is not a directory"
        remedy = f"choose a directory of templates, such as a copy of {shipped}"
        raise InputError(path, f"{problem}; {remedy}") from None
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    names = template_names(config)
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(path, f"lacks {', '.join(missing)}; start from a copy of {shipped}")
    templates = {}
    for name in names:
        required, sample = _TEMPLATES[name]
        templates[name] = load_template(
            path / name, folder=folder(config), required=required, sample=sample
        )
    name = list_template(config)
    problem = _mismatch(config, templates[name].compiled.render(_LIST_EXAMPLE))
    if problem:
        raise InputError(path / name, f"{problem}; start from a copy of {shipped}")
    return templates


def frozen_templates(config: RunConfig, path: Path, names: Iterable[str]) -> dict[str, Template]:
    """Read templates by file name from a run directory, without checking them again."""
    return {
        name: read_template(path / name, folder=folder(config), opener=open_regular)[0]
        for name in names
    }


def _mismatch(config: RunConfig, prompt: str) -> str:
    """Return why a template does not fit the run's recipe or API; "" if it fits.

    `prompt` is the template rendered with `_LIST_EXAMPLE`.
    """
    first = _LIST_EXAMPLE["first_number"]
    has_blocks = re.search(r"(?m)^\s*###", prompt) and "Instruction:" in prompt
    is_continued = config.api == "completions"
    if config.recipe == "alpaca":
        if not has_blocks:
            return 'shows no blocks with "###" and "Instruction:", which the recipe alpaca needs'
        if is_continued and not re.search(rf"\n\s*{first}\. *Instruction:\Z", prompt):
            return f'must end in "{{{{ first_number }}}}. Instruction:" and nothing after it, {_CONTINUES}'
        return ""
    numbered = (
        rf"(?im)^\W*(?:task\s+)?{n}\s*[.):].*{re.escape(demonstration['instruction'])}"
        for n, demonstration in enumerate(_DEMONSTRATIONS, start=1)
    )
    # A line of only "###" separates blocks. "### Tasks" is a heading.
    is_separated = has_blocks and re.search(r"(?m)^\s*###\s*$", prompt)
    if is_separated or not all(re.search(line, prompt) for line in numbered):
        return "does not show the demonstrations as numbered lines, which the recipe self-instruct needs"
    number = re.search(rf"(?i)\n\W*(?:task\s+)?{first}\s*[.):](\s*)\Z", prompt)
    if is_continued and (number is None or number[1]):
        return f'must end in "{{{{ first_number }}}}." and nothing after it, {_CONTINUES}'
    if number is not None and not is_continued:
        return "ends in the next task's number, which is suitable only for base models (--api completions)"
    return ""


_CONTINUES = "because a base model (--api completions) continues from there"


_PARAMETERS = ("temperature", "top_p", "presence_penalty", "max_tokens")
"""Sampling parameters. A stage's setting is `<stage>_<parameter>`; not every stage has all of them."""


def sampling(config: RunConfig, stage: Stage) -> Sampling:
    """Return the sampling parameters for the requests in a stage."""
    given: dict[str, Any] = {n: getattr(config, f"{stage}_{n}", None) for n in _PARAMETERS}
    stops, extra = _stops(config, stage), config.extra_body or {}
    return Sampling(model=config.model, stop=stops, extra=extra, **given)


def _stops(config: RunConfig, stage: Stage) -> tuple[str, ...]:
    """Return the stop sequences that end a base model's reply (see Self-Instruct, Table 4).

    Numbers and labels match only at the start of a line, because the published stop sequence "16." would also
    match in "in 1916.". In the short answer to the classification question, "Task:" matches anywhere.
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
