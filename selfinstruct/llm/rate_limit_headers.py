"""What an endpoint states about its rate limits, in the headers `x-ratelimit-*` of a reply. Pure.

    x-ratelimit-limit-requests: 5000         so many …
    x-ratelimit-remaining-requests: 4999     … of which so many are left …
    x-ratelimit-reset-requests: 12ms         … and in so long they are all back

The same for tokens. Nobody says of which time the limit is: a minute mostly, for requests sometimes a day.
Where limits drain steadily the three figures tell: 1 of 5,000 is back in 12 ms, so 5,000 are in a minute.
Headers hold what servers and relays put there: what makes no sense states nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from selfinstruct.llm.rate_windows import MINUTE_S

Unit = Literal["requests", "tokens"]

_HOUR_S = 3600.0
_DAY_S = 86400.0
_NEAR = 1.25
"""Figures are rounded: the time that they give is this or that one if it is off by no more than a factor."""

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|us|µs|ns|d|h|m|s)", re.ASCII)
_UNITS_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": _HOUR_S,
    "d": _DAY_S,
}


@dataclass(frozen=True, slots=True)
class Stated:
    """What one reply says about requests, or about tokens."""

    limit: int | None
    """None where it is not said."""
    is_of_a_minute: bool | None
    """Whether that is for a minute, rather than for a day; None where it cannot be told."""
    wait_s: float = 0.0
    """Until there is some left again, where none is left."""


def stated(headers: Mapping[str, str], unit: Unit) -> Stated | None:
    """What the headers of a reply say about one limit; None where they say nothing. Never raises."""
    limit = _count(headers.get(f"x-ratelimit-limit-{unit}")) or None
    remaining = _count(headers.get(f"x-ratelimit-remaining-{unit}"))
    if limit is None and remaining is None:
        return None
    reset_s = _duration_s(headers.get(f"x-ratelimit-reset-{unit}", ""))
    is_of_a_minute = _is_of_a_minute(limit, remaining, reset_s)
    return Stated(limit, is_of_a_minute, _wait_s(limit, remaining, reset_s))


def _is_of_a_minute(limit: int | None, remaining: int | None, reset_s: float) -> bool | None:
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
        return reset_s / limit  # they come back one by one
    return reset_s


def _is_near(time_s: float, other_s: float) -> bool:
    return other_s / _NEAR <= time_s <= other_s * _NEAR


def _count(value: str | None) -> int | None:
    """A number that is not negative: some send -1 where there is no limit."""
    value = (value or "").strip()
    return int(float(value)) if _NUMBER.fullmatch(value) else None


def _duration_s(value: str) -> float:
    """Seconds, from "2m59.56s", "120ms", "6m0s", or plain seconds; 0 for what is none."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        seconds = float(value)
    else:
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))
        if _PART.sub("", value):
            return 0.0
    # A longer time is a date in disguise: seconds since 1970.
    return seconds if seconds <= 31 * _DAY_S else 0.0
