"""Tests of rate limits: properties on a virtual clock, limits from headers, and requests over a socket."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted_server import HANG, Script, chat, reply, scripted
from virtual_clock import VirtualClock, run_at_once

from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import TransientError
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.rate_limit_headers import MINUTE_S, StatedLimit, stated_limit
from selfinstruct.llm.rate_limits import Admission, RateLimiter
from selfinstruct.llm.retry import MAX_RETRY_AFTER_S
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling

ROUNDING_S = 1e-6


def now() -> float:
    return asyncio.get_running_loop().time()


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────

Ends = Literal["answered", "not billed", "too much", "timed out"]
ENDS: tuple[Ends, ...] = ("answered", "answered", "answered", "not billed", "too much", "timed out")


@dataclass(frozen=True)
class Attempt:
    """An attempt: when it arrives, how long it lasts, how many tokens it takes, and how it ends."""

    arrives: float
    lasts: float
    at_most: int
    takes: int
    ends: Ends = "answered"
    wait_s: float | None = None
    """Wait in seconds that the endpoint asks for after an overload."""
    patience_s: float | None = None
    """Seconds until the attempt is cancelled, or None if it never is."""


@dataclass
class Observed:
    """What was observed of a limiter."""

    arrived: list[int]
    """Numbers of the attempts, in the order in which they arrived."""
    admitted: list[tuple[float, int]]
    """Time of each admission, and the number of the admitted attempt."""
    took: dict[int, int]
    """Number of tokens that each attempt took; for a cancelled attempt, its maximum."""
    held: list[tuple[float, float]]
    """Start and end time of each pause."""


class Watched(RateLimiter):
    """A limiter that checks, at each admission, that the concurrency is not exceeded."""

    def _begin(self, tokens: int, now: float) -> Admission:
        admission = super()._begin(tokens, now)
        assert self.in_flight <= self.concurrency
        return admission


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    at_most = draw(st.integers(0, 50))
    ends: Ends = draw(st.sampled_from(ENDS))
    return Attempt(
        arrives=draw(st.integers(0, 40)) / 4,
        lasts=draw(st.integers(0, 400)) / 4,
        at_most=at_most,
        takes=0 if ends == "not billed" else draw(st.integers(0, at_most)),
        ends=ends,
        wait_s=draw(st.none() | st.integers(0, 20)) if ends == "too much" else None,
        patience_s=draw(st.none() | st.none() | st.integers(0, 100)),
    )


async def passed(limiter: RateLimiter, plan: Sequence[Attempt]) -> Observed:
    """Run all attempts, and check that none is in flight afterwards."""
    observed = Observed([], [], {}, [])

    async def attempt(number: int, what: Attempt) -> None:
        await asyncio.sleep(what.arrives)
        observed.arrived.append(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(what.patience_s):
                async with limiter.admit(what.at_most) as admission:
                    observed.admitted.append((now(), number))
                    observed.took[number] = what.at_most
                    await asyncio.sleep(what.lasts)
                    if what.ends == "too much":
                        observed.held.append((now(), now() + (what.wait_s or 0)))
                        limiter.slow_down(admission, what.wait_s)
                    elif what.ends == "timed out":
                        limiter.timed_out(admission)
                    else:
                        limiter.answered(admission)
                    limiter.settle(admission, what.takes)
                    observed.took[number] = what.takes

    async with asyncio.TaskGroup() as group:
        for number, what in enumerate(plan):
            group.create_task(attempt(number, what))
    assert limiter.in_flight == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return observed


def windows(taken: Sequence[tuple[float, int]]) -> list[list[int]]:
    """Return the amounts taken in each minute that begins with an admission."""
    return [
        [amount for at, amount in taken[place:] if at < begins + MINUTE_S]
        for place, (begins, _) in enumerate(taken)
    ]


PLANS = st.lists(attempts(), min_size=1, max_size=30)
BURST = [Attempt(0, 1, 10, 10)] * 20
LIMITS = st.none() | st.integers(1, 12)


@given(PLANS, st.integers(1, 6), LIMITS, st.none() | st.integers(1, 150))
@example(BURST, 6, 7, None)
@example(BURST, 6, None, 45)
@example([Attempt(0, 1, 50, 50)] * 5, 6, None, 20)
@example([Attempt(0, 70, 10, 0), Attempt(0, 70, 10, 10), Attempt(0, 1, 10, 10)], 6, None, 10)
@settings(max_examples=150)
def test_no_minute_exceeds_the_rates(
    plan: list[Attempt], slots: int, requests: int | None, tokens: int | None
) -> None:
    async def main() -> Observed:
        limiter = Watched(
            slots=slots,
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            stop=asyncio.Event(),
        )
        return await passed(limiter, plan)

    observed = run_at_once(main())
    # Every attempt that was not cancelled was admitted, in the order in which the attempts arrived.
    numbers = [number for _, number in observed.admitted]
    assert {n for n, what in enumerate(plan) if what.patience_s is None} <= set(numbers)
    assert numbers == [number for number in observed.arrived if number in numbers]
    took = [(at, observed.took[number]) for at, number in observed.admitted]
    if requests is not None:
        assert max(map(len, windows(took)), default=0) <= requests
    if tokens is not None:
        for window in windows(took):
            # An attempt that exceeds the limit is the only one in its window.
            assert sum(window) <= tokens or len([amount for amount in window if amount]) == 1
    for begins, ends in observed.held:
        assert not [
            at for at, _ in observed.admitted if begins + ROUNDING_S < at < ends - ROUNDING_S
        ]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
@settings(max_examples=50)
def test_a_cancelled_attempt_takes_no_admission(gaps: list[int], data: st.DataObject) -> None:
    """Check attempts that are cancelled at any step, including between their admission and its use."""

    async def main() -> None:
        limiter = RateLimiter(slots=2, requests_per_minute=6)
        times: list[float] = []

        async def attempt() -> None:
            async with limiter.admit():
                times.append(now())
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(attempt()) for _ in gaps]
        cancelled = 0
        for task, gap in zip(tasks, gaps, strict=True):
            for _ in range(gap):
                await asyncio.sleep(0)
            if data.draw(st.booleans()):
                cancelled += task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.in_flight == 0
        assert len(gaps) - cancelled <= len(times) <= len(gaps)
        for window in windows([(at, 1) for at in times]):
            assert len(window) <= 6
        # Cancelled attempts do not count, so the rest of the limit is available.
        left = 6 - sum(at > now() - MINUTE_S for at in times)
        began = now()
        await asyncio.gather(*[attempt() for _ in range(left)])
        assert now() < began + MINUTE_S

    run_at_once(main())


def test_an_unused_admission_goes_to_the_next() -> None:
    async def main() -> float:
        limiter = RateLimiter(slots=1, requests_per_minute=1)

        async def attempt() -> None:
            async with limiter.admit():
                pass

        await limiter.acquire()
        second = asyncio.ensure_future(attempt())
        await asyncio.sleep(61)
        limiter.release()  # This admits the second attempt, which is then cancelled.
        second.cancel()
        began = now()
        await attempt()
        return now() - began

    assert run_at_once(main()) == pytest.approx(0, abs=ROUNDING_S)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
def test_a_limit_is_used_fully_and_evenly(per_minute: int) -> None:
    async def main() -> list[float]:
        limiter = RateLimiter(slots=64, requests_per_minute=per_minute)
        observed = await passed(limiter, [Attempt(0, 2, 0, 0)] * 2 * per_minute)
        return [at for at, _ in observed.admitted]

    times = run_at_once(main())
    assert times[-1] == pytest.approx(2 * MINUTE_S - MINUTE_S / per_minute, abs=6)
    share = per_minute * 10 / MINUTE_S
    for begins in range(0, 120, 5):
        in_ten_seconds = sum(begins <= at < begins + 10 for at in times)
        assert in_ten_seconds <= 1.5 * share + 2


def test_overestimates_cost_little_of_a_token_limit() -> None:
    """Check attempts that may use 4,300 tokens but report only 1,500, which is typical of English text."""

    async def main() -> float:
        limiter = RateLimiter(slots=64, tokens_per_minute=200_000)
        await passed(limiter, [Attempt(0, 5, 4300, 1500)] * 1000)
        return now()

    assert run_at_once(main()) <= 1.25 * 1000 * 1500 / 200_000 * MINUTE_S


def test_an_oversized_attempt_passes_alone() -> None:
    async def main() -> list[float]:
        limiter = RateLimiter(slots=8, tokens_per_minute=20)
        nothing = [Attempt(0, 1, 15, 0, "not billed")]
        observed = await passed(limiter, nothing + [Attempt(3, 1, 50, 50)] * 3 + nothing)
        return [at for at, _ in observed.admitted]

    assert run_at_once(main()) == pytest.approx([0, 1, 3, 63, 123], abs=ROUNDING_S)


def test_waiting_attempts_do_not_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers = 0
    call_at = VirtualClock.call_at

    def counted(*args: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*args, **options)

    async def main() -> int:
        limiter = RateLimiter(slots=500, requests_per_minute=6)

        async def attempt() -> None:
            async with limiter.admit():
                pass

        monkeypatch.setattr(VirtualClock, "call_at", counted)
        await asyncio.gather(*[attempt() for _ in range(100)])
        return timers

    assert run_at_once(main()) <= 100


def test_stopping_refuses_waiting_attempts() -> None:
    async def main() -> list[object]:
        stop = asyncio.Event()
        limiter = RateLimiter(slots=4, requests_per_minute=2, stop=stop)

        async def attempt() -> float:
            async with limiter.admit():
                await asyncio.sleep(60)
            return now()

        tasks = [asyncio.ensure_future(attempt()) for _ in range(8)]
        await asyncio.sleep(50)
        stop.set()
        ends = await asyncio.gather(*tasks, attempt(), return_exceptions=True)
        assert limiter.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return list(ends)

    ends = run_at_once(main())
    assert [isinstance(end, float) for end in ends] == [True] * 2 + [False] * 7
    for end in ends[2:]:
        assert isinstance(end, TransientError)
        assert "the run was stopped while waiting" in str(end)


# ── concurrency ──────────────────────────────────────────────────────────────────────────────────────────


def test_concurrency_halves_once_and_recovers_step_by_step() -> None:
    async def main() -> list[int]:
        limiter = RateLimiter(slots=8)
        allowed = []
        together = [await limiter.acquire() for _ in range(8)]
        for admission in together:
            limiter.slow_down(admission)
            limiter.release()
        allowed.append(limiter.concurrency)
        for _ in range(4 + 5 + 6 + 7 + 20):
            async with limiter.admit() as admission:
                limiter.answered(admission)
            allowed.append(limiter.concurrency)
        return allowed

    assert run_at_once(main()) == [4] * 4 + [5] * 5 + [6] * 6 + [7] * 7 + [8] * 21


def test_concurrency_stays_above_zero() -> None:
    async def main() -> int:
        limiter = RateLimiter(slots=5)
        for _ in range(6):
            async with limiter.admit() as admission:
                limiter.slow_down(admission)
        return limiter.concurrency

    assert run_at_once(main()) == 1


def test_earlier_attempts_do_not_raise_concurrency() -> None:
    async def main() -> int:
        limiter = RateLimiter(slots=8)
        async with limiter.admit() as old, limiter.admit() as other:
            limiter.slow_down(old)
            for _ in range(20):
                limiter.answered(other)
        return limiter.concurrency

    assert run_at_once(main()) == 4


@pytest.mark.parametrize(("ends", "allowed"), [("ttaat", 4), ("tatat", 8), ("aaat", 8)])
def test_two_timeouts_in_a_row_halve_concurrency(ends: str, allowed: int) -> None:
    async def main() -> int:
        limiter = RateLimiter(slots=8)
        for end in ends:
            async with limiter.admit() as admission:
                (limiter.timed_out if end == "t" else limiter.answered)(admission)
        return limiter.concurrency

    assert run_at_once(main()) == allowed


@pytest.mark.parametrize(
    ("waits", "expected"),
    [((7,), 7), ((30, 5), 30), ((5, 30), 30), ((10**6,), MAX_RETRY_AFTER_S)],
)
def test_the_longest_stated_wait_wins(waits: tuple[float, ...], expected: float) -> None:
    async def main() -> float:
        limiter = RateLimiter(slots=8)
        admission = await limiter.acquire()
        for wait_s in waits:
            limiter.slow_down(admission, wait_s)
        async with limiter.admit():
            return now()

    assert run_at_once(main()) == pytest.approx(expected, abs=ROUNDING_S)


# ── headers ─────────────────────────────────────────────────────────────────────────────────────────────


def headers(
    limit: object = None, remaining: object = None, reset: object = None, unit: str = "requests"
) -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{n}-{unit}": str(v) for n, v in named.items() if v is not None}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        # 1 of 5,000 requests refills in 12 ms, so the limit is per minute.
        (headers(5000, 4999, "12ms"), StatedLimit(5000, True)),
        (headers(60, 59, "1s"), StatedLimit(60, True)),
        (headers(160_000, 159_976, "9ms"), StatedLimit(160_000, True)),
        # 30 of 14,400 requests refill in three minutes, so the limit is per day.
        (headers(14_400, 14_370, "2m59.56s"), StatedLimit(14_400, False)),
        (headers(200, 199, "7m12s"), StatedLimit(200, False)),
        (headers(1000, 400, "17h3m"), StatedLimit(1000, False)),
        # The window is a fixed minute.
        (headers(100, 40, "31"), StatedLimit(100, True)),
        # The period is unknown.
        (headers(100, 100, "0s"), StatedLimit(100, None)),
        (headers(100), StatedLimit(100, None)),
        (headers(150_000_000, 149_999_990, "0s"), StatedLimit(150_000_000, None)),
        # Nothing is left.
        (headers(60, 0, "60s"), StatedLimit(60, True, 1.0)),
        (headers(60, 0, "20s"), StatedLimit(60, True, 20.0)),
        (headers(remaining=0, reset=55), StatedLimit(None, None, 55.0)),
        # There is no limit, or the headers are malformed.
        (headers(-1, -1, 0), None),
        (headers(0, 0, 0), StatedLimit(None, None)),
        (headers("many"), None),
        (headers(remaining="-0", reset="soon"), None),
        (headers(100, 0, "1767225600"), StatedLimit(100, None)),
        (headers(100, 0, "5s or so"), StatedLimit(100, None)),
        ({}, None),
    ],
)
def test_limits_are_read_from_headers(stated: dict[str, str], expected: StatedLimit | None) -> None:
    assert stated_limit(stated, "requests") == expected


JUNK = st.dictionaries(
    st.sampled_from([*headers(1, 1, 1), *headers(1, 1, 1, "tokens")]),
    st.text(max_size=12)
    | st.integers(-2, 10**18).map(str)
    | st.floats().map(str)
    | st.from_regex(r"\A(\d{1,12}(\.\d)?(ns|us|µs|ms|s|m|h|d)){1,4}\Z"),
)


@given(st.lists(JUNK, max_size=5))
@example([headers("0\x1f", "1\u00a0", "\u0661s")])
@settings(max_examples=200)
def test_no_headers_raise_or_block(replies: list[dict[str, str]]) -> None:
    async def main() -> float:
        limiter = RateLimiter(slots=4)
        for stated in replies:
            async with limiter.admit(1000) as admission:
                limiter.learn(stated)
                limiter.settle(admission, 500)
        async with limiter.admit(1000):
            pass
        return now()

    assert run_at_once(main()) <= len(replies) * (MAX_RETRY_AFTER_S + MINUTE_S) + 1


def test_only_unknown_limits_are_learned() -> None:
    async def main() -> list[tuple[int | None, int | None]]:
        learning = RateLimiter(slots=4)
        given = RateLimiter(slots=4, requests_per_minute=7, tokens_per_minute=70)
        known = []
        for stated in (
            headers(60, 59, "1s") | headers(9000, 8990, "66ms", unit="tokens"),
            headers(30, 29, "2s"),
            headers(30, 30, "0s"),
            headers(1000, 999, "86.4s"),  # per day
            headers(1000, 1000, "0s"),
            headers(50, 49, "1.2s"),
        ):
            for limiter in (learning, given):
                limiter.learn(stated)
            known.append((learning.requests.per_minute, learning.tokens.per_minute))
            assert (given.requests.per_minute, given.tokens.per_minute) == (7, 70)
        return known

    assert run_at_once(main()) == [
        (60, 9000), (30, 9000), (30, 9000), (None, 9000), (None, 9000), (50, 9000),
    ]  # fmt: skip


def test_an_exhausted_limit_pauses_everything() -> None:
    async def main() -> float:
        limiter = RateLimiter(slots=4)
        async with limiter.admit():
            limiter.learn(headers(60, 0, "20s"))
        async with limiter.admit():
            return now()

    assert run_at_once(main()) == pytest.approx(20, abs=ROUNDING_S)


def test_impossible_token_counts_cost_a_minute() -> None:
    async def main() -> float:
        limiter = RateLimiter(slots=4, tokens_per_minute=100)
        async with limiter.admit(10) as admission:
            limiter.settle(admission, 10**18)
        async with limiter.admit(10):
            return now()

    assert run_at_once(main()) == pytest.approx(MINUTE_S, abs=ROUNDING_S)


# ── over a socket ────────────────────────────────────────────────────────────────────────────────────────

REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", max_tokens=64),
)
CONFIG = RunConfig(model="m", max_concurrency=8)
GOOD = reply(body=chat())


class Timed(Sequence[bytes]):
    """Replies that also record the time of each request."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = replies
        self.times: list[float] = []

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, place: Any) -> Any:
        self.times.append(now())
        return self._replies[min(place, len(self._replies) - 1)]


