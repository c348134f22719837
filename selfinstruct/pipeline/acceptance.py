"""The share of candidates that a run accepts, and how that share falls while the pool grows.

    a(n) = a₀ · (n / n₀)^-d, at most 1

where n is the number of tasks in the pool. Instructions from n to m therefore need ∫ 1 / a candidates.
`marginal_cost` and `analysis.estimate` forecast with this one law.
"""

import math
from dataclasses import dataclass

from selfinstruct.pipeline.timeline import Stretch, Timeline

_MIN_ACCEPTED = 400
"""Fewer accepted instructions show no trend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The law with its three parameters."""

    share: float
    """Accepted share of the candidates, in (0, 1], at `size` tasks in the pool."""
    size: float
    decline: float
    """The exponent d, at least 0."""

    def at(self, size: float) -> float:
        """Return the share at another size of the pool."""
        share: float = self.share * (size / self.size) ** -self.decline
        return min(1.0, share)

    def candidates(self, start: float, end: float) -> float:
        """Return the number of candidates that the pool needs to grow from `start` to `end` tasks."""
        saturated: float
        if self.decline > 0:
            saturated = self.size * self.share ** (1 / self.decline)
        else:
            saturated = math.inf if self.share >= 1 else 0.0
        # Up to this size every candidate is accepted.
        bend = max(start, min(end, saturated))
        power = self.decline + 1
        falling: float = (end / self.size) ** power - (bend / self.size) ** power
        return bend - start + self.size / (self.share * power) * falling


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Two stretches of a run: its second quarter and its last one."""

    early: Stretch
    late: Stretch
    acceptance: Acceptance
    """The law that fits both."""


def trend(timeline: Timeline, first_size: int) -> Trend | None:
    """Fit the law to a run whose pool began with `first_size` tasks; None if the run is too short."""
    n = timeline.accepted
    early, late = timeline.stretch(n // 4, n // 2), timeline.stretch(3 * n // 4, n)
    if n < _MIN_ACCEPTED or not early.accepted or not late.accepted:
        return None
    # Each share is the share in the middle of its stretch.
    sizes = first_size + 3 * n / 8, first_size + 7 * n / 8
    decline = math.log(early.acceptance / late.acceptance) / math.log(sizes[1] / sizes[0])
    law = Acceptance(share=late.acceptance, size=sizes[1], decline=max(0.0, decline))
    return Trend(early=early, late=late, acceptance=law)
