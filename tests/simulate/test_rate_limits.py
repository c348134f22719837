"""Rate limits, with a clock that only the tests advance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.simulate.faults.plan import RateLimits
from selfinstruct.simulate.faults.rate_limits import Buckets, duration


class Clock:
    """A clock that returns the time in `at`."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def buckets(requests: int | None = None, tokens: int | None = None) -> tuple[Buckets, Clock]:
    clock = Clock()
    limits = RateLimits(requests_per_minute=requests, tokens_per_minute=tokens)
    return Buckets(limits, now=clock), clock


def test_a_full_bucket_empties_and_refills() -> None:
    limited, clock = buckets(requests=600)
    assert all(limited.take(tokens=950) is None for _ in range(600))
    too_early = limited.take(tokens=950)
    assert too_early is not None
    assert too_early.retry_after_s == pytest.approx(0.1)
    clock.at = 0.1
    assert limited.take(tokens=950) is None
    assert limited.take(tokens=950) is not None
    clock.at = 3600
    assert sum(limited.take(tokens=0) is None for _ in range(1000)) == 600


def test_all_tokens_must_fit() -> None:
    limited, clock = buckets(requests=600, tokens=6000)
    assert limited.take(tokens=5900) is None
    too_early = limited.take(tokens=300)
    assert too_early is not None
    assert (too_early.kind, too_early.left, too_early.needed) == ("tokens", 100, 300)
    reply = too_early.reply("simulated")
    assert reply.status == 429
    assert reply.headers == {"retry-after": "2"}
    assert reply.data["error"] == {
        "message": "Rate limit reached for simulated on tokens per min (TPM): Limit 6000, Used 5900, "
        "Requested 300. Please try again in 2s.",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    clock.at = 2
    assert limited.take(tokens=300) is None


def test_a_refused_attempt_takes_nothing() -> None:
    limited, _ = buckets(requests=10, tokens=100)
    assert limited.take(tokens=60) is None
    before = limited.headers()
    assert limited.take(tokens=60) is not None
    assert limited.headers() == before
    assert limited.take(tokens=40) is None


def test_too_large_requests_get_no_retry_time() -> None:
    limited, _ = buckets(requests=1, tokens=100)
    assert limited.take(tokens=1) is None
    too_large = limited.take(tokens=101)
    assert too_large is not None
    assert too_large.retry_after_s == math.inf
    reply = too_large.reply("simulated")
    assert "retry-after" not in (reply.headers or {})
    assert reply.data["error"]["message"].startswith("Request too large for simulated on tokens")


def test_headers_describe_the_buckets() -> None:
    limited, clock = buckets(requests=600, tokens=6000)
    assert limited.take(tokens=3000) is None
    assert limited.headers() == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "3000",
        "x-ratelimit-reset-tokens": "30s",
    }
    clock.at = 20
    headers = limited.headers()
    assert headers["x-ratelimit-remaining-tokens"] == "5000"
    assert headers["x-ratelimit-reset-requests"] == "0s"
    only_tokens, _ = buckets(tokens=10)
    assert not any("requests" in name for name in only_tokens.headers())


def test_durations_have_the_form_of_openai() -> None:
    expected = {
        0: "0s",
        0.0001: "1ms",
        0.12: "120ms",
        1: "1s",
        1.5: "1.5s",
        59.9991: "1m0s",
        60: "1m0s",
        90.25: "1m30.25s",
        360: "6m0s",
    }
    assert {seconds: duration(seconds) for seconds in expected} == expected


ARRIVALS = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 60)), min_size=1, max_size=60)


@given(ARRIVALS, st.integers(1, 10), st.integers(60, 200))
def test_a_client_that_waits_is_accepted(
    arrivals: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    limited, clock = buckets(requests=requests, tokens=tokens)
    for pause, needed in arrivals:
        clock.at += pause
        too_early = limited.take(tokens=needed)
        if too_early is not None:
            clock.at += float((too_early.reply("simulated").headers or {})["retry-after"])
            assert limited.take(tokens=needed) is None


@given(ARRIVALS, st.integers(1, 10), st.integers(60, 200))
def test_every_minute_keeps_to_the_limits(
    arrivals: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    """Check that no client within the limits is refused, and that no minute exceeds twice the limits."""
    limited, clock = buckets(requests=requests, tokens=tokens)
    passed: list[tuple[float, int]] = []
    for pause, needed in arrivals:
        clock.at += pause
        recent = [used for at, used in passed if at > clock.at - 60]
        fits = len(recent) < requests and sum(recent) + needed <= tokens
        too_early = limited.take(tokens=needed)
        assert too_early is None or not fits
        if too_early is None:
            passed.append((clock.at, needed))
            assert len(recent) + 1 <= 2 * requests
            assert sum(recent) + needed <= 2 * tokens
