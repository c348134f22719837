"""What to ask next. Pure: a request is a function of its number or task and of the pool it may see.

Generation request k is planned from the pool as it stood after commit k - lag(k), with
`Random(f"{seed}/generate/{k}")`. So whatever the timing, the same replies give the same requests. Classify
and instance requests depend on nothing but their task.
"""

from collections.abc import Mapping
from random import Random

from selfinstruct.config import RunConfig
from selfinstruct.prompts import Template, render
from selfinstruct.recipes import Recipe, sampling
from selfinstruct.records import Request, Task
from selfinstruct.state import RunState, generation_id


def is_plannable(state: RunState, config: RunConfig, number: int) -> bool:
    """Whether the pool that generation request `number` may see is known yet."""
    return number - config.lag(number) <= state.commits


def expected_yield(state: RunState, recipe: Recipe) -> float:
    """Instructions that a further generation request will probably bring, going by those committed."""
    # At first there is nothing to go by: as if one reply had been seen, with half of what was asked for.
    return (state.accepted + recipe.instructions_asked / 2) / (state.commits + 1)


def is_worth_asking(state: RunState, config: RunConfig, recipe: Recipe, number: int) -> bool:
    """Whether generation request `number` is needed, as far as the yield so far can tell.

    The requests before it are committed or out. Where those that are out will probably reach the target,
    it waits. This changes what is paid for, never the dataset: commits stop at the target by themselves.
    """
    out = number - 1 - state.commits
    return state.accepted + out * expected_yield(state, recipe) < config.num_instructions


def generation_request(
    state: RunState,
    config: RunConfig,
    recipe: Recipe,
    templates: Mapping[str, Template],
    number: int,
) -> Request:
    """Plan generation request `number`, from 1."""
    seen = state.pool_sizes[max(0, number - config.lag(number))]
    demonstrations = state.pool.draw(
        Random(f"{config.seed}/generate/{number}"),
        count=recipe.demonstrations,
        generated=recipe.generated_demonstrations,
        upto=seen,
    )
    prompt = render(
        templates["generate.txt"],
        {
            "demonstrations": [" ".join(task.instruction.split()) for task in demonstrations],
            "first_number": recipe.demonstrations + 1,
            "last_number": recipe.demonstrations + recipe.instructions_asked,
        },
        demonstration_ids=tuple(task.id for task in demonstrations),
    )
    return Request(
        id=generation_id(number),
        stage="generate",
        prompt=prompt,
        sampling=sampling(config, "generate"),
    )


def task_request(config: RunConfig, templates: Mapping[str, Template], task: Task) -> Request:
    """Plan what to ask next about an accepted task: its kind first, then its instances."""
    if task.is_classification is None:
        return Request(
            id=f"classify/{task.id}",
            stage="classify",
            prompt=render(templates["classify.txt"], {"instruction": task.instruction}),
            sampling=sampling(config, "classify"),
        )
    way = "output_first" if task.is_classification else "input_first"
    return Request(
        id=f"instances/{task.id}",
        stage="instances",
        prompt=render(
            templates[f"instances_{way}.txt"],
            {"instruction": task.instruction, "max_instances": config.max_instances},
        ),
        sampling=sampling(config, "instances"),
    )
