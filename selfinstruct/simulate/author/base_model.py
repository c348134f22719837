r"""Simulates a base model, which continues the prompt's text and does not stop after the answer.

Clients truncate the text with stop sequences. The model does not repeat the end of the prompt::

    …\n8. Eighth task.\n9.         ->   First new task.\n10. Second new task.\n…
    …Is it classification?         ->   Yes\n\nTask: Sort my mail.\nIs it classification? No\n…
    …Task: Sort my mail.\n         ->  Output: Sorted.\n\nTask: …

Unlike the simulated chat model, it never refuses and never adds an introduction.
"""

from dataclasses import replace
from typing import Final

from selfinstruct.simulate.author.blocks import continued_blocks
from selfinstruct.simulate.author.classification import is_classification, yes_or_no
from selfinstruct.simulate.author.continuation import new_tasks, numbered
from selfinstruct.simulate.author.instances import example_blocks
from selfinstruct.simulate.author.instructions import compose
from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.author.prompt_recognition import (
    Asked,
    Blocks,
    Classification,
    Continuation,
    Instances,
)
from selfinstruct.simulate.seeded_random import SeededRandom

_MAX_EXTRA: Final = 5
"""Maximum number of tasks beyond those that the prompt asks for."""
_NEW_LIST_SHARE: Final = 0.7
"""Share of lists that are followed by a blank line and another list. Other lists just continue."""


def continue_prompt(prompt: str, asked: Asked, rng: SeededRandom, shares: FaultShares) -> str:
    """Return the text with which the model continues `prompt`. `asked` is what the prompt asks for."""
    if isinstance(asked, Continuation):
        text = _list(asked, rng, shares)
        return gap(prompt) + text.lstrip(" ") if asked.bare else gap(prompt, "\n") + text
    if isinstance(asked, Blocks):
        last = asked.last + rng.between(0, _MAX_EXTRA)
        return gap(prompt) + continued_blocks(asked, last, rng, shares).lstrip(" ")
    if isinstance(asked, Classification):
        return gap(prompt) + _answers(asked, rng, shares)
    return gap(prompt, "\n") + _instances(asked, rng, shares)


def gap(prompt: str, separator: str = " ") -> str:
    """Return the separator to insert before a reply, or "" if `prompt` is empty or ends in white space."""
    return "" if not prompt or prompt[-1].isspace() else separator


def _list(asked: Continuation, rng: SeededRandom, shares: FaultShares) -> str:
    number = asked.last - asked.first + 1 + rng.between(0, _MAX_EXTRA)
    malformed = rng.chance(shares.malformed)
    skips = malformed and rng.chance(0.5)
    breaks_off = malformed and not skips
    if breaks_off:
        number = rng.between(1, 3)
    text = numbered(asked.first, new_tasks(asked, number, rng, shares), asked.mark)
    if skips:
        text = text.replace(f"\n{asked.first + 1}{asked.mark} ", "\n")
    more = new_tasks(asked, rng.between(3, 8), rng, shares)
    if breaks_off or rng.chance(_NEW_LIST_SHARE):
        text += f"\n\nCome up with a series of tasks:\n{numbered(1, more, asked.mark)}"
    else:
        text += "\n" + numbered(asked.first + number, more, asked.mark)
    return text.removeprefix(f"{asked.first}{asked.mark}") if asked.bare else text


def _answers(asked: Classification, rng: SeededRandom, shares: FaultShares) -> str:
    """Return the answer, followed by further questions and their answers."""
    parts = [yes_or_no(asked.instruction, rng, shares, unclear="unclear_base")]
    for _ in range(rng.between(3, 6)):
        task = compose(rng)
        answer = yes_or_no(task, rng, shares, unclear="unclear_base")
        parts.append(f"{asked.marker}{task}\n{asked.question} {answer}")
    return "\n\n".join(parts)


def _instances(asked: Instances, rng: SeededRandom, shares: FaultShares) -> str:
    """Return the examples, followed by further tasks with examples."""
    parts = [example_blocks(asked, rng, shares)]
    for _ in range(rng.between(2, 4)):
        further = replace(asked, instruction=_other_task(asked, rng))
        examples = example_blocks(further, rng, shares)
        parts.append(f"{further.marker}{further.instruction}\n{examples}")
    return "\n\n".join(parts)


def _other_task(asked: Instances, rng: SeededRandom) -> str:
    """Return a new task that, like the prompt's task, is or is not a classification task."""
    for _ in range(40):
        task = compose(rng)
        if is_classification(task) == asked.labels_first:
            break
    return task
