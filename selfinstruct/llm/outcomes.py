"""Outcomes of attempts and their rules: one table for all errors.

    RETRY    another attempt at the request, after a wait           raises TransientError
    REJECT   the request failed and is not sent again               raises RequestRejectedError
    STOP     the endpoint would refuse every request: end the run   raises EndpointError
    ACCEPT   a reply, journaled as received                         returns a Completion

`client` finds the outcome of an attempt; `retry` looks up its rule for the number of attempts and the waits.
After the last attempt, and for a rejected request, `selfinstruct.runner.failures` decides.
"""

from dataclasses import dataclass, replace
from enum import Enum

from selfinstruct.errors import BackendError, EndpointError, RequestRejectedError, TransientError


class Action(Enum):
    """Consequence of an attempt."""

    RETRY = "another attempt"
    REJECT = "rejected"
    STOP = "the run stops"
    ACCEPT = "journaled as it is"


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule for an outcome."""

    description: str
    action: Action
    max_in_a_row: int | None = None
    """Maximum number of attempts with this outcome; None for the setting `max_attempts`."""
    retry_at_once: bool = False
    """True if the first retry is immediate, because a new connection may work."""
    uses_attempt: bool = True
    """True if the attempt counts towards `max_attempts`."""
    counts_as_strike: bool = True
    """True if the request may be at fault; the failure is then a strike against the request."""
    may_bill: bool = True
    """True if the endpoint may bill the attempt: a reply may exist that was not received."""
    remedy: str = ""
    """Advice to the user, for outcomes that stop the run."""


MAX_TIMEOUTS = 3
"""In a row. The endpoint may bill a reply that arrives too late."""
MAX_RATE_LIMITED = 120
"""In a row. `retry` limits the time as well."""


_NO_FAULT = Rule("", Action.RETRY, counts_as_strike=False, may_bill=False)
"""Rule for attempts that fail for no fault of the request, and cost nothing."""


def _stop(description: str, remedy: str) -> Rule:
    """Return the rule for an outcome that ends the run."""
    return Rule(description, Action.STOP, may_bill=False, remedy=remedy)


class AttemptOutcome(Enum):
    """Result of an attempt; the value is the rule."""

    # no reply
    NO_CONNECTION = replace(
        _NO_FAULT, description="no connection (refused, unknown host, network down)"
    )
    CONNECT_TIMEOUT = replace(_NO_FAULT, description="no connection within connect_timeout_s")
    DROPPED = Rule(
        "connection dropped before a reply (such as an idle connection)",
        Action.RETRY,
        retry_at_once=True,
    )
    CUT = Rule("connection lost in the middle of a reply", Action.RETRY)
    SILENT = Rule(
        "no byte of a reply within request_timeout_s", Action.RETRY, max_in_a_row=MAX_TIMEOUTS
    )
    TOO_SLOW = Rule(
        "no complete reply within request_timeout_s", Action.RETRY, max_in_a_row=MAX_TIMEOUTS
    )
    NO_TRUST = _stop(
        "a certificate that cannot be verified",
        "the certificate of the endpoint cannot be verified with the trust store of the operating "
        "system, which the openai package uses; install ca-certificates, or set $SSL_CERT_FILE to a file of "
        "trusted certificates",
    )
    UNSENDABLE = _stop(
        "a request that cannot be sent (an invalid header)",
        "the request cannot be sent; check the key and --extra-header",
    )
    # a reply with an error status
    BUSY = Rule("408, 409, 425, other 5xx", Action.RETRY, may_bill=False)
    GATEWAY_TIMEOUT = Rule("504, 524 (gateway timeout)", Action.RETRY, max_in_a_row=MAX_TIMEOUTS)
    RATE_LIMITED = replace(
        _NO_FAULT, description="429", max_in_a_row=MAX_RATE_LIMITED, uses_attempt=False
    )
    BAD_KEY = _stop(
        "401", "the key was refused; check the environment variable with the key (--api-key-env)"
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
    # a reply with status 200 that is not a completion
    NOT_JSON = Rule("200 with a page, a text, or broken or cut JSON", Action.RETRY)
    TOO_LARGE = Rule("a reply larger than 8 MiB", Action.RETRY, max_in_a_row=MAX_TIMEOUTS)
    ERROR_BODY = Rule(
        "200 with an error next to or inside the choices, or with the finish reason of a failure (an error "
        "with a status counts as that status)",
        Action.RETRY,
    )
    NO_CHOICES = Rule("200 without choices, or with an empty list", Action.RETRY)
    # a completion
    COMPLETE = Rule("a completion", Action.ACCEPT)
    LENGTH = Rule("cut at max_tokens, by finish reason or token count", Action.ACCEPT)
    CONTENT_FILTER = Rule("cut by a content filter", Action.ACCEPT)
    REFUSAL = Rule("a refusal in place of content", Action.ACCEPT)
    NO_TEXT = Rule("null or empty content", Action.ACCEPT)
    NO_USAGE = Rule("usage missing or unreadable", Action.ACCEPT)
    OTHER_MODEL = Rule("a model name that differs from the request", Action.ACCEPT)
    OTHER_COUNT = Rule("more than one choice; the first is read", Action.ACCEPT)

    @property
    def rule(self) -> Rule:
        """Rule for the outcome."""
        return self.value


OVERLOADED = frozenset({503, 529})
"""Statuses of an overloaded endpoint, among the statuses with the outcome BUSY."""

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
    """Return the outcome for an error status, the code of the error and the header x-should-retry."""
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

    `problem` describes the error; `status` is the status of the reply, if any; `retry_after_s` is the wait
    that the endpoint asks for; `is_last` means that the endpoint asked for no further attempt now.
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
        raise ValueError(f"{outcome.name} is not an error")
    error.may_bill = rule.may_bill
    return error


def outcome_of(error: BackendError) -> AttemptOutcome | None:
    """Return the outcome of a failed attempt, if the error carries one."""
    name = error.outcome if isinstance(error, TransientError) else ""
    return AttemptOutcome[name] if name else None
