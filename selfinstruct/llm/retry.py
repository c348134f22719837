"""What a failed attempt means, and when to try again.

    what the client saw                                          becomes                  then
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
    no connection, dropped connection, timeout                   TransientError           another attempt
    408, 409, 425, 429, 5xx                                      TransientError           another attempt
    200 with a body that is no completion                        TransientError           another attempt
    401, 402, 403, 404; any status whose code says "no credit"   EndpointError            the run stops
    400, 413, 422 and other 4xx                                  RequestRejectedError     of this request

Waits grow exponentially with full jitter; a Retry-After of the endpoint wins, with some jitter on top, so
that those who were told the same do not come back together. Both are capped. A rate limit is no failure: it
does not use up attempts, but is not waited for without end either.
"""

import asyncio
import email.utils
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from selfinstruct.errors import (
    BackendError,
    EndpointError,
    RequestRejectedError,
    TransientError,
)

LONGEST_WAIT_S = 60.0
"""No backoff grows beyond this."""
LONGEST_RETRY_AFTER_S = 300.0
"""No stated Retry-After is followed beyond this."""
LONGEST_RATE_LIMITED_S = 3600.0
"""A request that still meets a rate limit so long after its first attempt is given up, and the run stops."""

OnWait = Callable[[str, float], None]
"""Told of every wait before another attempt: the problem, and the seconds."""

_TRANSIENT = frozenset({408, 409, 425, 429})
_ENDPOINT = frozenset({401, 403, 404})
_NO_CREDIT = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "insufficient_credits",
        "billing_not_active",
    }
)

_REMEDY = {
    401: "the key was refused; check the environment variable that holds it",
    403: "the key may not use this model or endpoint",
    404: "the endpoint does not know this address or model; check --model and --base-url (an address "
    "usually ends in /v1)",
}


def from_status(
    status: int, *, message: str, code: str | None, headers: Mapping[str, str], now: datetime
) -> BackendError:
    """What a reply with an error status means."""
    shown = f"{status}: {message}" if message else str(status)
    if status == 402 or code in _NO_CREDIT:
        return EndpointError(f"the account has no credit left ({shown})")
    if status in _TRANSIENT or status >= 500:
        return TransientError(
            f"the endpoint answered {shown}",
            retry_after_s=stated_wait_s(headers, now=now),
            rate_limited=status == 429,
        )
    if status in _ENDPOINT:
        return EndpointError(f"{_REMEDY[status]} ({shown})")
    return RequestRejectedError(f"the endpoint refuses the request ({shown})", status=status)


def stated_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that the endpoint asks to wait, from its three forms: milliseconds, seconds, a date."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            wait_s = float(value) * unit_s
        except ValueError:
            try:
                at = email.utils.parsedate_to_datetime(value)
            except (ValueError, OverflowError):
                continue
            wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
        if wait_s == wait_s:  # a NaN is a float too, and states nothing
            return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)
    return None


_backoff = wait_random_exponential(multiplier=1, max=LONGEST_WAIT_S)


def _wait_s(attempt: RetryCallState) -> float:
    error = attempt.outcome.exception() if attempt.outcome is not None else None
    if isinstance(error, TransientError) and error.retry_after_s is not None:
        return error.retry_after_s + random.uniform(0, max(1.0, error.retry_after_s / 4))
    return _backoff(attempt)


def policy(
    *,
    max_attempts: int,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_wait: OnWait | None = None,
) -> AsyncRetrying:
    """Retry TransientError up to `max_attempts` attempts, then raise the last one.

    Attempts that met a rate limit are not counted; for those, `LONGEST_RATE_LIMITED_S` in all is the bound.
    """
    failures = 0

    def is_enough(attempt: RetryCallState) -> bool:
        nonlocal failures
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        if isinstance(error, TransientError) and error.rate_limited:
            return (attempt.seconds_since_start or 0.0) >= LONGEST_RATE_LIMITED_S
        failures += 1
        return failures >= max_attempts

    def tell(attempt: RetryCallState) -> None:
        if on_wait is not None and attempt.outcome is not None and attempt.next_action is not None:
            on_wait(str(attempt.outcome.exception()), attempt.next_action.sleep)

    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=is_enough,
        wait=_wait_s,
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )
