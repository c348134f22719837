"""Recipes: the stages of each generation method, with their templates, parsers and stop sequences.

A recipe is one module and one folder of templates. A second folder, `<recipe>-completions`, has the templates
for base models. `config/recipe_defaults.py` has the default settings of all recipes.
"""

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.recipes.alpaca import ALPACA
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import Recipe

RECIPES = {recipe.name: recipe for recipe in (SELF_INSTRUCT, ALPACA)}


def recipe_of(config: RunConfig) -> Recipe:
    """Return the recipe of a run."""
    return RECIPES[config.recipe]
