"""Plan requests. A request depends only on the settings, the pool, and its number or task.

Generation request k is planned from the pool after commit k - lag(k), with `Random(f"{seed}/generate/{k}")`.
So the same replies lead to the same requests, regardless of timing. A classification or instance request
depends only on its task.
"""

from collections.abc import Mapping
from random import Random

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.prompts import Template, render
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.recipes.types import GenerateStage, Recipe
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request, Task
from selfinstruct.records.ids import generation_id


def is_plannable(state: RunState, config: RunConfig, number: int) -> bool:
    """Return whether everything that the prompt of generation request `number` needs is known.

    The prompt needs the pool that its demonstrations are sampled from. If demonstrations show instances, it
    also needs the final instances of the sampled tasks, because a prompt must not depend on timing.
    """
    if number - config.lag(number) > state.commits:
        return False
    if not recipe_of(config).generate.shows_instances(config):
        return True
    return all(task.is_final for task in _demonstrations(state, config, number))


def _demonstrations(state: RunState, config: RunConfig, number: int) -> tuple[Task, ...]:
    return state.pool.sample(
        Random(f"{config.seed}/generate/{number}"),
        count=config.demonstrations,
        generated=config.generated_demonstrations,
        size=state.pool_sizes[max(0, number - config.lag(number))],
    )


def expected_yield(state: RunState, recipe: Recipe) -> float:
    """Return the expected number of accepted instructions per further generation request.

    The estimate is based on the committed requests.
    """
    # Before the first commit there is no data. So the estimate includes one fictitious request that returned
    # half of the instructions it asked for.
    return (state.grown + recipe.generate.instructions_asked / 2) / (state.commits + 1)


def is_worth_asking(state: RunState, config: RunConfig, number: int) -> bool:
    """Return whether generation request `number` is probably needed, given the expected yield.

    All earlier requests are committed or in flight. If they will probably reach the target, this request is
    not sent yet. Waiting saves money and never changes the dataset, because commits stop at the target.
    """
    in_flight = number - 1 - state.commits
    expected = in_flight * expected_yield(state, recipe_of(config))
    return state.accepted + expected < config.num_instructions


def generation_request(
    state: RunState, config: RunConfig, templates: Mapping[str, Template], number: int
) -> Request:
    """Return generation request `number`, counting from 1."""
    stage = recipe_of(config).generate
    tasks = _demonstrations(state, config, number)
    values = {
        "demonstrations": [_template_values(config, stage, task) for task in tasks],
        "first_number": config.demonstrations + 1,
        "last_number": config.demonstrations + stage.instructions_asked,
    }
    (name,) = stage.template_names(config)
    return Request(
        id=generation_id(number),
        stage=stage.name,
        prompt=render(
            templates[name],
            values,
            to_continue=config.api == "completions",
            demonstration_ids=tuple(task.id for task in tasks),
        ),
        sampling=stage.sampling(config),
    )


def _template_values(config: RunConfig, stage: GenerateStage, task: Task) -> dict[str, str]:
    """Return the values that a template may use to show a demonstration."""
    # A task is one line in a list. A trailing colon would suggest that more text follows.
    line = " ".join(task.instruction.split()).rstrip(":")
    input_text, output = stage.shown(config, task)
    return {"instruction": line, "input": input_text, "output": output}


def task_request(
    state: RunState, config: RunConfig, templates: Mapping[str, Template], task: Task
) -> Request:
    """Return the next request for an accepted task that is not final."""
    stage = recipe_of(config).next_stage(task)
    request_id, name = stage.next_request(state, task)
    values = {"instruction": task.instruction, "max_instances": config.max_instances}
    prompt = render(templates[name], values, to_continue=config.api == "completions")
    return Request(id=request_id, stage=stage.name, prompt=prompt, sampling=stage.sampling(config))
