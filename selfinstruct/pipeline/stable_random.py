"""Random draws that are the same in every version of Python.

`Random.sample` and `Random.shuffle` may change between Python versions; `Random(text).random()` may not. A
run that continues under another Python must draw the same demonstrations.


    >>> distinct(Random("7/generate/1"), 3, below=10)
    [2, 8, 9]
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def distinct(rng: Random, count: int, *, below: int) -> list[int]:
    """Return `count` different integers from 0 to `below` - 1, in the order drawn.

    `count` must not exceed `below`.
    """
    # Floyd's algorithm needs no list of all numbers, and a pool may be long.
    drawn: dict[int, None] = {}
    for ceiling in range(below - count, below):
        number = int(rng.random() * (ceiling + 1))
        drawn[ceiling if number in drawn else number] = None
    return list(drawn)


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """Return the items in random order (Fisher-Yates)."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order
