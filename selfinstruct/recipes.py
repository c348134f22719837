"""A recipe: which templates, which mix of demonstrations, which sampling for which stage.

Knows how the parts of Self-Instruct belong together; does no work itself. A further recipe is a further
value here and a folder of templates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.config import RunConfig
from selfinstruct.prompts import Template, load_template
from selfinstruct.records import Sampling, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How tasks are made."""

    name: str
    """Also the folder of its templates."""
    templates: Mapping[str, tuple[str, Mapping[str, Any]]]
    """File names, each with the value that it must use and an example of every value that it may use."""
    demonstrations: int
    """Tasks shown in a generation prompt."""
    generated_demonstrations: int
    """How many of them are generated ones, once there are enough."""
    instructions_asked: int
    """New instructions asked for in one request."""


_A_TASK = {"instruction": "Name three rivers of Europe."}
_A_LIST = {"demonstrations": ["Name a river.", "Sum up."], "first_number": 3, "last_number": 10}

SELF_INSTRUCT = Recipe(
    name="self-instruct",
    templates={
        "generate.txt": ("demonstrations", _A_LIST),
        "classify.txt": ("instruction", _A_TASK),
        "instances_input_first.txt": ("instruction", _A_TASK | {"max_instances": 5}),
        "instances_output_first.txt": ("instruction", _A_TASK | {"max_instances": 5}),
    },
    demonstrations=8,  # Self-Instruct §2.2: 8 demonstrations, …
    generated_demonstrations=2,  # … 6 of them by people, 2 by the model
    instructions_asked=8,  # … and the list goes on to 16
)

RECIPES = {recipe.name: recipe for recipe in (SELF_INSTRUCT,)}


def load_templates(recipe: Recipe, folder: Path) -> dict[str, Template]:
    """Read and check all templates of a recipe. Raises InputError."""
    return {
        name: load_template(folder / name, recipe=recipe.name, required=required, sample=sample)
        for name, (required, sample) in recipe.templates.items()
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
        )
    if stage == "classify":
        return Sampling(
            model=config.model,
            temperature=config.classify_temperature,
            max_tokens=config.classify_max_tokens,
        )
    return Sampling(
        model=config.model,
        temperature=config.instances_temperature,
        presence_penalty=config.instances_presence_penalty,
        max_tokens=config.instances_max_tokens,
    )
