"""Compute what an accepted instruction costs now, and what the next instructions will cost.

The larger the pool is, the fewer candidates are accepted. So each accepted instruction needs more generation
requests. The requests for its classification and instances cost the same throughout the run. Without a price,
the forecast uses tokens instead of dollars.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from selfinstruct.cost import NOTHING, Consumption, Price
from selfinstruct.pipeline.acceptance_rate import Acceptance, trend
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.timeline import Stretch

RECENT = 500
"""Number of the latest accepted instructions that count as recent."""
_FLAT = 0.05
"""Minimum exponent of the decline in acceptance. Below it, costs grow too slowly to predict when they
double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalCost:
    """A run's cost so far and the expected cost of further instructions; unknown values are None."""

    cost_usd: Decimal | None
    """Total cost so far in US dollars. Attempts without a reply count at their upper bound."""
    usd_per_accepted: Decimal | None
    """Average cost in US dollars of an instruction accepted by this run, including the cost to finish open
    tasks."""
    recent_usd_per_accepted: Decimal | None
    """Average cost in US dollars of the last 500 accepted instructions, including the cost to finish a
    task."""
    acceptance: float
    """Number of accepted instructions divided by the number of candidates, in [0, 1]."""
    recent_acceptance: float
    """Accepted instructions divided by candidates, for the last 500 accepted instructions, in [0, 1]."""
    next_thousand_usd: Decimal | None
    """Expected cost in US dollars of the next 1,000 accepted instructions."""
    next_thousand_tokens: int | None
    """Expected number of tokens for the next 1,000 accepted instructions."""
    doubles_at: int | None
    """Number of accepted instructions at which the next one will cost twice what it costs now; None if this
    cannot be predicted."""


def marginal_cost(state: RunState) -> MarginalCost:
    """Return a run's cost so far and the expected cost of its next instructions."""
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
    """A forecast of what further instructions cost, in dollars or tokens."""

    acceptance: Acceptance
    size: int
    """Number of tasks in the pool."""
    seed_tasks: int
    candidate: float
    """Cost of one candidate."""
    finishing: float
    """Cost of classifying one task and writing its instances."""

    @classmethod
    def of(cls, state: RunState, measure: Callable[[Consumption], float]) -> "_Forecast | None":
        """Return the forecast for a run, or None if the run is too short or cannot continue."""
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
        """Return the expected cost of the next `count` accepted instructions."""
        candidates = self.acceptance.candidates(self.size, self.size + count)
        return self.candidate * candidates + count * self.finishing

    def doubles_at(self) -> int | None:
        """Return the number of accepted instructions at which the next one costs twice what it costs now.

        Return None if the cost grows too slowly to predict this number.
        """
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
    """Return the number of finished tasks, excluding tasks that were imported with instances."""
    return state.counts.finished_tasks - state.counts.imported_whole
