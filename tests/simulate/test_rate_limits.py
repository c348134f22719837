"""Rate limits on a clock that only these tests move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.simulate.faults.plan import RateLimits
from selfinstruct.simulate.faults.rate_limits import Buckets, TooSoon, span


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def buckets(requests: int | None = None, tokens: int | None = None) -> tuple[Buckets, Clock]:
    clock = Clock()
    limits = RateLimits(requests_per_minute=requests, tokens_per_minute=tokens)
    return Buckets(limits, now=clock), clock


def test_a_full_bucket_gives_a_minutes_worth_at_once_and_then_fills_evenly() -> None:
    limited, clock = buckets(requests=600)
    assert all(limited.refused(tokens=950) is None for _ in range(600))
    too_soon = limited.refused(tokens=950)
    assert too_soon is not None
    assert too_soon.retry_after_s == pytest.approx(0.1)
    clock.at = 0.1
    assert limited.refused(tokens=950) is None
    assert limited.refused(tokens=950) is not None
    clock.at = 3600
    assert sum(limited.refused(tokens=0) is None for _ in range(1000)) == 600


def test_tokens_are_waited_for_until_all_of_them_fit() -> None:
    limited, clock = buckets(requests=600, tokens=6000)
    assert limited.refused(tokens=5900) is None
    too_soon = limited.refused(tokens=300)
    assert too_soon is not None
    assert (too_soon.kind, too_soon.left, too_soon.wanted) == ("tokens", 100, 300)
    assert too_soon.retry_after_s == pytest.approx(2)
    reply = too_soon.reply("simulated")
    assert reply.status == 429
    assert reply.headers == {"retry-after": "2"}
    assert reply.said["error"] == {
        "message": "Rate limit reached for simulated on tokens per min (TPM): Limit 6000, Used 5900, "
        "Requested 300. Please try again in 2s.",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    clock.at = 2
    assert limited.refused(tokens=300) is None


def test_a_refused_attempt_takes_nothing_out_of_either_bucket() -> None:
    limited, _ = buckets(requests=10, tokens=100)
    assert limited.refused(tokens=60) is None
    before = limited.headers()
    assert limited.refused(tokens=60) is not None
    assert limited.headers() == before
    assert limited.refused(tokens=40) is None


def test_what_would_never_fit_is_not_told_to_come_back() -> None:
    limited, _ = buckets(requests=1, tokens=100)
    assert limited.refused(tokens=1) is None
    too_large = limited.refused(tokens=101)
    assert too_large is not None
    assert too_large.retry_after_s is None
    reply = too_large.reply("simulated")
    assert "retry-after" not in (reply.headers or {})
    assert reply.said["error"]["message"].startswith("Request too large for simulated on tokens")


def test_the_headers_say_where_the_buckets_stand() -> None:
    limited, clock = buckets(requests=600, tokens=6000)
    assert limited.refused(tokens=3000) is None
    assert limited.headers() == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "3000",
        "x-ratelimit-reset-tokens": "30s",
    }
    clock.at = 20
    said = limited.headers()
    assert said["x-ratelimit-remaining-tokens"] == "5000"
    assert said["x-ratelimit-reset-requests"] == "0s"
    only_tokens, _ = buckets(tokens=10)
    assert not any("requests" in name for name in only_tokens.headers())


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9991, "1m0s"),
        (60, "1m0s"),
        (90.25, "1m30.25s"),
        (360, "6m0s"),
    ],
)
def test_times_are_told_as_openai_tells_them(seconds: float, told: str) -> None:
    assert span(seconds) == told


ARRIVALS = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 60)), min_size=1, max_size=60)


@given(ARRIVALS, st.integers(1, 10), st.integers(60, 200))
def test_whoever_waits_as_told_is_let_through(
    arrivals: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    limited, clock = buckets(requests=requests, tokens=tokens)
    for pause, wanted in arrivals:
        clock.at += pause
        too_soon = limited.refused(tokens=wanted)
        if too_soon is not None:
            stated = float((too_soon.reply("simulated").headers or {})["retry-after"])
            clock.at += stated
            assert limited.refused(tokens=wanted) is None


@given(ARRIVALS, st.integers(1, 10), st.integers(60, 200))
def test_a_client_within_the_limits_in_every_minute_is_never_refused_and_nobody_gets_more_than_twice_that(
    arrivals: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    limited, clock = buckets(requests=requests, tokens=tokens)
    passed: list[tuple[float, int]] = []
    for pause, wanted in arrivals:
        clock.at += pause
        recent = [used for at, used in passed if at > clock.at - 60]
        fits = len(recent) < requests and sum(recent) + wanted <= tokens
        outcome: TooSoon | None = limited.refused(tokens=wanted)
        assert outcome is None or not fits
        if outcome is None:
            passed.append((clock.at, wanted))
            assert len(recent) + 1 <= 2 * requests
            assert sum(recent) + wanted <= 2 * tokens
