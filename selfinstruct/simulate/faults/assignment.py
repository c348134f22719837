"""Assigning faults to attempts.

The fault of the n-th attempt at a request depends on the plan, the path, the body and n, and not on the
time or on other requests. Outages are the exception: they count arrivals.
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
from selfinstruct.simulate.seeded_random import SeededRandom

F = TypeVar("F", AttemptFault, RequestFault)

_NEVER: Final = Status(share=1, status=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The faults of one attempt."""

    attempt: int
    """Number of the attempt at its request, from 1."""
    fault: AttemptFault | None = None
    name: str | None = None
    """Name of `fault` in the log: "outage", "never", or the name in the plan."""
    content_fault: str | None = None
    """Fault of the content of the reply, the same at every attempt."""

    @property
    def is_billed(self) -> bool:
        """True if the endpoint writes a reply, even if the client gets none."""
        return self.name != "outage" and not isinstance(self.fault, Status | ErrorObject)


class Assigner:
    """Assigns the faults in `plan` to attempts in the order of their arrival."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._arrivals = 0
        self._counts: dict[str, tuple[int, int]] = {}
        """Attempts and faulty attempts so far, per request."""

    def assign(self, path: str, body_sha256: str) -> Assignment:
        """Return the faults of the attempt that has just arrived."""
        request = f"{path}/{body_sha256}"
        self._arrivals += 1
        attempts, faulty = self._counts.get(request, (0, 0))
        attempt = attempts + 1
        # Also computed during an outage: the faults that a request has left must not depend on the time.
        fault = attempt_fault(self._plan, request, attempt) if faulty < self._plan.at_most else None
        self._counts[request] = (attempt, faulty + (fault is not None))
        name: str | None = None if fault is None else fault.fault
        selected = _select(self._plan.per_request, f"{self._plan.seed}/{request}")
        content_fault: str | None = selected.fault if selected is not None else None
        if content_fault == "never":
            fault, name, content_fault = _NEVER, "never", None
        outage = self._outage()
        if outage is not None:
            fault, name = outage, "outage"
        return Assignment(attempt=attempt, fault=fault, name=name, content_fault=content_fault)

    def _outage(self) -> AttemptFault | None:
        for outage in self._plan.outages:
            if outage.after < self._arrivals <= outage.after + outage.attempts:
                return outage.fault
        return None


def attempt_fault(plan: FaultPlan, request: str, attempt: int) -> AttemptFault | None:
    """Return the fault of the attempt with this number, without regard to `at_most` and outages."""
    return _select(plan.per_attempt, f"{plan.seed}/{request}/{attempt}")


def _select(faults: tuple[F, ...], seed: str) -> F | None:
    if not faults:
        return None
    position = SeededRandom(seed).unit()
    for fault in faults:
        position -= fault.share
        if position < 0:
            return fault
    return None
