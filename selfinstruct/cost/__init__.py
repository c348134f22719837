"""What requests consume, and what it costs. Costs are exact Decimal amounts in US dollars.

>>> price = Price(input=Decimal("0.40"), cached_input=Decimal("0.10"), output=Decimal("1.60"))
>>> price.cost(Consumption(requests=1, prompt_tokens=1_000, completion_tokens=500))
Decimal('0.0012')
"""

import operator
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.records import Strict, Usage

PER = 1_000_000
"""Number of tokens that prices refer to."""


@dataclass(frozen=True, slots=True)
class Consumption(Strict):
    """The numbers of requests and tokens that were consumed."""

    requests: int = 0
    """Number of attempts that were sent, with or without a reply."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Number of prompt tokens that the endpoint read from its cache. `prompt_tokens` includes them."""
    completion_tokens: int = 0

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """All four numbers, in the order of the fields."""
        return self.requests, self.prompt_tokens, self.cached_tokens, self.completion_tokens

    def __add__(self, other: "Consumption") -> "Consumption":
        return Consumption(*map(operator.add, self.amounts, other.amounts))

    def __sub__(self, other: "Consumption") -> "Consumption":
        return Consumption(*map(operator.sub, self.amounts, other.amounts))

    def __rmul__(self, factor: int) -> "Consumption":
        return Consumption(*(factor * amount for amount in self.amounts))

    @property
    def tokens(self) -> int:
        """Number of tokens in prompts and replies together."""
        return self.prompt_tokens + self.completion_tokens


NOTHING = Consumption()


def consumed(usage: Usage) -> Consumption:
    """Return the consumption of one request with a reply, as the endpoint reported it."""
    return Consumption(
        requests=1,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Strict):
    """Prices of a model in US dollars per million tokens."""

    input: Decimal
    cached_input: Decimal
    """Price of prompt tokens that the endpoint reads from its cache."""
    output: Decimal

    def cost(self, consumption: Consumption) -> Decimal:
        """Return the exact cost of a consumption in US dollars."""
        uncached = consumption.prompt_tokens - consumption.cached_tokens
        return (
            uncached * self.input
            + consumption.cached_tokens * self.cached_input
            + consumption.completion_tokens * self.output
        ) / PER


FREE = Price(input=Decimal(0), cached_input=Decimal(0), output=Decimal(0))
"""Price of an endpoint that bills nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedUse(Strict):
    """Estimated consumption of a run until it reaches its target, in all of its processes together."""

    target: int
    """Number of accepted instructions at which the run ends."""
    tokens: tuple[int, int, int]
    """Estimated number of tokens: low end, expected value and high end."""
    usd: tuple[Decimal, Decimal, Decimal] | None
    """Estimated cost in US dollars: low end, expected value and high end; None if the price was unknown."""
