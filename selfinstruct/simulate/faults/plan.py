"""Fault plans: what goes wrong between the endpoint and its clients, and how often.

A fault per attempt affects one attempt at a request; the next attempt may succeed. A fault per request
affects every attempt at the request in the same way. `plan_file` reads a plan from YAML, `assignment`
decides which attempt gets which fault. Mistakes of the author are not part of a plan; see `FaultShares`.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=86_400)]
ErrorStatus = Annotated[int, Strict(), Field(ge=400, le=599)]
Whole = Annotated[int, Strict(), Field(ge=0, le=10**12)]
Positive = Annotated[int, Strict(), Field(ge=1, le=10**12)]
Flag = Annotated[bool, Strict()]


class Entry(BaseModel):
    """A part of a plan. Unknown keys and wrong values raise pydantic.ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryAfter(Entry):
    """The time until the client may try again, in exactly one of three forms."""

    seconds: Seconds | None = None
    """Seconds from now, sent as `retry-after: 0.2`."""
    milliseconds: Annotated[float, Strict(), Field(ge=0, le=86_400_000)] | None = None
    """Milliseconds from now, sent as `retry-after-ms: 200`."""
    date: Seconds | None = None
    """Seconds from now, rounded up; sent as `retry-after: Sun, 22 Nov 2026 10:00:01 GMT`."""

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if [self.seconds, self.milliseconds, self.date].count(None) != 2:
            raise ValueError("must have exactly one of seconds, milliseconds and date")
        return self


class _AttemptFault(Entry):
    share: Share
    """Share of all attempts."""


class Status(_AttemptFault):
    """An error status with an error body."""

    fault: Literal["status"] = "status"
    status: ErrorStatus
    code: str | None = None
    message: str | None = None
    retry_after: RetryAfter | None = None
    then_close: Flag = False
    """True to close the connection after the reply, without a header that announces this."""


class Hang(_AttemptFault):
    """No reply. The connection closes after `seconds`, or when the client leaves."""

    fault: Literal["hang"] = "hang"
    seconds: Seconds | None = None


class Timed(_AttemptFault):
    """The true reply, later than without the fault.

    "late": after `seconds`, which replace the latency. "drip": a few bytes at a time, over `seconds`.
    """

    fault: Literal["late", "drip"]
    seconds: Seconds


class Plain(_AttemptFault):
    """A fault without further keys.

    "reset": the head and half of the body of the true reply; then the connection is reset. "drop": a
    connection that closes without a byte of a reply. "broken_json": the first half of the body, with a
    matching content length. "broken_off": the first half of the text, with an error in its choice.
    """

    fault: Literal["reset", "drop", "broken_json", "broken_off"]


class Page(_AttemptFault):
    """Status 200 with a log-in page or a line of plain text, as a proxy sends it."""

    fault: Literal["page"] = "page"
    format: Literal["html", "plain"] = "html"


class ErrorObject(_AttemptFault):
    """Status 200 with an error body."""

    fault: Literal["error_object"] = "error_object"
    code: str | None = None
    message: str | None = None


class NoChoices(_AttemptFault):
    """The true reply, but its choices are missing, null, or an empty list."""

    fault: Literal["no_choices"] = "no_choices"
    choices: Annotated[
        Literal["missing", "null", "empty"],
        # In YAML, `choices: null` is None.
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
    """A fault of every attempt at a request; `content` describes all but "never"."""

    share: Share
    """Share of all requests."""
    fault: RequestFaultName


class Outage(Entry):
    """A number of consecutive `attempts` that all fail, `after` a number of earlier ones."""

    after: Whole
    attempts: Positive
    status: ErrorStatus | None = None
    """Status of the replies; None means 503, unless `refuse` is set."""
    refuse: Literal["hang", "drop"] | None = None

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.status is not None and self.refuse is not None:
            raise ValueError("cannot have both status and refuse; remove one of them")
        return self

    @property
    def fault(self) -> AttemptFault:
        """The fault of each attempt in the outage."""
        if self.refuse == "hang":
            return Hang(share=1)
        if self.refuse == "drop":
            return Plain(fault="drop", share=1)
        return Status(share=1, status=self.status or 503)


class RateLimits(Entry):
    """The rate limits of the endpoint; None for no limit. `rate_limits` enforces them."""

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    """Tokens of prompts and replies together."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ValueError("must have requests_per_minute, tokens_per_minute, or both")
        return self


class FaultPlan(Entry):
    """A whole plan. The default plan has no faults."""

    seed: Annotated[int, Strict(), Field(gt=-(10**18), lt=10**18)] = 0
    """Selects which attempts and requests get faults."""
    at_most: Whole = 4
    """Maximum of faulty attempts per request, without outages, rate limits and "never"."""
    models: Flag = True
    """False to let `GET /v1/models` fail."""
    per_attempt: tuple[Annotated[AttemptFault, Field(discriminator="fault")], ...] = ()
    per_request: tuple[RequestFault, ...] = ()
    outages: tuple[Outage, ...] = ()
    rate_limits: RateLimits | None = None

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        _check_sum("per_attempt", self.per_attempt)
        _check_sum("per_request", self.per_request)
        return self


def _check_sum(name: str, faults: Iterable[AttemptFault | RequestFault]) -> None:
    total = math.fsum(fault.share for fault in faults)
    if total > 1 + 1e-9:
        raise ValueError(f"the shares in {name} add up to {total:g}; reduce them to at most 1")
