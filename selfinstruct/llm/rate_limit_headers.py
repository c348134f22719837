"""Read the rate limits that an endpoint states in a reply's `x-ratelimit-*` headers.

    x-ratelimit-limit-requests: 5000         the limit
    x-ratelimit-remaining-requests: 4999     how many requests are left
    x-ratelimit-reset-requests: 12ms         the time until the whole limit is available again

The same headers exist for tokens. No header states the limit's period. It is usually a minute; a limit on
requests is sometimes per day. If the limit refills steadily, the three numbers imply the period: 1 of 5,000
in 12 ms means 5,000 a minute. Headers that cannot be parsed are ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["requests", "tokens"]

MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86400.0
_TOLERANCE = 1.25
"""Maximum factor between a computed period and a minute or day, because endpoints round the numbers."""

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|us|µs|ns|d|h|m|s)", re.ASCII)
_UNITS_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": MINUTE_S,
    "h": _HOUR_S,
    "d": _DAY_S,
}


@dataclass(frozen=True, slots=True)
class StatedLimit:
    """A limit on requests or tokens, as stated in one reply's headers."""

    limit: int | None
    """Number of requests or tokens, or None if the headers state only how many are left."""
    is_per_minute: bool | None
    """True if the limit is per minute; False if it is per day, None if the period is unknown."""
    wait_s: float = 0.0
    """If the limit is used up, seconds until the next request is possible; otherwise 0."""


def stated_limit(headers: Mapping[str, str], unit: Unit) -> StatedLimit | None:
    """Return the limit that a reply's headers state, or None if they state none. Never raises."""
    limit = _count(headers.get(f"x-ratelimit-limit-{unit}")) or None
    remaining = _count(headers.get(f"x-ratelimit-remaining-{unit}"))
    if limit is None and remaining is None:
        return None
    reset_s = _duration_s(headers.get(f"x-ratelimit-reset-{unit}", ""))
    is_per_minute = _is_per_minute(limit, remaining, reset_s)
    return StatedLimit(limit, is_per_minute, _wait_s(limit, remaining, reset_s))


def _is_per_minute(limit: int | None, remaining: int | None, reset_s: float) -> bool | None:
    if limit is None or remaining is None or not reset_s:
        return None
    if reset_s > _HOUR_S:
        return False
    used = limit - remaining
    if used <= 0:
        return None
    return not _is_near(reset_s * limit / used, _DAY_S)


def _wait_s(limit: int | None, remaining: int | None, reset_s: float) -> float:
    if remaining != 0:
        return 0.0
    if limit is not None and (_is_near(reset_s, MINUTE_S) or _is_near(reset_s, _DAY_S)):
        return reset_s / limit  # The limit refills steadily.
    return reset_s


def _is_near(time_s: float, other_s: float) -> bool:
    return other_s / _TOLERANCE <= time_s <= other_s * _TOLERANCE


def _count(value: str | None) -> int | None:
    """Convert a non-negative number. Return None for other values, such as -1, which means no limit."""
    value = (value or "").strip()
    return int(float(value)) if _NUMBER.fullmatch(value) else None


def _duration_s(value: str) -> float:
    """Convert a duration such as "2m59.56s", "120ms", "6m0s" or "12" to seconds; return 0 if invalid."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        seconds = float(value)
    else:
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))
        if _PART.sub("", value):
            return 0.0
    # A larger number is not a duration but a date, in seconds since 1970.
    return seconds if seconds <= 31 * _DAY_S else 0.0
