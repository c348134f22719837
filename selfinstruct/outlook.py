"""What an instruction costs now, and what the next ones will: the more there are, the rarer is a new one.

The forecast goes by how the cost of an instruction changed while their number doubled. It takes that to go
on: c(m) = c(n) · (m / n)^b, where c is the cost of an instruction when there are so many, and b comes from
c(n) and c(n / 2). Where there is no price, tokens stand for dollars.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.cost import Consumption, Price
from selfinstruct.course import Stretch
from selfinstruct.state import RunState

RECENT = 500
"""Instructions that stand for "now"."""
_ENOUGH = 400
"""Fewer than so many tell nothing about a trend."""
_STEADY = 0.05
"""An exponent below that is noise: then the cost grows too slowly to say when it will have doubled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of the cost of an instruction; None where it is not known (yet)."""

    cost_usd: Decimal | None
    """What was spent in all, unheard attempts at their bound."""
    usd_per_accepted: Decimal | None
    recent_usd_per_accepted: Decimal | None
    """Over the last 500 accepted."""
    acceptance: float
    """Accepted ÷ candidates, in [0, 1]."""
    recent_acceptance: float
    """Over the last 500 accepted."""
    next_thousand_usd: Decimal | None
    next_thousand_tokens: int | None
    doubles_at: int | None
    """So many instructions from which a thousand will cost twice what the last thousand did; None where that
    is not in sight."""


def outlook(state: RunState) -> Outlook:
    """Look at what a run has spent, and ahead."""
    course, price = state.course, state.price
    whole, recent = course.stretch(0, course.accepted), course.recent(RECENT)
    spent = state.spending.spent
    measure: Callable[[Consumption], float] = lambda c: float(c.tokens)  # noqa: E731
    if price is not None and price.cost(spent):
        measure = lambda c: float(price.cost(c))  # noqa: E731
    growth = _growth(state, measure)
    tokens = _next_thousand(recent.consumed.tokens, recent, course.accepted, growth)
    dollars = None
    if price is not None:
        cost = float(price.cost(recent.consumed))
        ahead = _next_thousand(cost, recent, course.accepted, growth)
        dollars = Decimal(repr(round(ahead, 6))) if ahead is not None else None
    return Outlook(
        cost_usd=price.cost(spent) if price is not None else None,
        usd_per_accepted=_each(price, spent, state.accepted),
        recent_usd_per_accepted=_each(price, recent.consumed, recent.accepted),
        acceptance=whole.acceptance,
        recent_acceptance=recent.acceptance,
        next_thousand_usd=dollars,
        next_thousand_tokens=round(tokens) if tokens is not None else None,
        doubles_at=_doubles_at(course.accepted, growth),
    )


def _each(price: Price | None, consumed: Consumption, accepted: int) -> Decimal | None:
    if price is None or not accepted:
        return None
    return price.cost(consumed) / accepted


def _growth(state: RunState, measure: Callable[[Consumption], float]) -> float | None:
    """The exponent b; None where there is too little to go by."""
    course = state.course
    number = course.accepted
    width = min(RECENT, number // 4)
    if number < _ENOUGH:
        return None
    now, then = course.recent(width), course.stretch(number // 2 - width, number // 2)
    if not now.accepted or not then.accepted:
        return None
    costs = [measure(s.consumed) / s.accepted for s in (now, then)]
    if not all(costs):
        return None
    # Of the middles of both stretches, not of their ends.
    doublings = math.log2((number - width / 2) / (number / 2 - width / 2))
    return max(0.0, math.log2(costs[0] / costs[1]) / doublings)


def _next_thousand(
    recent_cost: float, recent: Stretch, number: int, growth: float | None
) -> float | None:
    if growth is None or not recent.accepted:
        return None
    each = recent_cost / recent.accepted
    begin = number - recent.accepted / 2  # what is recent was so in its middle
    scale = each / begin**growth / (growth + 1)
    return float(scale * ((number + 1000) ** (growth + 1) - number ** (growth + 1)))


def _doubles_at(number: int, growth: float | None) -> int | None:
    if growth is None or growth < _STEADY:
        return None
    return round(number * 2 ** (1 / growth))
