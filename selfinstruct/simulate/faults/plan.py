"""Fault plans: which faults affect requests to the endpoint, and how often.

A per-attempt fault affects one attempt at a request; the next attempt may succeed. A per-request fault
affects every attempt at the request in the same way. `plan_file` reads a plan from YAML, and `assignment`
decides which attempt gets which fault. A plan does not include the author's mistakes; see `FaultShares`.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=86_400)]
ErrorStatus = Annotated[int, Strict(), Field(ge=400, le=599)]
Whole = Annotated[int, Strict(), Field(ge=0, le=10**12)]
Positive = Annotated[int, Strict(), Field(ge=1, le=10**12)]
Flag = Annotated[bool, Strict()]


class Entry(BaseModel):
    """Base class for a plan's parts. Unknown keys and wrong values raise pydantic.ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryAfter(Entry):
    """When the client may retry, in exactly one of three forms."""

    seconds: Seconds | None = None
    """Delay in seconds, sent in the form `retry-after: 0.2`."""
    milliseconds: Annotated[float, Strict(), Field(ge=0, le=86_400_000)] | None = None
    """Delay in milliseconds, sent in the form `retry-after-ms: 200`."""
    date: Seconds | None = None
    """Delay in seconds, sent as a date and rounded up: `retry-after: Sun, 22 Nov 2026 10:00:01 GMT`."""

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if [self.seconds, self.milliseconds, self.date].count(None) != 2:
            raise ValueError("must have exactly one of seconds, milliseconds and date")
        return self


class _AttemptFault(Entry):
    share: Share
    """Share of all attempts that get this fault, from 0 to 1."""


class Status(_AttemptFault):
    """The reply is an error status with an error body."""

    fault: Literal["status"] = "status"
    status: ErrorStatus
    code: str | None = None
    message: str | None = None
    retry_after: RetryAfter | None = None
    then_close: Flag = False
    """True if the connection closes after the reply, without a header that announces it."""


class Hang(_AttemptFault):
    """There is no reply. The connection closes after `seconds`, or when the client disconnects."""

    fault: Literal["hang"] = "hang"
    seconds: Seconds | None = None


class Timed(_AttemptFault):
    """The true reply is sent, but later.

    "late": the reply is sent after `seconds`, instead of after the simulated latency. "drip": the reply is
    sent a few bytes at a time, spread over `seconds`.
    """

    fault: Literal["late", "drip"]
    seconds: Seconds


class Plain(_AttemptFault):
    """A fault that has no settings except its share.

    "reset": the connection is reset after the head and half of the true reply's body. "drop": the connection
    closes before any byte of a reply. "broken_json": the body is the first half of the true body, and the
    content length matches. "broken_off": the first choice has only half of its text, and an error.
    """

    fault: Literal["reset", "drop", "broken_json", "broken_off"]


class Page(_AttemptFault):
    """The reply is status 200 with a login page or a line of plain text, as a proxy might send it."""

    fault: Literal["page"] = "page"
    format: Literal["html", "plain"] = "html"


class ErrorObject(_AttemptFault):
    """The reply is status 200 with an error body."""

    fault: Literal["error_object"] = "error_object"
    code: str | None = None
    message: str | None = None


class NoChoices(_AttemptFault):
    """The true reply is sent, but its choices are missing, null, or an empty list."""

    fault: Literal["no_choices"] = "no_choices"
    choices: Annotated[
        Literal["missing", "null", "empty"],
        # YAML reads `choices: null` as None.
        BeforeValidator(lambda value: "null" if value is None else value),
    ] = "missing"


AttemptFault = Status | Hang | Timed | Plain | Page | ErrorObject | NoChoices

RequestFaultName = Literal[
    "never",
    "length",
    "content_filter",
    "refusal",
    "empty",
    "null_content",
    "no_usage",
    "other_model",
]


class RequestFault(Entry):
    """A fault that affects every attempt at a request.

    With "never", every attempt fails with status 500. The module `content` describes the other faults.
    """

    share: Share
    """Share of all requests that get this fault, from 0 to 1."""
    fault: RequestFaultName


class Outage(Entry):
    """An outage: after the first `after` attempts, the next `attempts` attempts all fail."""

    after: Whole
    attempts: Positive
    status: ErrorStatus | None = None
    """The replies' status. If None, the status is 503, unless `refuse` is set."""
    refuse: Literal["hang", "drop"] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.status is not None and self.refuse is not None:
            raise ValueError("cannot have both status and refuse; remove one of them")
        return self

    @property
    def fault(self) -> AttemptFault:
        """The fault that affects each attempt during the outage."""
        if self.refuse == "hang":
            return Hang(share=1)
        if self.refuse == "drop":
            return Plain(fault="drop", share=1)
        return Status(share=1, status=self.status or 503)


class RateLimits(Entry):
    """The endpoint's rate limits, which the module `rate_limits` enforces. None means no limit."""

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    """Maximum number of prompt and reply tokens together, per minute."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ValueError("must have requests_per_minute, tokens_per_minute, or both")
        return self


class FaultPlan(Entry):
    """A complete fault plan. The default plan has no faults."""

    seed: Annotated[int, Strict(), Field(gt=-(10**18), lt=10**18)] = 0
    """The random seed, which determines the attempts and requests that get faults."""
    at_most: Whole = 4
    """Maximum number of faulty attempts per request, not counting outages, rate limits and "never"."""
    models: Flag = True
    """True if `GET /v1/models` succeeds. If not, it fails with status 500."""
    per_attempt: tuple[Annotated[AttemptFault, Field(discriminator="fault")], ...] = ()
    per_request: tuple[RequestFault, ...] = ()
    outages: tuple[Outage, ...] = ()
    rate_limits: RateLimits | None = None

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        for name in ("per_attempt", "per_request"):
            total = math.fsum(fault.share for fault in getattr(self, name))
            if total > 1 + 1e-9:
                problem = f"the shares in {name} add up to {total:g}; reduce them to at most 1"
                raise ValueError(problem)
        return self
