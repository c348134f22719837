"""Numbers that are not known exactly: what is expected, and between what it will probably be.

>>> Range(low=2, expected=4, high=8) * Range(low=5, expected=10, high=20)
Range(low=15.01, expected=40.0, high=106.6)

A product is not as uncertain as its factors together: they hardly are at their worst all at once. Their
ratios to what is expected add up as independent errors do, by their squares.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.cost import Consumption, Price

_DIGITS = 4
"""Of a range that is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """0 ≤ low ≤ expected ≤ high."""

    low: float
    expected: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.expected <= self.high < math.inf:
            raise ValueError(f"{self.low} ≤ {self.expected} ≤ {self.high} is no range")

    def __repr__(self) -> str:
        shown = (
            f"{float(f'{value:.{_DIGITS}g}')}" for value in (self.low, self.expected, self.high)
        )
        return "Range(low={}, expected={}, high={})".format(*shown)

    def __add__(self, other: "Range") -> "Range":
        return Range(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )

    def __mul__(self, other: "Range") -> "Range":
        expected = self.expected * other.expected
        if not expected:
            return Range(low=0.0, expected=0.0, high=self.high * other.high)
        down = math.hypot(self._down, other._down)
        up = math.hypot(self._up, other._up)
        # The exponentials round; a range of no width is to keep none.
        return Range(
            low=min(expected * math.exp(-down), expected),
            expected=expected,
            high=max(expected * math.exp(up), expected),
        )

    def times(self, factor: float) -> "Range":
        """Multiplied by a number that is known."""
        return Range(
            low=self.low * factor, expected=self.expected * factor, high=self.high * factor
        )

    def at_most(self, limit: float) -> "Range":
        """None of it above a limit."""
        return Range(
            low=min(self.low, limit),
            expected=min(self.expected, limit),
            high=min(self.high, limit),
        )

    @property
    def _down(self) -> float:
        return math.log(self.expected / self.low) if self.low else math.inf

    @property
    def _up(self) -> float:
        return math.log(self.high / self.expected)


def exactly(value: float) -> Range:
    """What is known."""
    return Range(low=value, expected=value, high=value)


def around(value: float, ratio: float) -> Range:
    """A value that may be wrong by a factor of `ratio`, up or down."""
    return Range(low=value / ratio, expected=value, high=value * ratio)


def largest(*ranges: Range) -> Range:
    """The range of the largest of several quantities."""
    return Range(
        low=max(r.low for r in ranges),
        expected=max(r.expected for r in ranges),
        high=max(r.high for r in ranges),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """US dollars: 0 ≤ low ≤ expected ≤ high."""

    low: Decimal
    expected: Decimal
    high: Decimal

    def times(self, factor: Decimal) -> "Money":
        """Multiplied by a number that is known."""
        return Money(
            low=self.low * factor, expected=self.expected * factor, high=self.high * factor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What requests will consume: low ≤ expected ≤ high in every respect."""

    low: Consumption = Consumption()
    expected: Consumption = Consumption()
    high: Consumption = Consumption()

    def __add__(self, other: "Amounts | Consumption") -> "Amounts":
        if isinstance(other, Consumption):
            other = Amounts(low=other, expected=other, high=other)
        return Amounts(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )

    def usd(self, price: Price) -> Money:
        """What that costs."""
        return Money(
            low=price.cost(self.low), expected=price.cost(self.expected), high=price.cost(self.high)
        )