def complete(
    *replies: bytes,
    requests: int,
    config: RunConfig = CONFIG,
    apart_s: float = 0.0,
) -> tuple[list[Any], list[float], RateLimiter]:
    """Send requests `apart_s` seconds apart. Return the results, the requests' times and the limiter."""

    async def asked() -> tuple[list[Any], list[float], RateLimiter]:
        async with scripted() as script:
            timed = Timed(*replies)
            script.replies = timed
            config_there = replace(config, base_url=script.url)
            backend = open_backend(config_there, environ={})

            async def ask(number: int) -> Completion:
                await asyncio.sleep(number * apart_s)
                return await backend.complete(replace(REQUEST, id=f"generate/{number:06}"))

            async with backend:
                asking = [ask(number) for number in range(requests)]
                results = await asyncio.gather(*asking, return_exceptions=True)
            return list(results), timed.times, backend.client.limiter

    return run_at_once(asked())


LIMITED = reply(429, {"error": {"message": "slow down"}}, headers={"retry-after-ms": "700"})


def test_one_429_pauses_all_requests() -> None:
    results, times, limiter = complete(LIMITED, GOOD, requests=5, apart_s=0.1)
    assert all(isinstance(result, Completion) for result in results)
    assert len(times) == 6
    assert times[1] - times[0] >= 0.7
    assert limiter.in_flight == 0


