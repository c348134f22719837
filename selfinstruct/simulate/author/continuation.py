"""Continues a numbered list with new tasks, sometimes in a wrong layout."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from selfinstruct.simulate.author import mistake_rates
from selfinstruct.simulate.author.grammar import new_scene, word_list
from selfinstruct.simulate.author.inputs_and_outputs import examples
from selfinstruct.simulate.author.instructions import compose
from selfinstruct.simulate.author.prompt_recognition import Continuation
from selfinstruct.simulate.seeded_random import SeededRandom

_WORD: Final = re.compile(r"[A-Za-z]{4,}")
_REPEATED_TASKS: Final = 150


def continuation(asked: Continuation, rng: SeededRandom, shares: mistake_rates.FaultShares) -> str:
    """Return a chat model's reply to a prompt that ends with a list of demonstrations."""
    tasks = new_tasks(asked, asked.last - asked.first + 1, rng, shares)
    if rng.chance(shares.malformed):
        return rng.one_of(_wrong_layouts(asked.first, tasks))
    return numbered(asked.first, tasks)


def new_tasks(
    asked: Continuation, number: int, rng: SeededRandom, shares: mistake_rates.FaultShares
) -> list[str]:
    """Return `number` new tasks for the list, without their numbers."""
    tasks = [new_task(asked.demonstrations, rng, shares) for _ in range(number)]
    if asked.input_lead and rng.chance(shares.inputs_shown):
        tasks = [task + _input(task, asked.input_lead, rng) for task in tasks]
    return tasks


def new_task(
    demonstrations: Sequence[str], rng: SeededRandom, shares: mistake_rates.FaultShares
) -> str:
    """Return a new instruction, which may be a near-copy, a repeat, or otherwise wrong."""
    wrong: tuple[tuple[float, Callable[[], str]], ...] = (
        (shares.copied, lambda: _near_copy(demonstrations, rng)),
        (shares.repeated, lambda: _repeated(rng.between(1, _REPEATED_TASKS))),
        (shares.curt, lambda: rng.one_of(word_list("curt"))),
        (shares.beyond_text, lambda: new_scene(rng).fill(rng.one_of(word_list("beyond_text")))),
        (shares.punctuated, lambda: rng.one_of(mistake_rates.PUNCTUATED) + compose(rng)),
        (shares.program, lambda: new_scene(rng).fill(rng.one_of(word_list("program")))),
    )
    chance = rng.unit()
    for share, write in wrong:
        if chance < share:
            return write()
        chance -= share
    return compose(rng)


@cache
def _repeated(number: int) -> str:
    return compose(SeededRandom(f"repeated {number}"))


def _near_copy(demonstrations: Sequence[str], rng: SeededRandom) -> str:
    """Return a random demonstration with one word replaced."""
    copied = rng.one_of(demonstrations) if demonstrations else compose(rng)
    words = list(_WORD.finditer(copied))
    if not words:
        return copied
    word = rng.one_of(words)
    return copied[: word.start()] + rng.one_of(word_list("other_word")) + copied[word.end() :]


def _input(task: str, lead: str, rng: SeededRandom) -> str:
    given = examples(task, 1, rng)[0][0]
    return lead + given.replace("\n", " ") if given else ""


def numbered(first: int, tasks: list[str], mark: str = ".") -> str:
    """Return the tasks as a numbered list whose first number is `first`."""
    return "\n".join(f"{number}{mark} {task}" for number, task in enumerate(tasks, first))


def _wrong_layouts(first: int, tasks: list[str]) -> tuple[str, ...]:
    right = numbered(first, tasks)
    return (
        numbered(1, tasks),
        numbered(first, tasks, ")"),
        f"Sure! Here are {len(tasks)} more tasks:\n\n{right}\n\nLet me know if you would like more!",
        "\n".join(f"- {task}" for task in tasks),
        right.replace("\n", " "),
        right.replace(f"\n{first + 1}. ", "\n"),  # The second number is missing.
    )
