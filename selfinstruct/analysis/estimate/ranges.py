"""Quantities that are not known exactly: an expected value, and a range that probably contains the true one.

    >>> (Range(low=2.0, expected=4.0, high=8.0) * Range(low=5.0, expected=10.0, high=20.0)).each(round)
    Range(low=15, expected=40, high=107)

The range of a product is narrower than the product of the ends, because both factors are rarely at their
extremes together. The squares of their relative errors are added, as for independent errors.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from selfinstruct.cost import Consumption

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(Generic[T]):
    """The low end, expected value and high end of a number, an amount of money or a `Consumption`."""

    low: T
    expected: T
    high: T

    def __post_init__(self) -> None:
        ends = self.low, self.expected, self.high
        if isinstance(self.low, int | float) and not 0 <= ends[0] <= ends[1] <= ends[2] < math.inf:  # type: ignore[operator]
            raise ValueError(f"{ends[0]} ≤ {ends[1]} ≤ {ends[2]} is no range")

    def each(self, change: Callable[[T], U]) -> "Range[U]":
        """Return a range with `change` applied to all three values."""
        return Range(low=change(self.low), expected=change(self.expected), high=change(self.high))

    def falling(self, change: Callable[[T], U]) -> "Range[U]":
        """Return the range of a quantity that falls as this one rises; `change` computes its values."""
        return Range(low=change(self.high), expected=change(self.expected), high=change(self.low))

    def join(self, other: "Range[U]", combine: Callable[[T, U], T]) -> "Range[T]":
        """Combine two ranges: low end with low end, expected with expected value, high end with high end."""
        return Range(
            low=combine(self.low, other.low),
            expected=combine(self.expected, other.expected),
            high=combine(self.high, other.high),
        )

    def __add__(self, other: "Range[T]") -> "Range[T]":
        return self.join(other, operator.add)

    def __mul__(self: "Range[float]", other: "Range[float]") -> "Range[float]":
        expected = self.expected * other.expected
        if not expected:
            return Range(low=0.0, expected=0.0, high=self.high * other.high)
        down = math.hypot(_ratio(self.expected, self.low), _ratio(other.expected, other.low))
        up = math.hypot(_ratio(self.high, self.expected), _ratio(other.high, other.expected))
        # Because exp rounds, clamp both ends: the product of two exact factors must be exact.
        return Range(
            low=min(expected * math.exp(-down), expected),
            expected=expected,
            high=max(expected * math.exp(up), expected),
        )

    def times(self: "Range[float]", factor: float) -> "Range[float]":
        """Return the range multiplied by an exactly known number."""
        return self.each(lambda value: value * factor)

    def at_most(self: "Range[float]", limit: float) -> "Range[float]":
        """Return the range with all three values capped at `limit`."""
        return self.each(lambda value: min(value, limit))


Amounts = Range[Consumption]
Money = Range[Decimal]


def _ratio(larger: float, smaller: float) -> float:
    """Return the logarithm of `larger / smaller`; infinity if `smaller` is 0."""
    return math.log(larger / smaller) if smaller else math.inf


def exactly(value: T) -> Range[T]:
    """Return the range of an exactly known value: all three values are equal."""
    return Range(low=value, expected=value, high=value)


def around(value: float, ratio: float) -> Range[float]:
    """Return the range from `value / ratio` to `value * ratio`."""
    return Range(low=value / ratio, expected=value, high=value * ratio)


def range_json(values: Range[float] | Range[Decimal]) -> dict[str, float]:
    """Return a range as JSON: three plain numbers, rounded to millionths."""
    return {end: round(float(value), 6) for end, value in asdict(values).items()}
