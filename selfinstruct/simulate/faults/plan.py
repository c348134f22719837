"""Fault plans: what goes wrong on purpose between the endpoint and its clients, and how often.

Knows what a plan can say, and refuses what makes no sense (`plan_values` for single values); that is
all it does. `plan_file` reads a plan, `assignment` draws who meets what::

    FaultPlan(
        per_attempt=(
            Status(share=0.1, status=429, retry_after=RetryAfter(seconds=1)),
            Hang(share=0.02),
        ),
        per_request=(RequestFault(share=0.05, fault="length"),),
        outages=(Outage(after=200, attempts=60, status=503),),
        rate_limits=RateLimits(requests_per_minute=600),
    )

A fault per attempt befalls one attempt at a request, and the next attempt may be spared; a fault per
request befalls every attempt at it in the same way. What the author writes amiss is not the business
of a plan but of `FaultShares`.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from selfinstruct.simulate.faults.plan_values import Checked, FaultPlanError, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfter(Checked):
    """When to come back, in one of three forms; each is a time from now."""

    seconds: float | None = None
    """`retry-after: 0.2`"""
    milliseconds: float | None = None
    """`retry-after-ms: 200`"""
    date: float | None = None
    """`retry-after: Sun, 22 Nov 2026 10:00:01 GMT`; in seconds, rounded up to the next whole one."""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if sum(form is not None for form in (self.seconds, self.milliseconds, self.date)) != 1:
            raise FaultPlanError("retry_after must have one of seconds, milliseconds and date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Checked):
    """An error status with an error body."""

    name: ClassVar = "status"
    share: float
    status: int
    code: str | None = None
    message: str | None = None
    retry_after: RetryAfter | None = None
    then_close: bool = False
    """Whether the connection is closed after the reply, without the reply having said so."""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.retry_after is not None and not isinstance(self.retry_after, RetryAfter):
            raise FaultPlanError(f"retry_after must be a RetryAfter, not {shown(self.retry_after)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang(Checked):
    """Silence until the client leaves, or for some seconds; then the connection is closed."""

    name: ClassVar = "hang"
    share: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Checked):
    """The true reply, whole, after so many seconds, which take the place of the latency."""

    name: ClassVar = "late"
    share: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip(Checked):
    """The true reply, a few bytes at a time, so that all of it takes so many seconds."""

    name: ClassVar = "drip"
    share: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Checked):
    """The head and half of the body of the true reply; then the connection is reset."""

    name: ClassVar = "reset"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Checked):
    """The connection is closed without a byte of a reply."""

    name: ClassVar = "drop"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenJson(Checked):
    """The first half of the true reply, as if it were all of it."""

    name: ClassVar = "broken_json"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Checked):
    """Status 200 with something for people, such as a proxy shows to those who should log in."""

    name: ClassVar = "page"
    share: float
    format: Literal["html", "plain"] = "html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorObject(Checked):
    """Status 200 with an error body."""

    name: ClassVar = "error_object"
    share: float
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChoices(Checked):
    """The true reply, except that its choices are missing, null, or an empty list."""

    name: ClassVar = "no_choices"
    share: float
    choices: Literal["missing", "null", "empty"] = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenOff(Checked):
    """The first half of the text of the true reply, with an error in its choice."""

    name: ClassVar = "broken_off"
    share: float


AttemptFault = (
    Status
    | Hang
    | Late
    | Drip
    | Reset
    | Drop
    | BrokenJson
    | Page
    | ErrorObject
    | NoChoices
    | BrokenOff
)
"""What can befall an attempt; `share` is that of all attempts at completions."""

ATTEMPT_FAULTS: Final[dict[str, type[AttemptFault]]] = {
    kind.name: kind
    for kind in (
        Status,
        Hang,
        Late,
        Drip,
        Reset,
        Drop,
        BrokenJson,
        Page,
        ErrorObject,
        NoChoices,
        BrokenOff,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFault(Checked):
    """What befalls a `share` of all requests, at every attempt; `fault` is one of REQUEST_FAULTS."""

    share: float
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage(Checked):
    """So many attempts in a row that all fail, once `after` so many have arrived.

    They get the `status` (503 unless it says otherwise), or are let "hang", or "drop" the connection.
    """

    after: int
    attempts: int
    status: int | None = None
    refuse: Literal["hang", "drop"] | None = None

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.status is not None and self.refuse is not None:
            raise FaultPlanError("status and refuse exclude each other; leave one of them out")

    @property
    def fault(self) -> AttemptFault:
        """What befalls each of the attempts."""
        if self.refuse == "hang":
            return Hang(share=1)
        if self.refuse == "drop":
            return Drop(share=1)
        return Status(share=1, status=self.status or 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits(Checked):
    """What is let through in a minute; None for as much as comes. `rate_limits` says how it is counted."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Tokens of prompts and replies together."""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise FaultPlanError(
                "rate_limits must have requests_per_minute, tokens_per_minute, or both"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan(Checked):
    """A whole plan; without arguments nothing goes wrong.

    Another `seed` makes other attempts and requests faulty. A request meets at most `at_most` faulty
    attempts, beside outages, rate limits and "never". `models` False makes `GET /v1/models` fail.
    """

    seed: int = 0
    at_most: int = 4
    models: bool = True
    per_attempt: tuple[AttemptFault, ...] = ()
    per_request: tuple[RequestFault, ...] = ()
    outages: tuple[Outage, ...] = ()
    rate_limits: RateLimits | None = None

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        _check_all("per_attempt", self.per_attempt, AttemptFault)
        _check_all("per_request", self.per_request, RequestFault)
        _check_all("outages", self.outages, Outage)
        if self.rate_limits is not None and not isinstance(self.rate_limits, RateLimits):
            raise FaultPlanError(f"rate_limits must be a RateLimits, not {shown(self.rate_limits)}")
        _check_sum("per_attempt", self.per_attempt)
        _check_sum("per_request", self.per_request)


def _check_all(name: str, entries: object, kind: Any) -> None:
    if not isinstance(entries, tuple) or not all(isinstance(entry, kind) for entry in entries):
        raise FaultPlanError(f"{name} must be a tuple of what `fault_plan` has for it")


def _check_sum(name: str, faults: tuple[AttemptFault | RequestFault, ...]) -> None:
    total = math.fsum(fault.share for fault in faults)
    if total > 1 + 1e-9:
        raise FaultPlanError(
            f"the shares in {name} add up to {total:g}; make some of them smaller, so that they add "
            "up to 1 at most"
        )
