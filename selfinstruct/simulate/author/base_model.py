r"""The base model: an author that has never been taught to chat, and only continues texts.

Knows how each of the prompts goes on, and does not know when to stop: what follows on the answer is
more of the same, which clients cut with stop texts. What has begun is not begun again::

    …\n8. Eighth task.\n9.         ->   First new task.\n10. Second new task.\n…
    …Is it classification?         ->   Yes\n\nTask: Sort my mail.\nIs it classification? No\n…
    …Task: Sort my mail.\n         ->  Output: Sorted.\n\nTask: …

A base model neither refuses nor greets: the faults that a chat model has on account of its manners
do not occur here.
"""

from dataclasses import replace
from typing import Final

from selfinstruct.simulate.author.blocks import continued_blocks
from selfinstruct.simulate.author.classification import is_classification, verdict
from selfinstruct.simulate.author.continuation import lines, new_tasks
from selfinstruct.simulate.author.instances import example_blocks
from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.author.prompt_recognition import (
    Asked,
    Blocks,
    Continuation,
    Instances,
    Verdict,
)
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.random_draws import Draws

_MOST_BEYOND: Final = 5
_NEW_LIST_SHARE: Final = 0.7
"""How many lists end with a blank line and another list, from 0 to 1; the others just go on."""
_HEADERS: Final = (
    "Come up with a series of tasks:",
    "Come up with eight more tasks:",
    "Here is another list of tasks:",
    "Tasks that need no input:",
)
_UNCLEAR: Final = ("Maybe", "It depends", "Is it a generation task?", "Not sure")


def go_on(prompt: str, asked: Asked, draws: Draws, shares: FaultShares) -> str:
    """What follows on `prompt`, which asks for what `asked` says."""
    if isinstance(asked, Continuation):
        text = _list(asked, draws, shares)
        return _joined(prompt, text) if asked.bare else gap(prompt, "\n") + text
    if isinstance(asked, Blocks):
        beyond = draws.between(0, _MOST_BEYOND)
        return _joined(prompt, continued_blocks(asked, draws, shares, beyond=beyond))
    if isinstance(asked, Verdict):
        return gap(prompt) + _verdicts(asked, draws, shares)
    return gap(prompt, "\n") + _instances(asked, draws, shares)


def gap(prompt: str, usual: str = " ") -> str:
    """What divides a reply from its prompt: `usual`, or nothing after white space."""
    return "" if not prompt or prompt[-1].isspace() else usual


def _joined(prompt: str, text: str) -> str:
    return gap(prompt) + text.lstrip(" ")


def _list(asked: Continuation, draws: Draws, shares: FaultShares) -> str:
    number = asked.last - asked.first + 1 + draws.between(0, _MOST_BEYOND)
    skips = loses_the_thread = False
    if draws.chance(shares.malformed):
        skips = draws.chance(0.5)
        loses_the_thread = not skips
    if loses_the_thread:
        number = draws.between(1, 3)
    text = lines(asked.first, new_tasks(asked, number, draws, shares), asked.mark)
    if skips:
        text = text.replace(f"\n{asked.first + 1}{asked.mark} ", "\n")
    more = new_tasks(asked, draws.between(3, 8), draws, shares)
    if loses_the_thread or draws.chance(_NEW_LIST_SHARE):
        text += f"\n\n{draws.one_of(_HEADERS)}\n{lines(1, more, asked.mark)}"
    else:
        text += "\n" + lines(asked.first + number, more, asked.mark)
    return text.removeprefix(f"{asked.first}{asked.mark}") if asked.bare else text


def _verdicts(asked: Verdict, draws: Draws, shares: FaultShares) -> str:
    """The answer, and then questions of the model's own with their answers."""
    parts = [verdict(asked, draws, shares, unclear=_UNCLEAR)]
    for _ in range(draws.between(3, 6)):
        task = compose(draws)
        answer = verdict(replace(asked, instruction=task), draws, shares, unclear=_UNCLEAR)
        parts.append(f"{asked.marker}{task}\n{asked.question} {answer}")
    return "\n\n".join(parts)


def _instances(asked: Instances, draws: Draws, shares: FaultShares) -> str:
    """The examples, and then tasks of the model's own with theirs."""
    parts = [example_blocks(asked, draws, shares)]
    for _ in range(draws.between(2, 4)):
        further = replace(asked, instruction=_another_task(asked, draws))
        blocks = example_blocks(further, draws, shares)
        parts.append(f"{further.marker}{further.instruction}\n{blocks}")
    return "\n\n".join(parts)


def _another_task(asked: Instances, draws: Draws) -> str:
    """A task that suits the prompt: one with labels or one without."""
    for _ in range(40):
        task = compose(draws)
        if is_classification(task) == asked.labels_first:
            break
    return task
