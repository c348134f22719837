"""What an attempt can meet, and what follows: the one table.

    AGAIN     another attempt of the same request, after a wait       raises TransientError
    REFUSED   an outcome of this request, which is not sent again     raises RequestRejectedError
    STOP      the endpoint would refuse every request: the run stops  raises EndpointError
    READ      a reply, journaled as it came                           returns a Completion

`online` says what it saw, as a `Seen`; `retry` looks up here how often and after which wait there is another
attempt. What becomes of a request whose attempts are used up is the business of
`selfinstruct.runner.failures`, and so is what becomes of one that is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from selfinstruct.errors import (
    BackendError,
    EndpointError,
    RequestRejectedError,
    TransientError,
)


class Seen(StrEnum):
    """What an attempt met."""

    # no reply
    NO_CONNECTION = auto()
    CONNECT_TIMEOUT = auto()
    DROPPED = auto()
    CUT = auto()
    SILENT = auto()
    TOO_SLOW = auto()
    NO_TRUST = auto()
    UNSENDABLE = auto()
    # a reply with an error status
    BUSY = auto()
    GATEWAY_TIMEOUT = auto()
    RATE_LIMITED = auto()
    BAD_KEY = auto()
    FORBIDDEN = auto()
    UNKNOWN = auto()
    NO_CREDIT = auto()
    REJECTED = auto()
    # a reply with status 200 that is no completion
    NOT_JSON = auto()
    TOO_LARGE = auto()
    ERROR_BODY = auto()
    NO_CHOICES = auto()
    # a completion
    COMPLETE = auto()
    LENGTH = auto()
    CONTENT_FILTER = auto()
    REFUSAL = auto()
    NO_TEXT = auto()
    NO_USAGE = auto()
    OTHER_MODEL = auto()
    OTHER_COUNT = auto()


class Then(Enum):
    """What follows."""

    AGAIN = "another attempt"
    REFUSED = "refused"
    STOP = "the run stops"
    READ = "journaled as it is"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    meets: str
    """What was met, in words."""
    then: Then
    most: int | None = None
    """Attempts of one request that may meet this, where `max_attempts` does not say so."""
    at_once: bool = False
    """Whether the first wait is none: it is the connection that was bad, and a new one may be good."""
    counts: bool = True
    """Whether it uses up attempts."""
    may_be_own: bool = True
    """Whether it may be about this request, so that it counts for giving it up."""
    may_bill: bool = True
    """Whether the endpoint may bill it: it may have written a reply, whether that arrived or not."""
    remedy: str = ""
    """What a person can do, where something must be done."""


MOST_TIMED_OUT = 3
"""In a row. The endpoint may have written, and may bill, what came too late."""
MOST_RATE_LIMITED = 120
"""In a row. Not counted as attempts, but not without end either; there is a limit in time too (`retry`)."""

TABLE: Mapping[Seen, Row] = {
    Seen.NO_CONNECTION: Row(
        "no connection (refused, unknown host, network down)",
        Then.AGAIN,
        may_be_own=False,
        may_bill=False,
    ),
    Seen.CONNECT_TIMEOUT: Row(
        "no connection within connect_timeout_s", Then.AGAIN, may_be_own=False, may_bill=False
    ),
    Seen.DROPPED: Row(
        "connection dropped before a reply, as with one kept alive too long",
        Then.AGAIN,
        at_once=True,
    ),
    Seen.CUT: Row("connection lost in the middle of a reply", Then.AGAIN),
    Seen.SILENT: Row(
        "not a byte of a reply within request_timeout_s", Then.AGAIN, most=MOST_TIMED_OUT
    ),
    Seen.TOO_SLOW: Row(
        "a reply that is not whole within request_timeout_s", Then.AGAIN, most=MOST_TIMED_OUT
    ),
    Seen.NO_TRUST: Row(
        "a certificate that cannot be verified",
        Then.STOP,
        may_bill=False,
        remedy="the certificate of the endpoint cannot be verified against the trust store of the operating "
        "system, which is what the openai package uses; install ca-certificates, or point $SSL_CERT_FILE to "
        "a file of trusted certificates",
    ),
    Seen.UNSENDABLE: Row(
        "a request that cannot be sent (a garbled header)",
        Then.STOP,
        may_bill=False,
        remedy="the request cannot be sent; check the key and --extra-header",
    ),
    Seen.BUSY: Row("408, 409, 425, other 5xx", Then.AGAIN, may_bill=False),
    Seen.GATEWAY_TIMEOUT: Row(
        "504, 524: a gateway waits no longer for who is asked", Then.AGAIN, most=MOST_TIMED_OUT
    ),
    Seen.RATE_LIMITED: Row(
        "429",
        Then.AGAIN,
        most=MOST_RATE_LIMITED,
        counts=False,
        may_be_own=False,
        may_bill=False,
    ),
    Seen.BAD_KEY: Row(
        "401",
        Then.STOP,
        may_bill=False,
        remedy="the key was refused; check the environment variable that holds it (--api-key-env)",
    ),
    Seen.FORBIDDEN: Row(
        "403",
        Then.STOP,
        may_bill=False,
        remedy="the key may not use this model or endpoint; check --model and the account",
    ),
    Seen.UNKNOWN: Row(
        "404, 405, 3xx, or any status with the code model_not_found",
        Then.STOP,
        may_bill=False,
        remedy="the endpoint does not know this address or model; check --model and --base-url (an address "
        "usually ends in /v1)",
    ),
    Seen.NO_CREDIT: Row(
        "402, or any status with the code of a spent credit",
        Then.STOP,
        may_bill=False,
        remedy="the account has no credit left; add some, then continue the run",
    ),
    Seen.REJECTED: Row("400, 413, 422 and other 4xx", Then.REFUSED, may_bill=False),
    Seen.NOT_JSON: Row("200 with a page, a text, or broken or cut JSON", Then.AGAIN),
    Seen.TOO_LARGE: Row("a reply larger than 8 MiB", Then.AGAIN, most=MOST_TIMED_OUT),
    Seen.ERROR_BODY: Row(
        "200 with an error in its body, beside its choices or inside them, or with the finish reason of a "
        "failure (an error that names a status counts as that status)",
        Then.AGAIN,
    ),
    Seen.NO_CHOICES: Row("200 without choices, or with none in them", Then.AGAIN),
    Seen.COMPLETE: Row("a completion", Then.READ),
    Seen.LENGTH: Row(
        "cut by its length limit, by its finish reason or its token count; never asked again unchanged",
        Then.READ,
    ),
    Seen.CONTENT_FILTER: Row("cut by a content filter", Then.READ),
    Seen.REFUSAL: Row("a refusal in place of content", Then.READ),
    Seen.NO_TEXT: Row("null or empty content", Then.READ),
    Seen.NO_USAGE: Row("usage missing or unreadable", Then.READ),
    Seen.OTHER_MODEL: Row("another name of the model than the one asked for", Then.READ),
    Seen.OTHER_COUNT: Row("more choices than the one asked for; the first is read", Then.READ),
}

OVERLOADED = frozenset({503, 529})
"""Of those that are busy, the statuses which say that there is too much to do."""

_BUSY = frozenset({408, 409, 425})
_GATEWAY_TIMEOUT = frozenset({504, 524})
_NO_CREDIT = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "insufficient_credits",
        "billing_not_active",
    }
)


def from_status(status: int, *, code: str | None = None, should_retry: str | None = None) -> Seen:
    """What a reply with an error status is; `should_retry` is the header x-should-retry."""
    if status == 402 or code in _NO_CREDIT:
        return Seen.NO_CREDIT
    if code == "model_not_found":
        return Seen.UNKNOWN
    if status == 429:
        return Seen.RATE_LIMITED
    if status in _GATEWAY_TIMEOUT:
        return Seen.GATEWAY_TIMEOUT
    if status in _BUSY or status >= 500:
        return Seen.BUSY
    if status == 401:
        return Seen.BAD_KEY
    if status == 403:
        return Seen.FORBIDDEN
    if status in (404, 405) or status < 400:
        return Seen.UNKNOWN
    return Seen.BUSY if should_retry == "true" else Seen.REJECTED


def error_of(
    seen: Seen,
    problem: str,
    *,
    status: int | None = None,
    retry_after_s: float | None = None,
    is_last: bool = False,
) -> BackendError:
    """The error for what an attempt met, which must be no completion.

    `problem` is what happened in words; `status` that of the reply, where there was one; `retry_after_s` what
    the endpoint asked for; `is_last` says that it asked for no further attempt now.
    """
    row = TABLE[seen]
    error: BackendError
    if row.then is Then.AGAIN:
        error = TransientError(
            problem,
            seen=seen,
            retry_after_s=retry_after_s,
            is_last=is_last,
            may_be_own=row.may_be_own and not is_last,
        )
    elif row.then is Then.REFUSED:
        error = RequestRejectedError(problem, status=status)
    elif row.then is Then.STOP:
        error = EndpointError(f"{row.remedy} ({problem})")
    else:
        raise ValueError(f"{seen} is no error")
    error.may_bill = row.may_bill
    return error
