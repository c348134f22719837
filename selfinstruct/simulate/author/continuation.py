"""Continuations: new tasks for the end of a numbered list.

Knows how a list is written, and all the ways in which models write it otherwise. Asked for tasks 9
to 16, it mostly gives::

    9. Explain to a retired engineer why bread rises.
    10. …

Where the demonstrations show their inputs, some replies have inputs too, in the same place.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from selfinstruct.simulate.author import mistakes
from selfinstruct.simulate.author.common_tasks import commonplaces
from selfinstruct.simulate.author.examples import examples
from selfinstruct.simulate.author.grammar import Scene, Template, settings
from selfinstruct.simulate.author.prompt_recognition import Continuation
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.random_draws import Draws

_WORD: Final = re.compile(r"[A-Za-z]{4,}")
_HABITS: Final = 150
_SWAPS: Final = ("short", "given", "simple", "following", "famous", "second", "local", "modern")


def continuation(asked: Continuation, draws: Draws, shares: mistakes.FaultShares) -> str:
    """The reply to a list of demonstrations."""
    if draws.chance(shares.refused):
        return draws.one_of(mistakes.APOLOGIES)
    tasks = new_tasks(asked, asked.last - asked.first + 1, draws, shares)
    if draws.chance(shares.malformed):
        return draws.one_of(_wrong_layouts(asked.first, tasks))
    return lines(asked.first, tasks)


def new_tasks(
    asked: Continuation, number: int, draws: Draws, shares: mistakes.FaultShares
) -> list[str]:
    """`number` further items for the list, without their numbers."""
    tasks = [new_task(asked.demonstrations, draws, shares) for _ in range(number)]
    if asked.input_lead and draws.chance(shares.inputs_shown):
        tasks = [task + _input(task, asked.input_lead, draws) for task in tasks]
    return tasks


def new_task(demonstrations: Sequence[str], draws: Draws, shares: mistakes.FaultShares) -> str:
    """One instruction, or one of the faults that an instruction can have."""
    faulty: tuple[tuple[float, Callable[[], str]], ...] = (
        (shares.copied, lambda: _near_copy(demonstrations, draws)),
        (shares.commonplace, lambda: draws.one_of(commonplaces())),
        (shares.habitual, lambda: _habit(draws.below(_HABITS))),
        (shares.curt, lambda: draws.one_of(mistakes.CURT)),
        (shares.beyond_text, lambda: _filled(draws.one_of(mistakes.BEYOND_TEXT), draws)),
        (shares.punctuated, lambda: draws.one_of(mistakes.PUNCTUATED) + compose(draws)),
        (shares.program, lambda: _filled(draws.one_of(mistakes.PROGRAMS), draws)),
    )
    fate = draws.unit()
    for share, write in faulty:
        if fate < share:
            return write()
        fate -= share
    return compose(draws)


@cache
def _habit(number: int) -> str:
    """One of the instructions that come up again and again."""
    return compose(Draws(f"habit {number}"))


def _near_copy(demonstrations: Sequence[str], draws: Draws) -> str:
    """A demonstration with one word changed."""
    copied = draws.one_of(demonstrations) if demonstrations else compose(draws)
    words = list(_WORD.finditer(copied))
    if not words:
        return copied
    word = draws.one_of(words)
    return copied[: word.start()] + draws.one_of(_SWAPS) + copied[word.end() :]


def _filled(text: str, draws: Draws) -> str:
    return Template(text).fill(Scene(draws=draws, setting=draws.one_of(settings())))


def _input(task: str, lead: str, draws: Draws) -> str:
    """An input for `task` with what leads to it; "" if it needs none."""
    given = examples(task, 1, draws)[0][0]
    return lead + given.replace("\n", " ") if given else ""


def lines(first: int, tasks: list[str], mark: str = ".") -> str:
    """The tasks as a list that is numbered from `first`."""
    return "\n".join(f"{number}{mark} {task}" for number, task in enumerate(tasks, first))


def _wrong_layouts(first: int, tasks: list[str]) -> tuple[str, ...]:
    """The tasks as lists that are not what was asked for."""
    right = lines(first, tasks)
    announced = f"Sure! Here are {len(tasks)} more tasks:"
    second_number = f"\n{first + 1}. "
    return (
        lines(1, tasks),
        "\n".join(f"{number}) {task}" for number, task in enumerate(tasks, first)),
        f"{announced}\n\n{right}\n\nLet me know if you would like more tasks!",
        "\n".join(f"- {task}" for task in tasks),
        right.replace("\n", " "),
        right.replace(second_number, "\n"),  # one number is missing
    )
