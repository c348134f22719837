"""What an instruction costs now, and what the next ones will: the more there are, the rarer is a new one.

An instruction costs its share of the lists of instructions that are asked for, which grows, and the questions
about its task, which do not. The forecast goes by how the first part grew while their number doubled, and
takes that to go on:

    c(m) = g(n) · (m / n)^b + f

where n is the number of instructions by now, those imported included, g what each takes of the lists, f what
finishing one takes. Where there is no price, tokens stand for dollars.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.cost import Consumption, Price
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.timeline import Stretch

RECENT = 500
"""Instructions that stand for "now"."""
_ENOUGH = 400
"""Fewer than so many tell nothing about a trend."""
_STEADY = 0.05
"""An exponent below that is noise: then the cost grows too slowly to say when it will have doubled."""

Measure = Callable[[Consumption], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalCost:
    """What is known of the cost of an instruction; None where it is not known (yet)."""

    cost_usd: Decimal | None
    """What was spent in all, unheard attempts at their bound."""
    usd_per_accepted: Decimal | None
    """The same for each instruction accepted, with what finishing those will take that are still open. Of a
    run with imported ones, for each of the others."""
    recent_usd_per_accepted: Decimal | None
    """What the last 500 accepted cost each, with what finishing a task takes."""
    acceptance: float
    """Accepted ÷ candidates, in [0, 1]."""
    recent_acceptance: float
    """Over the last 500 accepted."""
    next_thousand_usd: Decimal | None
    next_thousand_tokens: int | None
    doubles_at: int | None
    """So many instructions from which a thousand will cost twice what the last thousand did; None where that
    is not in sight."""


def marginal_cost(state: RunState) -> MarginalCost:
    """Look at what a run has spent, and ahead."""
    timeline, price, spent = state.timeline, state.price, state.ledger.spent
    recent = timeline.recent(RECENT)
    tokens = _Forecast(state, lambda consumed: float(consumed.tokens))
    money = None
    if price is not None and price.cost(spent):
        money = _Forecast(state, lambda consumed: float(price.cost(consumed)))
    return MarginalCost(
        cost_usd=price.cost(spent) if price is not None else None,
        usd_per_accepted=_each_of_all(state, price),
        recent_usd_per_accepted=_each(state, price, recent),
        acceptance=timeline.stretch(0, timeline.accepted).acceptance,
        recent_acceptance=recent.acceptance,
        next_thousand_usd=_money(money.next(1000)) if money is not None else None,
        next_thousand_tokens=_whole(tokens.next(1000)),
        doubles_at=_whole((money or tokens).doubles_at()),
    )


class _Forecast:
    """What comes next costs, by some measure of what is consumed."""

    def __init__(self, state: RunState, measure: Measure) -> None:
        timeline, finished = state.timeline, _asked_about(state)
        self._imported, self._brought = state.imported, timeline.accepted
        self._number = self._imported + self._brought
        self._finishing = measure(timeline.finishing) / finished if finished else 0.0
        self._listing = 0.0
        """What the lists take for one instruction, now."""
        self._growth: float | None = None
        if self._brought >= _ENOUGH and state.source is None:  # else nothing is asked any more
            self._look_back(state, measure)

    def _look_back(self, state: RunState, measure: Measure) -> None:
        n, i = self._brought, self._imported
        now, then = (
            state.timeline.stretch(first, last)
            for first, last in ((3 * n // 4, n), (n // 4, n // 2))
        )
        if not now.accepted or not then.accepted:
            return
        late, early = (measure(s.consumed) / s.accepted for s in (now, then))
        if not late or not early:
            return
        # Each is what it was in the middle of its stretch: at 7/8 and at 3/8 of the way.
        at_late, at_early = 8 * i + 7 * n, 8 * i + 3 * n
        self._growth = max(0.0, math.log(late / early) / math.log(at_late / at_early))
        self._listing = late * (8 * self._number / at_late) ** self._growth

    def next(self, count: int) -> float | None:
        """The next instructions, so many; None where it cannot be told."""
        if self._growth is None:
            return None
        n, power = self._number, self._growth + 1
        listing = self._listing / n**self._growth / power * ((n + count) ** power - n**power)
        return float(listing + count * self._finishing)

    def doubles_at(self) -> float | None:
        """How many there are when one costs twice what it does now; None where that is not in sight."""
        if self._growth is None or self._growth < _STEADY or not self._listing:
            return None
        doubled = 2 * self._listing + self._finishing
        return float(self._number * (doubled / self._listing) ** (1 / self._growth))


def _each(state: RunState, price: Price | None, recent: Stretch) -> Decimal | None:
    if price is None or not recent.accepted:
        return None
    each = price.cost(recent.consumed) / recent.accepted
    finished = _asked_about(state)
    return each + price.cost(state.timeline.finishing) / finished if finished else each


def _each_of_all(state: RunState, price: Price | None) -> Decimal | None:
    if price is None or not state.grown:
        return None
    if not state.open_tasks and not state.imported:
        return price.cost(state.ledger.spent) / state.accepted
    each = _each(state, price, state.timeline.stretch(0, state.timeline.accepted))
    lost = price.cost(state.ledger.unheard) / state.grown
    return each + lost if each is not None else None


def _asked_about(state: RunState) -> int:
    """Finished tasks that this run has asked about."""
    return state.counts.finished_tasks - state.counts.imported_whole


def _money(amount: float | None) -> Decimal | None:
    return Decimal(repr(round(amount, 6))) if amount is not None else None


def _whole(number: float | None) -> int | None:
    return round(number) if number is not None else None
