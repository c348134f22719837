"""Random choices that are the same in every process, on every platform and in every Python version.

`random.Random.random` is the only method in use. Python promises not to change its sequence, but makes
no such promise for `choice`, `sample` and `shuffle`.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class SeededRandom:
    """A sequence of random numbers that depends only on `seed`, a text that UTF-8 can encode."""

    __slots__ = ("unit",)

    def __init__(self, seed: str) -> None:
        self.unit = random.Random(seed).random
        """A function without arguments that returns a number from 0 (included) to 1 (excluded)."""

    def chance(self, share: float) -> bool:
        """Return True with the probability `share`, from 0 to 1."""
        return self.unit() < share

    def between(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self.unit() * (high - low + 1))

    def one_of(self, options: Sequence[T]) -> T:
        """Return one of at least one equally likely `options`."""
        return options[int(self.unit() * len(options))]

    def some_of(self, options: Sequence[T], number: int) -> list[T]:
        """Return `number` of the `options`, or all of them if there are fewer, in random order."""
        left = list(options)
        return [left.pop(int(self.unit() * len(left))) for _ in range(min(number, len(left)))]
