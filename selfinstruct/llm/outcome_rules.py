"""The possible outcomes of an attempt, and the rule for each outcome.

    RETRY    attempt the request again after a wait                raises TransientError
    REJECT   fail the request and do not send it again             raises RequestRejectedError
    STOP     end the run: the endpoint would refuse every request  raises EndpointError
    ACCEPT   journal the reply as received                         returns a Completion

`client` determines an attempt's outcome. `retry` reads the outcome's rule to decide on further attempts and
waits. `selfinstruct.runner.failures` decides what happens to a request that was rejected, or whose last
attempt failed.
"""

from dataclasses import dataclass, replace
from enum import Enum

from selfinstruct.errors import BackendError, EndpointError, RequestRejectedError, TransientError


class Action(Enum):
    """What happens after an attempt."""

    RETRY = "another attempt"
    REJECT = "rejected"
    STOP = "the run stops"
    ACCEPT = "journaled as it is"


@dataclass(frozen=True, slots=True)
class Rule:
    """How the client handles an outcome."""

    description: str
    action: Action
    max_per_round: int | None = None
    """Maximum number of attempts with this outcome in a round, before other requests are sent.

    None means that only `max_attempts` applies.
    """
    retry_at_once: bool = False
    """True if the first retry is immediate, because a new connection may work."""
    uses_attempt: bool = True
    """True if the attempt counts towards `max_attempts`."""
    counts_as_strike: bool = True
    """True if the request may have caused the failure, which is then a strike against the request."""
    may_bill: bool = True
    """True if the endpoint may bill the attempt, for example because it sent a reply that got lost."""
    remedy: str = ""
    """Advice for the user if the outcome stops the run."""


MAX_TIMEOUTS = 3
"""Maximum number of timeouts per round, because the endpoint may bill a reply that arrives too late."""
MAX_RATE_LIMITED = 120
"""Maximum number of rate-limited attempts per round. `retry` also limits their total time."""


_NO_FAULT = Rule("", Action.RETRY, counts_as_strike=False, may_bill=False)
"""Rule for attempts that cost nothing and whose failure the request did not cause."""


def _stop(description: str, remedy: str) -> Rule:
    """Return the rule for an outcome that ends the run."""
    return Rule(description, Action.STOP, may_bill=False, remedy=remedy)


class AttemptOutcome(Enum):
    """Outcome of an attempt. Each member's value is its rule."""

    # The endpoint sends no complete reply.
    NO_CONNECTION = replace(
        _NO_FAULT, description="no connection (refused, unknown host, network down)"
    )
    CONNECT_TIMEOUT = replace(_NO_FAULT, description="no connection within connect_timeout_s")
    DROPPED = Rule(
        "connection dropped before a reply (for example, an idle connection)",
        Action.RETRY,
        retry_at_once=True,
    )
    CUT = Rule("connection lost in the middle of a reply", Action.RETRY)
    SILENT = Rule(
        "no byte of a reply within request_timeout_s", Action.RETRY, max_per_round=MAX_TIMEOUTS
    )
    TOO_SLOW = Rule(
        "no complete reply within request_timeout_s", Action.RETRY, max_per_round=MAX_TIMEOUTS
    )
    NO_TRUST = _stop(
        "a certificate that cannot be verified",
        "the endpoint's certificate cannot be verified with the operating system's trust store, which "
        "the openai package uses; install ca-certificates, or set $SSL_CERT_FILE to a file of trusted "
        "certificates",
    )
    UNSENDABLE = _stop(
        "a request that cannot be sent (an invalid header)",
        "the request cannot be sent; check the key and --extra-header",
    )
    # The reply has an error status.
    BUSY = Rule("408, 409, 425 and other 5xx", Action.RETRY, may_bill=False)
    GATEWAY_TIMEOUT = Rule("504, 524 (gateway timeout)", Action.RETRY, max_per_round=MAX_TIMEOUTS)
    RATE_LIMITED = replace(
        _NO_FAULT, description="429", max_per_round=MAX_RATE_LIMITED, uses_attempt=False
    )
    BAD_KEY = _stop(
        "401",
        "the key was refused; check the environment variable that contains it (--api-key-env)",
    )
    FORBIDDEN = _stop(
        "403", "the key may not use this model or endpoint; check --model and the account"
    )
    UNKNOWN = _stop(
        "404, 405, 3xx, or any status with the code model_not_found",
        "the endpoint does not know this address or model; check --model and --base-url (an address "
        "usually ends in /v1)",
    )
    NO_CREDIT = _stop(
        "402, or any status with a code that means no credit",
        "the account has no credit left; add credit, then continue the run",
    )
    REJECTED = Rule("400, 413, 422 and other 4xx", Action.REJECT, may_bill=False)
    # The reply has status 200 but is not a completion.
    NOT_JSON = Rule("200 with a web page, plain text, or malformed or truncated JSON", Action.RETRY)
    TOO_LARGE = Rule("a reply larger than 8 MiB", Action.RETRY, max_per_round=MAX_TIMEOUTS)
    ERROR_BODY = Rule(
        "200 with an error outside or inside the choices, or with a finish reason that means a failure (an "
        "error that contains a status counts as that status)",
        Action.RETRY,
    )
    NO_CHOICES = Rule("200 without choices, or with an empty list of choices", Action.RETRY)
    # The reply is a completion.
    COMPLETE = Rule("a completion", Action.ACCEPT)
    LENGTH = Rule(
        "cut off at max_tokens, according to the finish reason or the token count", Action.ACCEPT
    )
    CONTENT_FILTER = Rule("cut off by a content filter", Action.ACCEPT)
    REFUSAL = Rule("a refusal instead of content", Action.ACCEPT)
    NO_TEXT = Rule("null or empty content", Action.ACCEPT)
    NO_USAGE = Rule("usage missing or unreadable", Action.ACCEPT)
    OTHER_MODEL = Rule("a model name that differs from the request", Action.ACCEPT)
    OTHER_COUNT = Rule("more than one choice; the first is read", Action.ACCEPT)

    @property
    def rule(self) -> Rule:
        """The rule for this outcome."""
        return self.value


