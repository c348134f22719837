"""Decide whether and when to retry a request: the rules of `outcomes` as a tenacity policy.

Waits grow exponentially, with full jitter. If the endpoint sends Retry-After, its wait takes precedence, plus
some jitter so that requests are not all retried at the same time. Both waits have an upper bound. Attempts
that end in a rate limit do not count towards the maximum, but the total time of such retries is limited.
"""

import email.utils
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from selfinstruct.errors import TransientError
from selfinstruct.llm.outcome_rules import Action, Rule, outcome_of

MAX_BACKOFF_S = 60.0
MAX_RETRY_AFTER_S = 300.0
"""Maximum wait that the endpoint can request with Retry-After, in seconds."""
MAX_RATE_LIMITED_S = 3600.0
"""Maximum time, in seconds, between the first attempt and a retry after a rate limit."""
MIN_RATE_LIMITED_S = 60.0
"""Lower bound for that maximum, because most rate limits are per minute."""

OnWait = Callable[[str, float], None]
"""Callback before each wait. The arguments are the problem and the length of the wait in seconds."""

_NO_OUTCOME = Rule("an error without an outcome", Action.RETRY)


def stated_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the wait in seconds that the endpoint asks for, or None.

    The wait comes from the header retry-after-ms or retry-after, which contains seconds or a date.
    """
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
        if wait_s == wait_s:  # False if the wait is NaN.
            return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
    return None


def rate_limited_s(give_up_after_s: float) -> float:
    """Return how many seconds to keep retrying a request whose attempts all end in a rate limit."""
    return max(MIN_RATE_LIMITED_S, min(MAX_RATE_LIMITED_S, give_up_after_s))


_backoff = wait_random_exponential(multiplier=1, max=MAX_BACKOFF_S)


class _Attempts:
    """Counts one round of attempts. Provides the callbacks `after`, `stop` and `wait` for tenacity."""

    _error: TransientError
    """The last attempt's error."""
    _rule: Rule

    def __init__(
        self, max_attempts: int, is_out: Callable[[], bool], rate_limited_s: float
    ) -> None:
        self._max_attempts = max_attempts
        self._rate_limited_s = rate_limited_s
        self._is_out = is_out
        self._outcomes: Counter[str] = Counter()
        self._used = 0
        """Number of attempts so far that count towards `max_attempts`."""

    def count(self, attempt: RetryCallState) -> None:
        self._error = _error(attempt)
        outcome = outcome_of(self._error)
        self._rule = outcome.rule if outcome is not None else _NO_OUTCOME
        self._outcomes[self._error.outcome] += 1
        self._used += self._rule.uses_attempt

    def is_over(self, attempt: RetryCallState) -> bool:
        in_round = self._outcomes[self._error.outcome]
        if self._error.is_last or in_round >= (self._rule.max_per_round or math.inf):
            return True
        if not self._rule.uses_attempt:
            return self._rate_limit_left_s(attempt) <= 0
        if self._used >= self._max_attempts:
            return True
        if self._is_out():
            self._error.counts_as_strike = False  # The request has not used all its attempts.
            return True
        return False

    def wait_s(self, attempt: RetryCallState) -> float:
        stated_s = self._error.retry_after_s
        if stated_s is not None:
            wait_s = stated_s + random.uniform(0, max(1.0, stated_s / 4))
        elif self._rule.retry_at_once and self._outcomes[self._error.outcome] == 1:
            wait_s = 0.0
        else:
            wait_s = _backoff(attempt)
        if not self._rule.uses_attempt:
            return min(wait_s, self._rate_limit_left_s(attempt))
        return wait_s

    def _rate_limit_left_s(self, attempt: RetryCallState) -> float:
        return max(0.0, self._rate_limited_s - (attempt.seconds_since_start or 0.0))


def _error(attempt: RetryCallState) -> TransientError:
    error = attempt.outcome.exception() if attempt.outcome is not None else None
    assert isinstance(error, TransientError)  # Only this error is retried.
    return error


def policy(
    *,
    max_attempts: int,
    sleep: Callable[[float], Awaitable[None]],
    on_wait: OnWait | None = None,
    is_out: Callable[[], bool] = lambda: False,
    rate_limited_s: float = MAX_RATE_LIMITED_S,
) -> AsyncRetrying:
    """Return a tenacity policy that retries on TransientError by the rules, then raises the last error.

    `is_out` returns whether the endpoint is down. If it is, a request is not retried for now.
    `rate_limited_s` is the maximum time, in seconds, to keep retrying after rate limits.
    """
    attempts = _Attempts(max_attempts, is_out, rate_limited_s)

    def report(attempt: RetryCallState) -> None:
        if on_wait is not None and attempt.next_action is not None:
            on_wait(str(_error(attempt)), attempt.next_action.sleep)

    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        after=attempts.count,
        stop=attempts.is_over,
        wait=attempts.wait_s,
        sleep=sleep,
        before_sleep=report,
        reraise=True,
    )
