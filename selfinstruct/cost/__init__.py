"""What requests consume, and what that costs. Money is US dollars, as Decimal: exact to the last digit.

>>> price = Price(input=Decimal("0.40"), cached_input=Decimal("0.10"), output=Decimal("1.60"))
>>> price.cost(Consumption(requests=1, prompt_tokens=1_000, completion_tokens=500))
Decimal('0.0012')
"""

from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.records import STRICT, Usage

PER = 1_000_000
"""Prices are those of so many tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """Requests and tokens, of which a price makes money."""

    requests: int = 0
    """Attempts that were sent, whether they were answered or not."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompts' tokens, those that the endpoint had in a cache."""
    completion_tokens: int = 0

    def __add__(self, other: "Consumption") -> "Consumption":
        return Consumption(
            requests=self.requests + other.requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: "Consumption") -> "Consumption":
        return self + -1 * other

    def __rmul__(self, times: int) -> "Consumption":
        return Consumption(
            requests=times * self.requests,
            prompt_tokens=times * self.prompt_tokens,
            cached_tokens=times * self.cached_tokens,
            completion_tokens=times * self.completion_tokens,
        )

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens


def consumed(usage: Usage) -> Consumption:
    """What one answered request consumed, as the endpoint counted it."""
    return Consumption(
        requests=1,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What tokens cost: US dollars for a million of them."""

    __pydantic_config__ = STRICT

    input: Decimal
    cached_input: Decimal
    """For tokens of a prompt that the endpoint had in a cache."""
    output: Decimal

    def cost(self, consumption: Consumption) -> Decimal:
        """US dollars, exactly."""
        fresh = consumption.prompt_tokens - consumption.cached_tokens
        return (
            fresh * self.input
            + consumption.cached_tokens * self.cached_input
            + consumption.completion_tokens * self.output
        ) / PER


FREE = Price(input=Decimal(0), cached_input=Decimal(0), output=Decimal(0))
"""Of an endpoint that bills nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedUse:
    """What a run was expected to consume by its target, in all its starts, when one of them began."""

    __pydantic_config__ = STRICT

    target: int
    """Accepted instructions."""
    tokens: tuple[int, int, int]
    """Low end, what was expected, high end."""
    usd: tuple[Decimal, Decimal, Decimal] | None
    """The same in US dollars; None where no price was known."""
