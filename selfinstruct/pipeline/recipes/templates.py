"""The templates of a run: shipped with the recipe, in a folder of the user, or frozen in a run directory."""

from collections.abc import Iterable
from pathlib import Path

from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped import resource
from selfinstruct.errors import InputError
from selfinstruct.files import because, open_regular
from selfinstruct.pipeline.languages import ENGLISH
from selfinstruct.pipeline.prompts import Template, load_template, read_template
from selfinstruct.pipeline.recipes import RECIPES, recipe_of

TEMPLATE_NAMES = frozenset(
    name for recipe in RECIPES.values() for stage in recipe.stages for name in stage.templates
)
"""File names of all templates that any run uses."""


def folder(config: RunConfig) -> str:
    """Return the name of the folder with the shipped templates for a run."""
    return f"{config.recipe}-completions" if config.api == "completions" else config.recipe


def shipped_templates(config: RunConfig) -> Path:
    """Return the folder with the shipped templates for a run."""
    return resource(ENGLISH.prompts) / folder(config)


def template_names(config: RunConfig) -> tuple[str, ...]:
    """Return the file names of the templates that a run uses."""
    return tuple(
        name for stage in recipe_of(config).stages for name in stage.template_names(config)
    )


def load_templates(config: RunConfig, path: Path) -> dict[str, Template]:
    """Read and check the templates of a run from the folder at `path`. Raises InputError."""
    shipped = shipped_templates(config)
    try:
        present = {file.name for file in path.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "is not a folder"
        remedy = f"name a folder of templates, such as a copy of {shipped}"
        raise InputError(path, f"{problem}; {remedy}") from None
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    missing = [name for name in template_names(config) if name not in present]
    if missing:
        raise InputError(path, f"lacks {', '.join(missing)}; start from a copy of {shipped}")
    recipe = recipe_of(config)
    templates = {
        name: load_template(
            path / name,
            folder=folder(config),
            required=next(iter(stage.sample)),
            sample=stage.sample,
        )
        for stage in recipe.stages
        for name in stage.template_names(config)
    }
    for name in recipe.generate.template_names(config):
        prompt = templates[name].compiled.render(recipe.generate.sample)
        if problem := recipe.generate.problem(config, prompt):
            raise InputError(path / name, f"{problem}; start from a copy of {shipped}")
    return templates


def frozen_templates(config: RunConfig, path: Path, names: Iterable[str]) -> dict[str, Template]:
    """Read the templates with these names from a run directory, without checking them again."""
    return {
        name: read_template(path / name, folder=folder(config), opener=open_regular)[0]
        for name in names
    }
