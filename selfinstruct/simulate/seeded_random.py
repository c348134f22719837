"""Seeded random choices that are the same in every process, platform and Python version.

Only `random.Random.random` is used, because Python guarantees its sequence for a seed. Python does not
guarantee the results of `choice`, `sample` and `shuffle`.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class SeededRandom:
    """A sequence of random numbers that depends only on `seed`, which must be encodable as UTF-8."""

    __slots__ = ("unit",)

    def __init__(self, seed: str) -> None:
        self.unit = random.Random(seed).random
        """Returns the next random number, from 0 (inclusive) to 1 (exclusive)."""

    def chance(self, share: float) -> bool:
        """Return True with probability `share`, a number from 0 to 1."""
        return self.unit() < share

    def between(self, low: int, high: int) -> int:
        """Return a random integer from `low` to `high`, both inclusive."""
        return low + int(self.unit() * (high - low + 1))

    def one_of(self, options: Sequence[T]) -> T:
        """Return a random one of the `options`, all equally likely. `options` must not be empty."""
        return options[int(self.unit() * len(options))]

    def some_of(self, options: Sequence[T], number: int) -> list[T]:
        """Return `number` different `options` in random order, or all options if there are fewer."""
        left = list(options)
        return [left.pop(int(self.unit() * len(left))) for _ in range(min(number, len(left)))]
