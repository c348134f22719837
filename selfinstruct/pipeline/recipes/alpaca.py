"""The recipe "alpaca" (Taori et al., 2023): one request brings whole tasks, in blocks separated by "###"."""

import re

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.filters import NOT_TEXT, rules_against
from selfinstruct.pipeline.parse import alpaca_blocks, paper
from selfinstruct.pipeline.recipes.types import CONTINUES, GenerateStage, Recipe
from selfinstruct.records import Task

_INSTRUCTIONS_ASKED = 17  # a list of twenty, with three demonstrations


def blocks_problem(config: RunConfig, prompt: str) -> str:
    """Return why a prompt does not show demonstrations in blocks; "" if it does."""
    if "Instruction:" not in prompt or not re.search(r"(?m)^\s*###", prompt):
        problem = 'shows no blocks with "###" and "Instruction:"'
        return f"{problem}, which the recipe {config.recipe} needs"
    first = GenerateStage.sample["first_number"]
    is_continued = config.api == "completions"
    if is_continued and not re.search(rf"\n\s*{first}\. *Instruction:\Z", prompt):
        end = '"{{ first_number }}. Instruction:"'
        return f"must end in {end} and nothing after it, {CONTINUES}"
    return ""


def shown_instance(_config: RunConfig, task: Task) -> tuple[str, str]:
    """Return the first instance of a task."""
    if not task.instances:
        return "", ""
    return _escaped(task.instances[0].input), _escaped(task.instances[0].output)


def _escaped(text: str) -> str:
    """Indent lines that begin with "###", which would otherwise end the block."""
    return re.sub("^###", " ###", text, flags=re.MULTILINE)


ALPACA = Recipe(
    name="alpaca",
    title="Alpaca-style",
    rules=rules_against(f"{NOT_TEXT}|video|audio|music|flowchart|diagram"),
    generate=GenerateStage(
        instructions_asked=_INSTRUCTIONS_ASKED,
        needs_instances=True,
        shown=shown_instance,
        problem=blocks_problem,
        stops=lambda config: (f"###\n{config.demonstrations + _INSTRUCTIONS_ASKED + 1}.",),
        parsers={"default": alpaca_blocks.blocks, "paper": paper.blocks},
        # In recorded runs, each row had 230 to 420 bytes and its markup.
        reply_tokens=(1020.0, 1785.0, 2975.0),
    ),
)
