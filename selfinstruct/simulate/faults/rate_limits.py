"""Rate limits: which attempts come too early, and when they may be retried.

There are two buckets, one for requests and one for tokens. Each bucket's capacity is one minute's rate limit.
A bucket is full at first and refills evenly: at 600 requests per minute, by one request every 100 ms. An
accepted attempt takes one request and its billed tokens from the buckets. If either bucket has too little,
the attempt is refused and takes nothing. Therefore a client that keeps to the rate limit in every one-minute
window is never refused. In any one-minute window, at most twice the rate limit is accepted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from selfinstruct.simulate.faults.plan import RateLimits
from selfinstruct.simulate.protocol.replies import Reply, error_reply

RATE_LIMIT: Final = "rate_limit"
"""The name that the request log shows for a refusal."""
# Tolerance for rounding errors: a client that retries at the stated time must be accepted.
_TOLERANCE: Final = 1e-6
_ABBREVIATIONS: Final = {"requests": "RPM", "tokens": "TPM"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TooEarly:
    """Why an attempt was refused."""

    kind: str
    """The bucket that has too little left: "requests" or "tokens"."""
    limit: int
    """The bucket's capacity, in requests or tokens."""
    used: float
    """How far the bucket is from full."""
    needed: int

    @property
    def left(self) -> int:
        """The whole number of requests or tokens that the bucket has left."""
        return _left(self.limit, self.used)

    @property
    def retry_after_s(self) -> float:
        """Seconds until the attempt would be accepted; infinite if it never would be."""
        excess = self.used + self.needed - self.limit
        return math.inf if self.needed > self.limit else excess * 60 / self.limit

    def reply(self, model: str) -> Reply:
        """Return a reply with status 429 and the message that OpenAI uses."""
        limit = f"on {self.kind} per min ({_ABBREVIATIONS[self.kind]}): Limit {self.limit}"
        code = "rate_limit_exceeded"
        headers = {}
        if math.isinf(self.retry_after_s):
            message = f"Request too large for {model} {limit}, Requested {self.needed}."
        else:
            message = (
                f"Rate limit reached for {model} {limit}, Used {self.limit - self.left}, "
                f"Requested {self.needed}. Please try again in {duration(self.retry_after_s)}."
            )
            headers["retry-after"] = f"{_milliseconds(self.retry_after_s) / 1000:g}"
        return replace(error_reply(429, message, kind=self.kind, code=code), headers=headers)


class Buckets:
    """An endpoint's request and token buckets. `now` returns the current time in seconds."""

    def __init__(self, limits: RateLimits | None, *, now: Callable[[], float]) -> None:
        both: dict[str, int] = limits.model_dump(exclude_none=True) if limits is not None else {}
        self._limits = {name.removesuffix("_per_minute"): limit for name, limit in both.items()}
        self._now = now
        self._used = dict.fromkeys(self._limits, 0.0)
        """The amount missing from each full bucket, as of the time `_as_of`."""
        self._as_of = now()

    def take(self, *, tokens: int) -> TooEarly | None:
        """Take one request and `tokens` tokens from the buckets. Returns why, if the attempt is refused."""
        self._refill()
        needed = {"requests": 1, "tokens": tokens}
        problems = [
            TooEarly(kind=kind, limit=limit, used=self._used[kind], needed=needed[kind])
            for kind, limit in self._limits.items()
            if self._used[kind] + needed[kind] > limit + _TOLERANCE
        ]
        if problems:
            return max(problems, key=lambda problem: problem.retry_after_s)
        for kind in self._limits:
            self._used[kind] += needed[kind]
        return None

    def headers(self) -> dict[str, str]:
        """Return the rate limit headers. The `reset` headers state the time until the bucket is full."""
        self._refill()
        headers = {}
        for kind, limit in self._limits.items():
            headers[f"x-ratelimit-limit-{kind}"] = str(limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(_left(limit, self._used[kind]))
            headers[f"x-ratelimit-reset-{kind}"] = duration(self._used[kind] * 60 / limit)
        return headers

    def _refill(self) -> None:
        now = self._now()
        for kind, limit in self._limits.items():
            self._used[kind] = max(0.0, self._used[kind] - (now - self._as_of) * limit / 60)
        self._as_of = now


def _left(limit: int, used: float) -> int:
    return math.floor(limit - used + _TOLERANCE)


def duration(seconds: float) -> str:
    """Return a duration as OpenAI's headers write it, such as "120ms", "5.25s" or "1m0s"."""
    milliseconds = _milliseconds(seconds)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _milliseconds(seconds: float) -> int:
    # Round up, so a client that waits this long has waited long enough.
    return math.ceil(seconds * 1000 - _TOLERANCE)
