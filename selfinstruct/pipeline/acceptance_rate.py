"""Acceptance: the share of a run's candidates that are accepted, which falls as the pool grows.

    a(n) = a₀ · (n / n₀)^-d, at most 1

Here n is the number of tasks in the pool. So a pool needs ∫ 1 / a(n) dn candidates to grow from one size to
another. Both `marginal_cost` and `analysis.estimate` use this formula for their forecasts.
"""

import math
from dataclasses import dataclass

from selfinstruct.pipeline.timeline import Stretch, Timeline

_MIN_ACCEPTED = 400
"""Minimum number of accepted instructions to which a trend can be fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A run's acceptance as a function of the pool size, with the parameters of the formula above."""

    share: float
    """Share of candidates accepted when the pool has `size` tasks, in (0, 1]; a₀ in the formula."""
    size: float
    """Pool size at which `share` applies; n₀ in the formula."""
    decline: float
    """Exponent d in the formula, at least 0."""

    def at(self, size: float) -> float:
        """Return the share of candidates accepted when the pool has `size` tasks."""
        share: float = self.share * (size / self.size) ** -self.decline
        return min(1.0, share)

    def candidates(self, start: float, end: float) -> float:
        """Return the number of candidates that the pool needs to grow from `start` to `end` tasks."""
        saturated: float
        if self.decline > 0:
            saturated = self.size * self.share ** (1 / self.decline)
        else:
            saturated = math.inf if self.share >= 1 else 0.0
        # Up to this pool size, every candidate is accepted.
        bend = max(start, min(end, saturated))
        power = self.decline + 1
        falling: float = (end / self.size) ** power - (bend / self.size) ** power
        return bend - start + self.size / (self.share * power) * falling


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A run's acceptance, fitted to its second and its last quarter."""

    early: Stretch
    """Second quarter of the run."""
    late: Stretch
    """Last quarter of the run."""
    acceptance: Acceptance
    """Acceptance function that fits both quarters."""


def trend(timeline: Timeline, first_size: int) -> Trend | None:
    """Fit an acceptance function to a run's timeline; return None if the run is too short.

    `first_size` is the number of tasks in the pool before the first commit.
    """
    n = timeline.accepted
    early, late = timeline.stretch(n // 4, n // 2), timeline.stretch(3 * n // 4, n)
    if n < _MIN_ACCEPTED or not early.accepted or not late.accepted:
        return None
    # Each quarter's share is taken as the share at the pool size in the middle of the quarter.
    sizes = first_size + 3 * n / 8, first_size + 7 * n / 8
    decline = math.log(early.acceptance / late.acceptance) / math.log(sizes[1] / sizes[0])
    law = Acceptance(share=late.acceptance, size=sizes[1], decline=max(0.0, decline))
    return Trend(early=early, late=late, acceptance=law)
