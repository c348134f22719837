"""Whether and when there is another attempt: `outcomes.TABLE`, as tenacity takes it.

Waits grow exponentially with full jitter; a Retry-After of the endpoint wins, with some jitter on top, so
that those who were told the same do not come back together. Both are capped. A rate limit is no failure: it
does not use up attempts, but is not waited for without end either.
"""

import asyncio
import email.utils
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from selfinstruct.errors import TransientError
from selfinstruct.llm.outcomes import TABLE, Row, Seen, Then

LONGEST_WAIT_S = 60.0
"""No backoff grows beyond this."""
LONGEST_RETRY_AFTER_S = 300.0
"""No stated Retry-After is followed beyond this."""
LONGEST_RATE_LIMITED_S = 3600.0
"""A request that still meets a rate limit so long after its first attempt is not sent again for now."""
SHORTEST_RATE_LIMITED_S = 60.0
"""Before that it is, however soon the run is to be given up: rate limits are mostly those of a minute."""

OnWait = Callable[[str, float], None]
"""Told of every wait before another attempt: the problem, and the seconds."""

_ANY = Row("a failure that no row names", Then.AGAIN)


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


def rate_limited_s(give_up_after_s: float) -> float:
    """How long a request may meet nothing but a rate limit in a run that is given up after so long."""
    return max(SHORTEST_RATE_LIMITED_S, min(LONGEST_RATE_LIMITED_S, give_up_after_s))


_backoff = wait_random_exponential(multiplier=1, max=LONGEST_WAIT_S)


class _Round:
    """The attempts of one request, from being asked to complete it until an answer or giving up."""

    def __init__(
        self, max_attempts: int, is_out: Callable[[], bool], rate_limited_s: float
    ) -> None:
        self._max_attempts = max_attempts
        self._rate_limited_s = rate_limited_s
        self._is_out = is_out
        self._met: Counter[str] = Counter()
        self._counted = 0

    def _meet(self, attempt: RetryCallState) -> TransientError:
        """Count what an attempt met, once."""
        error = _error(attempt)
        if attempt.attempt_number > self._counted:
            self._counted = attempt.attempt_number
            self._met[error.seen] += 1
        return error

    def is_over(self, attempt: RetryCallState) -> bool:
        error = self._meet(attempt)
        row = _row(error)
        if error.is_last or (row.most is not None and self._met[error.seen] >= row.most):
            return True
        if not row.counts:
            return self._rate_limit_left_s(attempt) <= 0
        counted = sum(n for seen, n in self._met.items() if _row_of(seen).counts)
        if counted >= self._max_attempts:
            return True
        if self._is_out():
            error.may_be_own = False  # it did not have its attempts
            return True
        return False

    def _rate_limit_left_s(self, attempt: RetryCallState) -> float:
        return max(0.0, self._rate_limited_s - (attempt.seconds_since_start or 0.0))

    def wait_s(self, attempt: RetryCallState) -> float:
        wait_s = self._wait_s(attempt)
        if not _row(_error(attempt)).counts:
            return min(wait_s, self._rate_limit_left_s(attempt))
        return wait_s

    def _wait_s(self, attempt: RetryCallState) -> float:
        error = self._meet(attempt)
        if error.retry_after_s is not None:
            return error.retry_after_s + random.uniform(0, max(1.0, error.retry_after_s / 4))
        if _row(error).at_once and self._met[error.seen] == 1:
            return 0.0
        return _backoff(attempt)


def _error(attempt: RetryCallState) -> TransientError:
    error = attempt.outcome.exception() if attempt.outcome is not None else None
    assert isinstance(error, TransientError)  # nothing else is tried again
    return error


def _row(error: TransientError) -> Row:
    return _row_of(error.seen)


def _row_of(seen: str) -> Row:
    return TABLE[Seen(seen)] if seen else _ANY


def policy(
    *,
    max_attempts: int,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_wait: OnWait | None = None,
    is_out: Callable[[], bool] = lambda: False,
    rate_limited_s: float = LONGEST_RATE_LIMITED_S,
) -> AsyncRetrying:
    """Retry TransientError as often as the table allows, then raise the last one.

    `is_out` says that the endpoint answers nobody at present: then there is no further attempt for now.
    `rate_limited_s` is how long a rate limit is waited for.
    """
    attempts = _Round(max_attempts, is_out, rate_limited_s)

    def tell(attempt: RetryCallState) -> None:
        if on_wait is not None and attempt.next_action is not None:
            on_wait(str(_error(attempt)), attempt.next_action.sleep)

    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=attempts.is_over,
        wait=attempts.wait_s,
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    )
