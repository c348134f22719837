"""Rate limits: which attempts come too soon, and how long they should have waited.

Knows two buckets, for requests and for tokens, each of which holds what a minute allows. They are full at
first, and fill evenly: with 600 a minute, by one request every 100 ms. An attempt that is let through takes
out one request, and the tokens that are billed for it. One that either bucket is too empty for is refused,
and takes out nothing::

    buckets = Buckets(RateLimits(requests_per_minute=600), now=time.monotonic)
    buckets.refused(tokens=950)                  None, 600 times at once
    buckets.refused(tokens=950)                  TooSoon(retry_after_s=0.1, …)
    buckets.headers()                            {"x-ratelimit-remaining-requests": "0", …}

So a client that sends no more than the limit in any window of a minute is never refused; twice as much
gets through in a minute at most, after a pause.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from selfinstruct.simulate.faults.plan import RateLimits
from selfinstruct.simulate.protocol.replies import Reply, as_json

NAME: Final = "rate_limit"
"""What it is called in the request log."""
_MINUTE_S: Final = 60
# What floats may be off by: whoever comes at the time that was stated is let through.
_ROUNDING: Final = 1e-6
_SHORT: Final = {"requests": "RPM", "tokens": "TPM"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TooSoon:
    """A refusal: what there was too little of, and the seconds until there is enough (None: never)."""

    kind: str
    limit: int
    left: int
    wanted: int
    retry_after_s: float | None

    def reply(self, model: str) -> Reply:
        """Status 429, as OpenAI words it."""
        at = f"on {self.kind} per min ({_SHORT[self.kind]}): Limit {self.limit}"
        if self.retry_after_s is None:
            message = f"Request too large for {model} {at}, Requested {self.wanted}."
            headers = {}
        else:
            message = (
                f"Rate limit reached for {model} {at}, Used {self.limit - self.left}, "
                f"Requested {self.wanted}. Please try again in {span(self.retry_after_s)}."
            )
            headers = {"retry-after": f"{_milliseconds(self.retry_after_s) / 1000:g}"}
        error: dict[str, Any] = {
            "message": message,
            "type": self.kind,
            "param": None,
            "code": "rate_limit_exceeded",
        }
        return as_json(429, {"error": error}, headers)


class Buckets:
    """The buckets of an endpoint; `now` is a clock in seconds."""

    def __init__(self, limits: RateLimits, *, now: Callable[[], float]) -> None:
        given = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self._limits = {kind: limit for kind, limit in given.items() if limit is not None}
        self._now = now
        self._missing = dict.fromkeys(self._limits, 0.0)
        """How much is lacking from each full bucket …"""
        self._as_of = now()
        """… at this time."""

    def refused(self, *, tokens: int) -> TooSoon | None:
        """Why an attempt of so many tokens comes too soon; None if it is let through, which counts it."""
        self._fill()
        wanted = {"requests": 1, "tokens": tokens}
        found = [
            self._too_soon(kind, wanted[kind])
            for kind in self._limits
            if self._missing[kind] + wanted[kind] > self._limits[kind] + _ROUNDING
        ]
        if found:
            # What it waits for longest; what never comes, before all.
            return max(
                found, key=lambda one: math.inf if one.retry_after_s is None else one.retry_after_s
            )
        for kind in self._limits:
            self._missing[kind] += wanted[kind]
        return None

    def headers(self) -> dict[str, str]:
        """What every reply says of the limits; `reset` is when the bucket will be full again."""
        self._fill()
        said = {}
        for kind, limit in self._limits.items():
            said[f"x-ratelimit-limit-{kind}"] = str(limit)
            said[f"x-ratelimit-remaining-{kind}"] = str(self._left(kind))
            said[f"x-ratelimit-reset-{kind}"] = span(self._missing[kind] * _MINUTE_S / limit)
        return said

    def _too_soon(self, kind: str, wanted: int) -> TooSoon:
        limit = self._limits[kind]
        over = self._missing[kind] + wanted - limit
        return TooSoon(
            kind=kind,
            limit=limit,
            left=self._left(kind),
            wanted=wanted,
            retry_after_s=None if wanted > limit else over * _MINUTE_S / limit,
        )

    def _left(self, kind: str) -> int:
        return math.floor(self._limits[kind] - self._missing[kind] + _ROUNDING)

    def _fill(self) -> None:
        now = self._now()
        for kind, limit in self._limits.items():
            filled = (now - self._as_of) * limit / _MINUTE_S
            self._missing[kind] = max(0.0, self._missing[kind] - filled)
        self._as_of = now


def span(seconds: float) -> str:
    """A time as OpenAI's headers have it, rounded up to milliseconds.

    >>> span(0.12), span(1), span(5.25), span(60)
    ('120ms', '1s', '5.25s', '1m0s')
    """
    milliseconds = _milliseconds(seconds)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _milliseconds(seconds: float) -> int:
    # Rounded up: whoever waits so long has waited long enough.
    return math.ceil(seconds * 1000 - _ROUNDING)