@pytest.mark.parametrize(("status", "allowed"), [(429, 4), (503, 4), (529, 4), (500, 8), (400, 8)])
def test_an_overloaded_endpoint_gets_half_the_requests(status: int, allowed: int) -> None:
    refused = reply(status, {"error": {"message": "x"}})
    _, _, limiter = complete(refused, GOOD, requests=1)
    assert limiter.concurrency == allowed


def test_timeouts_in_a_row_halve_concurrency() -> None:
    config = replace(CONFIG, max_attempts=1)
    _, times, limiter = complete(HANG, requests=2, config=config)
    assert (len(times), limiter.concurrency) == (2, 4)


def test_a_refused_connection_keeps_the_concurrency() -> None:
    async def asked() -> int:
        config = replace(CONFIG, base_url="http://127.0.0.1:9/v1", max_attempts=1)
        async with open_backend(config, environ={}) as backend:
            for _ in range(4):
                with pytest.raises(TransientError):
                    await backend.complete(REQUEST)
            return backend.client.limiter.concurrency

    assert run_at_once(asked()) == 8


def test_limits_are_learned_from_any_reply() -> None:
    both = headers(600, 599, "100ms") | headers(90_000, 89_000, "666ms", unit="tokens")
    for status in (200, 400, 500):
        learned = reply(status, chat(), headers=both)
        _, _, limiter = complete(learned, requests=1, config=replace(CONFIG, max_attempts=1))
        assert (limiter.requests.per_minute, limiter.tokens.per_minute) == (600, 90_000)