OVERLOADED = frozenset({503, 529})
"""Statuses that mean an overloaded endpoint. Their outcome is BUSY."""

_BY_STATUS = {
    401: AttemptOutcome.BAD_KEY,
    402: AttemptOutcome.NO_CREDIT,
    403: AttemptOutcome.FORBIDDEN,
    404: AttemptOutcome.UNKNOWN,
    405: AttemptOutcome.UNKNOWN,
    408: AttemptOutcome.BUSY,
    409: AttemptOutcome.BUSY,
    425: AttemptOutcome.BUSY,
    429: AttemptOutcome.RATE_LIMITED,
    504: AttemptOutcome.GATEWAY_TIMEOUT,
    524: AttemptOutcome.GATEWAY_TIMEOUT,
}
_BY_CODE = {
    "insufficient_quota": AttemptOutcome.NO_CREDIT,
    "billing_hard_limit_reached": AttemptOutcome.NO_CREDIT,
    "insufficient_credits": AttemptOutcome.NO_CREDIT,
    "billing_not_active": AttemptOutcome.NO_CREDIT,
    "model_not_found": AttemptOutcome.UNKNOWN,
}


def from_status(
    status: int, *, code: str | None = None, should_retry: str | None = None
) -> AttemptOutcome:
    """Return the outcome for an error status, the error's code and the value of the header x-should-retry."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:
        return AttemptOutcome.UNKNOWN
    is_busy = status >= 500 or should_retry == "true"
    return AttemptOutcome.BUSY if is_busy else AttemptOutcome.REJECTED


def error_of(
    outcome: AttemptOutcome,
    problem: str,
    *,
    status: int | None = None,
    retry_after_s: float | None = None,
    is_last: bool = False,
) -> BackendError:
    """Return the error for an outcome that is not a completion.

    `problem` describes the error. `status` is the reply's status, if there is a reply. `retry_after_s` is the
    wait that the endpoint asks for. `is_last` is true if the endpoint asks the client not to retry.
    """
    rule = outcome.rule
    error: BackendError
    if rule.action is Action.RETRY:
        error = TransientError(
            problem,
            outcome=outcome.name,
            retry_after_s=retry_after_s,
            is_last=is_last,
            counts_as_strike=rule.counts_as_strike and not is_last,
        )
    elif rule.action is Action.REJECT:
        error = RequestRejectedError(problem, status=status)
    elif rule.action is Action.STOP:
        error = EndpointError(f"{rule.remedy} ({problem})")
    else:
        raise ValueError(f"the outcome {outcome.name} is not an error")
    error.may_bill = rule.may_bill
    return error


def outcome_of(error: BackendError) -> AttemptOutcome | None:
    """Return the outcome of a failed attempt, or None if the error has no outcome."""
    name = error.outcome if isinstance(error, TransientError) else ""
    return AttemptOutcome[name] if name else None
