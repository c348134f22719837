"""The cost of an instruction now, and of the next ones, which are rarer the larger the pool is.

An instruction costs a share of the generation requests, which grows as acceptance falls, and the requests
for its kind and instances, which cost the same throughout. Without a price, tokens replace dollars.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.cost import NOTHING, Consumption, Price
from selfinstruct.pipeline.acceptance import Acceptance, trend
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.timeline import Stretch

RECENT = 500
"""Accepted instructions that count as recent."""
_FLAT = 0.05
"""Exponents below this are noise: the cost grows too slowly to say when it doubles."""

Measure = Callable[[Consumption], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalCost:
    """The cost of an instruction; a field is None while its value is unknown."""

    cost_usd: Decimal | None
    """US dollars spent in total; attempts without an answer count at their upper bound."""
    usd_per_accepted: Decimal | None
    """US dollars for each instruction accepted by this run, including the cost to finish open tasks."""
    recent_usd_per_accepted: Decimal | None
    """US dollars for each of the last 500 accepted instructions, including the cost to finish a task."""
    acceptance: float
    """Accepted ÷ candidates, in [0, 1]."""
    recent_acceptance: float
    """Accepted ÷ candidates over the last 500 accepted instructions."""
    next_thousand_usd: Decimal | None
    next_thousand_tokens: int | None
    doubles_at: int | None
    """Accepted instructions at which the next one costs twice what it costs now; None if out of sight."""


def marginal_cost(state: RunState) -> MarginalCost:
    """Return what a run has spent and what the next instructions will cost."""
    timeline, price, spent = state.timeline, state.price, state.ledger.spent
    recent, whole = timeline.recent(RECENT), timeline.recent(timeline.accepted)
    tokens = _Forecast.of(state, lambda consumed: float(consumed.tokens))
    money = None
    if price is not None and price.cost(spent):
        money = _Forecast.of(state, lambda consumed: float(price.cost(consumed)))
    best = money or tokens
    return MarginalCost(
        cost_usd=price.cost(spent) if price is not None else None,
        usd_per_accepted=_each(state, price, whole, state.ledger.unheard),
        recent_usd_per_accepted=_each(state, price, recent),
        acceptance=whole.acceptance,
        recent_acceptance=recent.acceptance,
        next_thousand_usd=Decimal(repr(round(money.next(1000), 6))) if money else None,
        next_thousand_tokens=round(tokens.next(1000)) if tokens else None,
        doubles_at=best.doubles_at() if best else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forecast:
    """The cost of further instructions, in dollars or tokens."""

    acceptance: Acceptance
    size: int
    """Tasks in the pool."""
    seed_tasks: int
    candidate: float
    """Cost of a candidate."""
    finishing: float
    """Cost to finish a task."""

    @classmethod
    def of(cls, state: RunState, measure: Measure) -> "_Forecast | None":
        """Return the forecast for a run; None if the run is too short or cannot continue."""
        fitted = trend(state.timeline, state.pool_sizes[0])
        if fitted is None or state.source is not None:
            return None
        finished = _finished(state)
        return cls(
            acceptance=fitted.acceptance,
            size=state.pool_sizes[0] + state.timeline.accepted,
            seed_tasks=state.pool.seed_count,
            candidate=measure(fitted.late.consumed) / fitted.late.candidates,
            finishing=measure(state.timeline.finishing) / finished if finished else 0.0,
        )

    def next(self, count: int) -> float:
        """Return the cost of the next `count` instructions."""
        candidates = self.acceptance.candidates(self.size, self.size + count)
        return self.candidate * candidates + count * self.finishing

    def doubles_at(self) -> int | None:
        """Return how many instructions there are when one costs twice what it costs now."""
        generating = self.candidate / self.acceptance.at(self.size)
        if self.acceptance.decline < _FLAT or not generating:
            return None
        growth = (2 * generating + self.finishing) / generating
        size: float = self.size * growth ** (1 / self.acceptance.decline)
        return round(size) - self.seed_tasks


def _each(
    state: RunState, price: Price | None, stretch: Stretch, unheard: Consumption = NOTHING
) -> Decimal | None:
    if price is None or not stretch.accepted:
        return None
    each = price.cost(stretch.consumed + unheard) / stretch.accepted
    finished = _finished(state)
    return each + price.cost(state.timeline.finishing) / finished if finished else each


def _finished(state: RunState) -> int:
    """Return the number of finished tasks, without tasks that were imported with instances."""
    return state.counts.finished_tasks - state.counts.imported_whole