@pytest.mark.parametrize(
    ("given", "headers_", "sent"),
    [
        # The first five seconds' share is sent at once, then one request each second.
        (None, headers(60, 59, "1s"), range(6, 8)),
        (60, {}, range(6, 8)),
        (60, headers(10**6, 10**6 - 1, "1ms"), range(6, 8)),
        (None, {}, range(21, 22)),
    ],
    ids=["learned", "given", "both", "neither"],
)
def test_a_limit_applies_to_sent_requests(
    given: int | None, headers_: dict[str, str], sent: range
) -> None:
    config = replace(CONFIG, max_requests_per_minute=given)

    async def asked() -> Script:
        async with scripted(reply(body=chat(), headers=headers_)) as script:
            async with open_backend(replace(config, base_url=script.url), environ={}) as backend:
                await backend.complete(REQUEST)
                asking = [asyncio.ensure_future(backend.complete(REQUEST)) for _ in range(20)]
                await asyncio.sleep(0.5)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            return script

    assert len(run_at_once(asked()).asked) in sent


def test_tokens_count_as_the_maximum_until_settled() -> None:
    """Check that requests are sent one by one, instead of one a minute.

    Each attempt may use 345 of the 400 tokens a minute, but its reply uses only 12.
    """
    config = replace(CONFIG, max_tokens_per_minute=400)

    async def asked() -> list[int]:
        in_flight = []
        async with (
            scripted(GOOD) as script,
            open_backend(replace(config, base_url=script.url), environ={}) as backend,
        ):
            asking = [asyncio.ensure_future(backend.complete(REQUEST)) for _ in range(3)]
            while not all(task.done() for task in asking):
                in_flight.append(backend.client.limiter.in_flight)
                await asyncio.sleep(0)
        return in_flight

    assert max(run_at_once(asked())) == 1
