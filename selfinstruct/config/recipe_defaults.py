"""Default settings of each recipe. The rest of a recipe is in `pipeline/recipes/`."""

from collections.abc import Mapping
from typing import Any

RECIPE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # Self-Instruct, §2.2, appendix A.1 and Table 4, except max_tokens: chat models need more.
    "self-instruct": {
        "demonstrations": 8,
        "generated_demonstrations": 2,
        "generate_temperature": 0.7,
        "generate_top_p": 0.5,
        "generate_presence_penalty": 2.0,
        "generate_max_tokens": 1024,
    },
    # Alpaca's published code.
    "alpaca": {
        "demonstrations": 3,
        "generated_demonstrations": 0,
        "generate_temperature": 1.0,
        "generate_top_p": 1.0,
        "generate_presence_penalty": None,
        "generate_max_tokens": 3072,
    },
}
"""Defaults of settings by recipe. The first recipe is the default one."""
