"""Random draws that are the same in every Python version.

`Random.sample` and `Random.shuffle` may change between Python versions, but `Random(text).random()` does not.
A run that continues with another Python version must draw the same demonstrations.


    >>> distinct(Random("7/generate/1"), 3, below=10)
    [2, 8, 9]
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def distinct(rng: Random, count: int, *, below: int) -> list[int]:
    """Return `count` different random integers from 0 to `below` - 1, in the order in which they are drawn.

    `count` must not exceed `below`.
    """
    # Floyd's algorithm does not need a list of all numbers, which would be long for a large pool.
    drawn: dict[int, None] = {}
    for ceiling in range(below - count, below):
        number = int(rng.random() * (ceiling + 1))
        drawn[ceiling if number in drawn else number] = None
    return list(drawn)


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """Return the items in random order, using the Fisher-Yates shuffle."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order
