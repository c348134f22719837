"""Decides which attempt gets which fault.

Which fault the n-th attempt at a request gets depends on the plan, the path, the body and n, but not on the
time or on other requests. Outages are an exception: they depend on how many attempts arrived before.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from selfinstruct.simulate.faults import plan
from selfinstruct.simulate.seeded_random import SeededRandom

F = TypeVar("F", plan.AttemptFault, plan.RequestFault)

_NEVER: Final = plan.Status(share=1, status=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The faults that affect one attempt."""

    attempt: int
    """The attempt's number among the attempts at the same request, counting from 1."""
    fault: plan.AttemptFault | None = None
    name: str | None = None
    """The name that the request log shows for `fault`: "outage", "never", or the name in the plan."""
    content_fault: str | None = None
    """The content fault, which is the same for every attempt at the request; None for none."""

    @property
    def is_billed(self) -> bool:
        """True if the reply is billed. It may be billed even if the client never receives it."""
        return self.name != "outage" and not isinstance(self.fault, plan.Status | plan.ErrorObject)


class Assigner:
    """Assigns the faults in a plan to attempts, in the order in which the attempts arrive."""

    def __init__(self, faults: plan.FaultPlan) -> None:
        self._plan = faults
        self._arrivals = 0
        self._counts: dict[str, tuple[int, int]] = {}
        """Number of attempts and of faulty attempts so far, by request."""

    def assign(self, path: str, body_sha256: str) -> Assignment:
        """Return the faults for the attempt that has just arrived."""
        request = f"{path}/{body_sha256}"
        self._arrivals += 1
        attempts, faulty = self._counts.get(request, (0, 0))
        attempt = attempts + 1
        # Count the fault even during an outage, so the remaining faults do not depend on the outage's timing.
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

    def _outage(self) -> plan.AttemptFault | None:
        now = self._arrivals
        outages = (o for o in self._plan.outages if o.after < now <= o.after + o.attempts)
        return next((outage.fault for outage in outages), None)


def attempt_fault(faults: plan.FaultPlan, request: str, attempt: int) -> plan.AttemptFault | None:
    """Return the fault for the attempt with this number, ignoring `at_most` and outages."""
    return _select(faults.per_attempt, f"{faults.seed}/{request}/{attempt}")


def _select(faults: tuple[F, ...], seed: str) -> F | None:
    position = SeededRandom(seed).unit()
    for fault in faults:
        position -= fault.share
        if position < 0:
            return fault
    return None
