"""Random draws that every version of Python makes alike.

`Random.sample` and `Random.shuffle` may change between Python versions; `Random(text).random()` is promised
not to. A run that is continued under another Python must draw the same demonstrations.

    >>> distinct(Random("7/generate/1"), 3, below=10)
    [2, 8, 9]
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def distinct(rng: Random, count: int, *, below: int) -> list[int]:
    """`count` different whole numbers in [0, below), in the order drawn. `count` must not exceed `below`."""
    # Floyd's method: no list of all the numbers, since a pool may be long.
    drawn: dict[int, None] = {}
    for ceiling in range(below - count, below):
        number = int(rng.random() * (ceiling + 1))
        drawn[ceiling if number in drawn else number] = None
    return list(drawn)


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """The items in random order (Fisher-Yates)."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order
