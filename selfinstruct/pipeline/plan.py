"""Plan requests. A request depends only on the settings, the pool, and its number or task.

Generation request k is planned from the pool after commit k - lag(k), with `Random(f"{seed}/generate/{k}")`.
So the same replies lead to the same requests, regardless of timing. A classification or instance request
depends only on its task.
"""

import re
from collections.abc import Mapping
from random import Random

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.prompts import Template, render
from selfinstruct.pipeline.recipes import (
    CLASSIFY,
    CLASSIFY_AGAIN,
    INPUT_FIRST,
    OUTPUT_FIRST,
    Recipe,
    list_template,
    sampling,
)
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request, Stage, Task
from selfinstruct.records.ids import classification_id, generation_id, instances_id


def is_plannable(state: RunState, config: RunConfig, number: int) -> bool:
    """Return whether everything that the prompt of generation request `number` needs is known.

    The prompt needs the pool that its demonstrations are sampled from. If demonstrations show their input, it
    also needs the final instances of the sampled tasks, because a prompt must not depend on timing.
    """
    if number - config.lag(number) > state.commits:
        return False
    if not config.show_input:
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
    return (state.grown + recipe.instructions_asked / 2) / (state.commits + 1)


def is_worth_asking(state: RunState, config: RunConfig, recipe: Recipe, number: int) -> bool:
    """Return whether generation request `number` is probably needed, given the expected yield.

    All earlier requests are committed or in flight. If they will probably reach the target, this request is
    not sent yet. Waiting saves money and never changes the dataset, because commits stop at the target.
    """
    in_flight = number - 1 - state.commits
    return state.accepted + in_flight * expected_yield(state, recipe) < config.num_instructions


def generation_request(
    state: RunState,
    config: RunConfig,
    recipe: Recipe,
    templates: Mapping[str, Template],
    number: int,
) -> Request:
    """Return generation request `number`, counting from 1."""
    tasks = _demonstrations(state, config, number)
    values = {
        "demonstrations": [_template_values(config, recipe, task) for task in tasks],
        "first_number": config.demonstrations + 1,
        "last_number": config.demonstrations + recipe.instructions_asked,
    }
    return Request(
        id=generation_id(number),
        stage="generate",
        prompt=render(
            templates[list_template(config)],
            values,
            to_continue=config.api == "completions",
            demonstration_ids=tuple(task.id for task in tasks),
        ),
        sampling=sampling(config, "generate"),
    )


def _template_values(config: RunConfig, recipe: Recipe, task: Task) -> dict[str, str]:
    """Return the values that a template may use to show a demonstration."""
    # A task is one line in a list. A trailing colon would suggest that more text follows.
    line = " ".join(task.instruction.split()).rstrip(":")
    instances = task.instances or ()
    input_text = output = ""
    if recipe.has_task_stages:
        if config.show_input:
            input_text = _indented(next((i.input for i in instances if i.input), ""))
    elif instances:
        input_text, output = _escaped(instances[0].input), _escaped(instances[0].output)
    return {"instruction": line, "input": input_text, "output": output}


def _escaped(text: str) -> str:
    """Indent lines that begin with "###", which would otherwise end the block."""
    return re.sub("^###", " ###", text, flags=re.MULTILINE)


_INDENT = " " * 10
"""Indentation of the lines after the first, as wide as "   Input: "."""
_NUMBERED = re.compile(r"\n\W*(?:task\s*|instruction\s*)?\d{1,4}\s*[.):、．）：]", re.IGNORECASE)
_MAX_LINES = 8
_MAX_CHARACTERS = 600


def _indented(text: str) -> str:
    """Return an input, shortened and with indented lines, so that it can be shown under a task in a list."""
    if _NUMBERED.search(text):
        text = " ".join(text.split())  # a numbered list would look like further tasks
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    kept = lines[:_MAX_LINES]
    while len("\n".join(kept)) > _MAX_CHARACTERS:
        del kept[-1]
    if lines and not kept:  # cut a long first line after a word
        start = lines[0][:_MAX_CHARACTERS]
        kept = [start.rpartition(" ")[0] or start]
    if len("\n".join(kept)) < len("\n".join(lines)):
        kept[-1] += " …"
    return f"\n{_INDENT}".join(kept)


def task_request(
    state: RunState, config: RunConfig, templates: Mapping[str, Template], task: Task
) -> Request:
    """Return the next request for an accepted task: to classify the task, or to write its instances."""
    stage: Stage = "instances"
    request_id, name = instances_id(task.id), INPUT_FIRST
    if task.is_classification is None:
        again = task.id in state.unclear_once
        stage, request_id = "classify", classification_id(task.id, again=again)
        name = CLASSIFY_AGAIN if again else CLASSIFY
    elif task.is_classification:
        name = OUTPUT_FIRST
    values = {"instruction": task.instruction, "max_instances": config.max_instances}
    prompt = render(templates[name], values, to_continue=config.api == "completions")
    return Request(id=request_id, stage=stage, prompt=prompt, sampling=sampling(config, stage))
