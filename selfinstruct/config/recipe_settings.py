"""Recipe settings: what a run generates, and how it turns replies into a dataset."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from selfinstruct.config.recipe_defaults import RECIPE_DEFAULTS
from selfinstruct.config.setting_declaration import (
    By,
    Group,
    at_least,
    between,
    dataset,
    job,
    one_of,
    sampling,
)

_rare = partial(dataset, rare=True)
_lag = partial(_rare, check=at_least(1))
_sampling = partial(sampling, rare=True)
_temperature = partial(_sampling, check=between(0, 100))
_penalty = partial(_sampling, check=between(-100, 100))
_reply_tokens = partial(_sampling, check=at_least(1))


def _by_recipe(name: str, *, at_most: str = "") -> By:
    values = {recipe: defaults[name] for recipe, defaults in RECIPE_DEFAULTS.items()}
    return By("recipe", values, at_most)


@dataclass(frozen=True, kw_only=True)
class RecipeSettings(Group):
    """A recipe, its parameters, and the target number of instructions."""

    recipe: str = dataset(
        next(iter(RECIPE_DEFAULTS)),
        "Method: self-instruct (Wang et al., 2022; three stages) or alpaca (Taori et al., 2023; one stage).",
        check=one_of(*RECIPE_DEFAULTS),
    )
    profile: str = dataset(
        "default",
        "Parsing and filtering rules: default, or paper (as in the published code).",
        check=one_of("default", "paper"),
    )
    seed_tasks: Path | None = dataset(
        None,
        "Seed-task file: JSONL in the published schema, or JSON or JSONL in Alpaca's format.",
        shown_default="this project's 175 seed tasks",
    )
    prompts: Path | None = dataset(
        None, "Directory of prompt templates.", shown_default="the recipe's templates"
    )
    classification_seeds_only: bool = _rare(
        default=False,
        help_text="Use only the seed tasks that are classification tasks, and ask for classification tasks.",
    )
    demonstrations: int = _rare(
        _by_recipe("demonstrations"),
        "Number of example tasks in each prompt for new tasks.",
        check=between(1, 100),
    )
    generated_demonstrations: int = _rare(
        _by_recipe("generated_demonstrations", at_most="demonstrations"),
        "Number of example tasks that are generated tasks, if there are enough; the others are seed tasks.",
        check=between(0, 100),
    )
    show_input: bool = _rare(
        default=False, help_text="Show the first input of each example task (alpaca always does)."
    )
    seed: int = dataset(0, "Random seed.")
    threshold: float = dataset(
        0.7,  # Self-Instruct §2.2
        "Maximum ROUGE-L score between a new instruction and the pool; above it, the instruction is rejected "
        "as a near-duplicate.",
        short="-t",
        check=between(0, 1),
    )
    tokenizer: str = _rare(
        By("profile", {"default": "unicode", "paper": "rouge"}),
        "How ROUGE-L splits texts into words: unicode (any script), or rouge (a-z and 0-9, as published).",
        check=one_of("unicode", "rouge"),
    )
    max_instances: int = _rare(
        5,  # Self-Instruct's published code keeps at most five.
        "Maximum number of instances per task.",
        check=between(1, 20),
    )
    lag_min: int = _lag(
        4,
        "Minimum number of replies that a generation request may run ahead of the pool. "
        "Changes the dataset.",
    )
    lag_max: int = _lag(
        512,
        "Maximum number of replies that a generation request may run ahead of the pool. "
        "Changes the dataset.",
    )

    # The defaults are from appendix A.1 and Table 4 of the Self-Instruct paper, except max_tokens. The
    # paper's 3 tokens for a classification and 300 for an instance are enough for a base model with stop
    # sequences, but chat models need more. The defaults for alpaca are from its published code.
    generate_temperature: float | None = _temperature(
        _by_recipe("generate_temperature"), "Temperature for instructions."
    )
    generate_top_p: float | None = _sampling(
        _by_recipe("generate_top_p"),
        "Nucleus sampling (top_p) for instructions.",
        check=between(0, 1),
    )
    generate_presence_penalty: float | None = _penalty(
        _by_recipe("generate_presence_penalty"), "Presence penalty for instructions."
    )
    generate_max_tokens: int | None = _reply_tokens(
        _by_recipe("generate_max_tokens"), "max_tokens for instructions."
    )
    classify_temperature: float | None = _temperature(0.0, "Temperature for classification.")
    classify_max_tokens: int | None = _reply_tokens(16, "max_tokens for classification.")
    instances_temperature: float | None = _temperature(0.0, "Temperature for instances.")
    instances_presence_penalty: float | None = _penalty(1.5, "Presence penalty for instances.")
    instances_max_tokens: int | None = _reply_tokens(1024, "max_tokens for instances.")

    num_instructions: int = job(
        100,
        "Number of instructions to accept, not counting seed tasks.",
        short="-n",
        check=at_least(1),
    )

    def lag(self, number: int) -> int:
        """Return the number of commits that generation request `number` (counting from 1) does not wait for.

        This lag depends only on `number`, because timing must not change the pool that a request sees. It
        starts small, so that even a short run uses generated tasks in its prompts. It grows well above the
        concurrency, so that one slow request does not block the others.
        """
        return min(max(number // 2, self.lag_min), self.lag_max)
