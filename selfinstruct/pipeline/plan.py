"""What to ask next. Pure: a request is a function of its number or task and of the pool it may see.

Generation request k is planned from the pool as it stood after commit k - lag(k), with
`Random(f"{seed}/generate/{k}")`. So whatever the timing, the same replies give the same requests. Classify
and instance requests depend on nothing but their task.
"""

import re
from collections.abc import Mapping
from random import Random

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.prompts import Template, render
from selfinstruct.pipeline.recipes import Recipe, list_template, sampling
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request, Task
from selfinstruct.records.ids import classification_id, generation_id, instances_id


def is_plannable(state: RunState, config: RunConfig, number: int) -> bool:
    """Whether all that generation request `number` may see is known yet.

    That is the pool that it draws from, and, where demonstrations show their input, the final outcome of the
    tasks drawn: what a prompt shows must not depend on timing.
    """
    if number - config.lag(number) > state.commits:
        return False
    if not config.show_input:
        return True
    return all(task.is_final for task in _demonstrations(state, config, number))


def _demonstrations(state: RunState, config: RunConfig, number: int) -> tuple[Task, ...]:
    return state.pool.draw(
        Random(f"{config.seed}/generate/{number}"),
        count=config.demonstrations,
        generated=config.generated_demonstrations,
        upto=state.pool_sizes[max(0, number - config.lag(number))],
    )


def expected_yield(state: RunState, recipe: Recipe) -> float:
    """Instructions that a further generation request will probably bring, going by those committed."""
    # At first there is nothing to go by: as if one reply had been seen, with half of what was asked for.
    return (state.grown + recipe.instructions_asked / 2) / (state.commits + 1)


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
    drawn = _demonstrations(state, config, number)
    prompt = render(
        templates[list_template(config)],
        {
            "demonstrations": [_shown(config, recipe, task) for task in drawn],
            "first_number": config.demonstrations + 1,
            "last_number": config.demonstrations + recipe.instructions_asked,
        },
        to_continue=config.api == "completions",
        demonstration_ids=tuple(task.id for task in drawn),
    )
    return Request(
        id=generation_id(number),
        stage="generate",
        prompt=prompt,
        sampling=sampling(config, "generate"),
    )


def _shown(config: RunConfig, recipe: Recipe, task: Task) -> dict[str, str]:
    """Return what a template may show of a demonstration."""
    # A task is one line of a list. A colon at the end would call for something to follow.
    line = " ".join(task.instruction.split()).rstrip(":")
    instances = task.instances or ()
    given = output = ""
    if recipe.has_task_stages:
        if config.show_input:
            given = _beneath(next((i.input for i in instances if i.input), ""))
    elif instances:
        given, output = _fenced(instances[0].input), _fenced(instances[0].output)
    return {"instruction": line, "input": given, "output": output}


def _fenced(text: str) -> str:
    """A text inside of a block: a line of it that begins as a separator does would end the block there."""
    return re.sub("^###", " ###", text, flags=re.MULTILINE)


_INDENT = " " * 10
"""What lines up further lines with the first one, behind "   Input: "."""
_NUMBERED = re.compile(r"\n\W*(?:task\s*|instruction\s*)?\d{1,4}\s*[.):、．）：]", re.IGNORECASE)
_MOST_LINES = 8
_MOST_CHARACTERS = 600


def _beneath(text: str) -> str:
    """An input as it stands beneath a task: its lines lined up, without blank ones, and not too many."""
    if _NUMBERED.search(text):
        text = " ".join(text.split())  # a list inside of the list would look like tasks of it
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    kept: list[str] = []
    for line in lines[:_MOST_LINES]:
        if len("\n".join([*kept, line])) > _MOST_CHARACTERS:
            break
        kept.append(line)
    if lines and not kept:  # a single long line is cut at the end of a word
        start = lines[0][:_MOST_CHARACTERS]
        kept = [start.rpartition(" ")[0] or start]
    if len("\n".join(kept)) < len("\n".join(lines)):
        kept[-1] += " …"
    return f"\n{_INDENT}".join(kept)


def task_request(
    state: RunState, config: RunConfig, templates: Mapping[str, Template], task: Task
) -> Request:
    """Plan what to ask next about an accepted task: its kind, that once more, or its instances."""
    to_continue = config.api == "completions"
    if task.is_classification is None:
        again = task.id in state.unclear_once
        return Request(
            id=classification_id(task.id, again=again),
            stage="classify",
            prompt=render(
                templates["classify_again.txt" if again else "classify.txt"],
                {"instruction": task.instruction},
                to_continue=to_continue,
            ),
            sampling=sampling(config, "classify"),
        )
    way = "output_first" if task.is_classification else "input_first"
    return Request(
        id=instances_id(task.id),
        stage="instances",
        prompt=render(
            templates[f"instances_{way}.txt"],
            {"instruction": task.instruction, "max_instances": config.max_instances},
            to_continue=to_continue,
        ),
        sampling=sampling(config, "instances"),
    )
