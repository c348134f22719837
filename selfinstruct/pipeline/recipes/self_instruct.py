"""The recipe "self-instruct" (Wang et al., 2022): instructions first, then two requests about each."""

import re

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.filters import NOT_TEXT, rules_against
from selfinstruct.pipeline.languages import ENGLISH
from selfinstruct.pipeline.parse import classification, instances, lists, paper
from selfinstruct.pipeline.recipes.types import (
    CONTINUES,
    ClassifyStage,
    GenerateStage,
    InstancesStage,
    Recipe,
)
from selfinstruct.records import Task

_INSTRUCTIONS_ASKED = 8  # Self-Instruct, Table 5: the list continues from 9 to 16


def list_problem(config: RunConfig, prompt: str) -> str:
    """Return why a prompt is not a numbered list of demonstrations; "" if it is one."""
    numbered = (
        rf"(?im)^\W*(?:task\s+)?{n}\s*[.):].*{re.escape(demonstration['instruction'])}"
        for n, demonstration in enumerate(GenerateStage.sample["demonstrations"], start=1)
    )
    # A line of only "###" separates blocks. "### Tasks" is a heading.
    has_blocks = re.search(r"(?m)^\s*###\s*$", prompt) and "Instruction:" in prompt
    if has_blocks or not all(re.search(line, prompt) for line in numbered):
        problem = "does not show the demonstrations as numbered lines"
        return f"{problem}, which the recipe {config.recipe} needs"
    first, is_continued = GenerateStage.sample["first_number"], config.api == "completions"
    number = re.search(rf"(?i)\n\W*(?:task\s+)?{first}\s*[.):](\s*)\Z", prompt)
    if is_continued and (number is None or number[1]):
        return f'must end in "{{{{ first_number }}}}." and nothing after it, {CONTINUES}'
    if number is not None and not is_continued:
        return "ends in the next task's number, which is suitable only for base models (--api completions)"
    return ""


def shown_input(config: RunConfig, task: Task) -> tuple[str, str]:
    """Return the first input of a task if the run shows inputs. The list never shows outputs."""
    inputs = (instance.input for instance in task.instances or () if instance.input)
    return _indented(next(inputs, "")) if config.show_input else "", ""


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


# In recorded runs, a list of eight had 490 to 580 bytes, which were short instructions by base models;
# instances had 170 to 490.
SELF_INSTRUCT = Recipe(
    name="self-instruct",
    title="Self-Instruct",
    rules=rules_against(NOT_TEXT),
    generate=GenerateStage(
        instructions_asked=_INSTRUCTIONS_ASKED,
        needs_instances=False,
        shown=shown_input,
        problem=list_problem,
        stops=lambda config: ("\n\n", f"\n{config.demonstrations + _INSTRUCTIONS_ASKED}"),
        parsers={"default": lists.instructions, "paper": paper.instructions},
        reply_tokens=(120.0, 224.0, 416.0),
    ),
    task_stages=(
        ClassifyStage(
            # An answer is short, so "Task:" stops it anywhere.
            stops=lambda _: ("\n", f"{ENGLISH.task}:"),
            parsers={"default": classification.answer, "paper": paper.answer},
            reply_tokens=(1.0, 2.0, 5.0),
        ),
        InstancesStage(
            stops=lambda config: (
                f"\n{ENGLISH.example} {config.max_instances + 1}",
                f"\n{ENGLISH.task}:",
            ),
            parsers={"default": instances.instances, "paper": paper.instances},
            reply_tokens=(60.0, 160.0, 400.0),
        ),
    ),
)
