"""Draws: chance that always falls the same way.

Everything the author decides is drawn from a `Draws`, and a `Draws` is settled by the text it is
made from, whatever the process, the platform or the Python version::

    >>> Draws("a request").below(6) == Draws("a request").below(6)
    True

Only `random.Random.random` is used underneath: its sequence is promised not to change between
Python versions, whereas those of `choice`, `sample` and `shuffle` are not.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A sequence of random draws, settled by `seed`: any text that can be encoded as UTF-8."""

    __slots__ = ("_unit",)

    def __init__(self, seed: str) -> None:
        self._unit = random.Random(seed).random

    def unit(self) -> float:
        """A number from 0 (included) to 1 (excluded)."""
        return self._unit()

    def chance(self, share: float) -> bool:
        """True in `share` of all cases; `share` lies from 0 to 1."""
        return self._unit() < share

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1; `bound` is at least 1."""
        return int(self._unit() * bound)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._unit() * (high - low + 1))

    def one_of(self, options: Sequence[T]) -> T:
        """One of the `options`, all equally likely; there must be at least one."""
        return options[int(self._unit() * len(options))]

    def some_of(self, options: Sequence[T], number: int) -> list[T]:
        """`number` different ones of the `options` (all of them if there are fewer), shuffled."""
        left = list(options)
        return [left.pop(int(self._unit() * len(left))) for _ in range(min(number, len(left)))]
