"""Fates: which fault befalls which attempt.

Knows a plan, and how often each request has come. It draws; what a fault does is done elsewhere::

    fates = Fates(FaultPlan(per_attempt=(Hang(share=0.5),)))
    fates.of("/v1/chat/completions", "9f86d0…")         Fate(attempt=1, fault=Hang(share=0.5), …)
    fates.of("/v1/chat/completions", "9f86d0…")         Fate(attempt=2, fault=None, …)

What befalls the n-th attempt at a request is settled by the plan, the path, the body and n. Neither
the time nor the other requests matter, with one exception: an outage counts what arrives.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    ErrorObject,
    FaultPlan,
    RequestFault,
    Status,
)
from selfinstruct.simulate.random_draws import Draws

F = TypeVar("F", AttemptFault, RequestFault)

_NEVER: Final = Status(share=1, status=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What befalls an attempt: the n-th at its request, counted from 1.

    `fault` is what happens to the attempt and `name` what that is called ("outage" and "never" have
    names of their own); `content_fault` is what is amiss with the reply at every attempt.
    """

    attempt: int | None = None
    fault: AttemptFault | None = None
    name: str | None = None
    content_fault: str | None = None

    @property
    def is_billed(self) -> bool:
        """Whether a reply is written, and billed, whatever the client hears of it; not where an error is."""
        return self.name != "outage" and not isinstance(self.fault, Status | ErrorObject)


UNTOUCHED: Final = Fate()
"""The fate of an attempt that nobody counts."""


class Fates:
    """Draws the fates by `plan`, for requests in the order in which they arrive."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._arrivals = 0
        # For each request, its attempts and how many of them were drawn to be faulty.
        self._past: dict[str, tuple[int, int]] = {}

    def of(self, path: str, body_sha256: str) -> Fate:
        """The fate of the attempt that has just arrived."""
        request = f"{path}/{body_sha256}"
        self._arrivals += 1
        attempts, faulty = self._past.get(request, (0, 0))
        attempt = attempts + 1
        # Drawn during an outage too: how many faults are left to a request must not depend on when
        # it came.
        drawn = attempt_fault(self._plan, request, attempt) if faulty < self._plan.at_most else None
        self._past[request] = (attempt, faulty + (drawn is not None))
        fault, name = drawn, None if drawn is None else drawn.name
        lasting = request_fault(self._plan, request)
        if lasting == "never":
            fault, name, lasting = _NEVER, "never", None
        outage = self._outage()
        if outage is not None:
            fault, name = outage, "outage"
        return Fate(attempt=attempt, fault=fault, name=name, content_fault=lasting)

    def _outage(self) -> AttemptFault | None:
        for outage in self._plan.outages:
            if outage.after < self._arrivals <= outage.after + outage.attempts:
                return outage.fault
        return None


def attempt_fault(plan: FaultPlan, request: str, attempt: int) -> AttemptFault | None:
    """What `plan` draws for the attempt with that number, whatever befell those before it."""
    if not plan.per_attempt:
        return None
    return _drawn(plan.per_attempt, f"{plan.seed}/{request}/{attempt}")


def request_fault(plan: FaultPlan, request: str) -> str | None:
    """What `plan` draws for every attempt at a request."""
    if not plan.per_request:
        return None
    drawn = _drawn(plan.per_request, f"{plan.seed}/{request}")
    return None if drawn is None else drawn.fault


def _drawn(faults: tuple[F, ...], seed: str) -> F | None:
    at = Draws(seed).unit()
    for fault in faults:
        at -= fault.share
        if at < 0:
            return fault
    return None
