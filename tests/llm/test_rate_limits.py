"""Rate limits: the laws on a virtual clock, what is learned from headers, and all of it over a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
from selfinstruct.llm.online import OnlineBackend
from selfinstruct.llm.rate_limit_headers import Stated, stated
from selfinstruct.llm.rate_limits import Gate, Passage
from selfinstruct.llm.rate_windows import MINUTE_S
from selfinstruct.llm.retry import LONGEST_RETRY_AFTER_S
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling

ROUNDING_S = 1e-6


def now() -> float:
    return asyncio.get_running_loop().time()


# ── the laws ─────────────────────────────────────────────────────────────────────────────────────────────

Ends = Literal["answered", "not billed", "too much", "timed out"]
ENDS: tuple[Ends, ...] = ("answered", "answered", "answered", "not billed", "too much", "timed out")


@dataclass(frozen=True)
class Attempt:
    """What one attempt does."""

    arrives: float
    lasts: float
    at_most: int
    takes: int
    ends: Ends = "answered"
    wait_s: float | None = None
    """What it is told, where it was too much."""
    patience_s: float | None = None
    """It is cancelled after so long, wherever it is."""


@dataclass
class Seen:
    """What an outsider sees of a gate."""

    arrived: list[int]
    """Which of the attempts, in the order in which they came."""
    admitted: list[tuple[float, int]]
    """When, and which."""
    took: dict[int, int]
    """Tokens that each took: at most, where it was cancelled."""
    held: list[tuple[float, float]]
    """From when until when nobody was to be sent."""


class Watched(Gate):
    """Never lets in more than it may."""

    def _begin(self, passage: Passage, now: float) -> None:
        super()._begin(passage, now)
        assert self.in_flight <= self.allowance


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


async def passed(gate: Gate, plan: Sequence[Attempt]) -> Seen:
    """Let all attempts pass, and see that nothing of them is left."""
    seen = Seen([], [], {}, [])

    async def attempt(number: int, what: Attempt) -> None:
        await asyncio.sleep(what.arrives)
        seen.arrived.append(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(what.patience_s):
                async with gate.admitted(what.at_most) as passage:
                    seen.admitted.append((now(), number))
                    seen.took[number] = what.at_most
                    await asyncio.sleep(what.lasts)
                    if what.ends == "too much":
                        seen.held.append((now(), now() + (what.wait_s or 0)))
                        gate.slow_down(passage, what.wait_s)
                    elif what.ends == "timed out":
                        gate.timed_out(passage)
                    else:
                        gate.answered(passage)
                    gate.settle(passage, what.takes)
                    seen.took[number] = what.takes

    async with asyncio.TaskGroup() as group:
        for number, what in enumerate(plan):
            group.create_task(attempt(number, what))
    assert gate.in_flight == 0
    gate.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return seen


def windows(taken: Sequence[tuple[float, int]]) -> list[list[int]]:
    """What was taken in each minute that begins with something."""
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
def test_no_minute_ever_holds_more_than_the_rates_and_nobody_starves(
    plan: list[Attempt], slots: int, requests: int | None, tokens: int | None
) -> None:
    async def main() -> Seen:
        gate = Watched(
            slots=slots,
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            stop=asyncio.Event(),
        )
        return await passed(gate, plan)

    seen = run_at_once(main())
    # Every one that had the patience passed, in the order in which they came.
    numbers = [number for _, number in seen.admitted]
    assert {n for n, what in enumerate(plan) if what.patience_s is None} <= set(numbers)
    assert numbers == [number for number in seen.arrived if number in numbers]
    took = [(at, seen.took[number]) for at, number in seen.admitted]
    if requests is not None:
        assert max(map(len, windows(took)), default=0) <= requests
    if tokens is not None:
        for window in windows(took):
            # What is larger than the whole limit passes alone.
            assert sum(window) <= tokens or len([amount for amount in window if amount]) == 1
    for begins, ends in seen.held:
        assert not [at for at, _ in seen.admitted if begins + ROUNDING_S < at < ends - ROUNDING_S]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
@settings(max_examples=50)
def test_whoever_is_cancelled_takes_no_admission_along(
    gaps: list[int], data: st.DataObject
) -> None:
    """Cancelled at any step of the loop, also between being let in and going through."""

    async def main() -> None:
        gate = Gate(slots=2, requests_per_minute=6)
        times: list[float] = []

        async def attempt() -> None:
            async with gate.admitted():
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
        assert gate.in_flight == 0
        assert len(gaps) - cancelled <= len(times) <= len(gaps)
        for window in windows([(at, 1) for at in times]):
            assert len(window) <= 6
        # The window holds those that went through, and no others.
        left = 6 - sum(at > now() - MINUTE_S for at in times)
        began = now()
        await asyncio.gather(*[attempt() for _ in range(left)])
        assert now() < began + MINUTE_S

    run_at_once(main())


def test_an_admission_that_nobody_came_for_goes_to_the_next_one() -> None:
    async def main() -> float:
        gate = Gate(slots=1, requests_per_minute=1)

        async def attempt() -> None:
            async with gate.admitted():
                pass

        first = gate.admitted()
        await first.__aenter__()
        second = asyncio.ensure_future(attempt())
        await asyncio.sleep(61)
        gate.leave()  # lets the second one in, which is cancelled before it knows
        assert gate.in_flight == 1
        second.cancel()
        began = now()
        await attempt()
        return now() - began

    assert run_at_once(main()) == pytest.approx(0, abs=ROUNDING_S)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
def test_a_limit_is_used_to_the_full_and_evenly(per_minute: int) -> None:
    async def main() -> list[float]:
        gate = Gate(slots=64, requests_per_minute=per_minute)
        seen = await passed(gate, [Attempt(0, 2, 0, 0)] * 2 * per_minute)
        return [at for at, _ in seen.admitted]

    times = run_at_once(main())
    assert times[-1] == pytest.approx(2 * MINUTE_S - MINUTE_S / per_minute, abs=6)
    share = per_minute * 10 / MINUTE_S
    for begins in range(0, 120, 5):
        in_ten_seconds = sum(begins <= at < begins + 10 for at in times)
        assert in_ten_seconds <= 1.5 * share + 2


def test_a_loose_bound_costs_little_of_a_token_limit() -> None:
    """Attempts that may take 4,300 tokens and take 1,500 a few seconds later, as English does."""

    async def main() -> float:
        gate = Gate(slots=64, tokens_per_minute=200_000)
        await passed(gate, [Attempt(0, 5, 4300, 1500)] * 1000)
        return now()

    assert run_at_once(main()) <= 1.25 * 1000 * 1500 / 200_000 * MINUTE_S


def test_what_is_larger_than_the_limit_passes_alone_once_a_minute() -> None:
    async def main() -> list[float]:
        gate = Gate(slots=8, tokens_per_minute=20)
        nothing = [Attempt(0, 1, 15, 0, "not billed")]
        seen = await passed(gate, nothing + [Attempt(3, 1, 50, 50)] * 3 + nothing)
        return [at for at, _ in seen.admitted]

    assert run_at_once(main()) == pytest.approx([0, 1, 3, 63, 123], abs=ROUNDING_S)


def test_waiters_sleep_until_their_time_and_nobody_asks_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers = 0
    call_at = VirtualClock.call_at

    def counted(*args: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*args, **options)

    async def main() -> int:
        gate = Gate(slots=500, requests_per_minute=6)

        async def attempt() -> None:
            async with gate.admitted():
                pass

        monkeypatch.setattr(VirtualClock, "call_at", counted)
        await asyncio.gather(*[attempt() for _ in range(100)])
        return timers

    assert run_at_once(main()) <= 100


def test_stopping_sends_everybody_away_who_waits() -> None:
    async def main() -> list[object]:
        stop = asyncio.Event()
        gate = Gate(slots=4, requests_per_minute=2, stop=stop)

        async def attempt() -> float:
            async with gate.admitted():
                await asyncio.sleep(60)
            return now()

        tasks = [asyncio.ensure_future(attempt()) for _ in range(8)]
        await asyncio.sleep(50)
        stop.set()
        ends = await asyncio.gather(*tasks, attempt(), return_exceptions=True)
        assert gate.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return list(ends)

    ends = run_at_once(main())
    assert [isinstance(end, float) for end in ends] == [True] * 2 + [False] * 7
    for end in ends[2:]:
        assert isinstance(end, TransientError)
        assert "the run was stopped while waiting" in str(end)


# ── how many at a time ───────────────────────────────────────────────────────────────────────────────────


def test_the_allowance_falls_once_for_all_that_were_in_flight_and_climbs_back_one_by_one() -> None:
    async def main() -> list[int]:
        gate = Gate(slots=8)
        allowed = []
        together = [gate.admitted() for _ in range(8)]
        for passage in together:
            await passage.__aenter__()
        for passage in together:
            gate.slow_down(passage)
            gate.leave()
        allowed.append(gate.allowance)
        for _ in range(4 + 5 + 6 + 7 + 20):
            async with gate.admitted() as passage:
                gate.answered(passage)
            allowed.append(gate.allowance)
        return allowed

    assert run_at_once(main()) == [4] * 4 + [5] * 5 + [6] * 6 + [7] * 7 + [8] * 21


def test_the_allowance_never_falls_below_one() -> None:
    async def main() -> int:
        gate = Gate(slots=5)
        for _ in range(6):
            async with gate.admitted() as passage:
                gate.slow_down(passage)
        return gate.allowance

    assert run_at_once(main()) == 1


def test_what_was_sent_before_a_fall_does_not_climb_back() -> None:
    async def main() -> int:
        gate = Gate(slots=8)
        old, other = gate.admitted(), gate.admitted()
        async with old, other:
            gate.slow_down(old)
            for _ in range(20):
                gate.answered(other)
        return gate.allowance

    assert run_at_once(main()) == 4


@pytest.mark.parametrize(("ends", "allowed"), [("ttaat", 4), ("tatat", 8), ("aaat", 8)])
def test_several_that_time_out_are_too_many_at_once_and_one_alone_is_not(
    ends: str, allowed: int
) -> None:
    async def main() -> int:
        gate = Gate(slots=8)
        for end in ends:
            async with gate.admitted() as passage:
                (gate.timed_out if end == "t" else gate.answered)(passage)
        return gate.allowance

    assert run_at_once(main()) == allowed


@pytest.mark.parametrize(
    ("waits", "expected"),
    [((7,), 7), ((30, 5), 30), ((5, 30), 30), ((10**6,), LONGEST_RETRY_AFTER_S)],
)
def test_the_longest_wait_that_was_stated_holds_for_everybody(
    waits: tuple[float, ...], expected: float
) -> None:
    async def main() -> float:
        gate = Gate(slots=8)
        for wait_s in waits:
            passage = gate.admitted()
            if not gate.in_flight:
                await passage.__aenter__()
            gate.slow_down(passage, wait_s)
        async with gate.admitted():
            return now()

    assert run_at_once(main()) == pytest.approx(expected, abs=ROUNDING_S)


# ── what is learned ──────────────────────────────────────────────────────────────────────────────────────


def headers(
    limit: object = None, remaining: object = None, reset: object = None, unit: str = "requests"
) -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{n}-{unit}": str(v) for n, v in named.items() if v is not None}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # One of 5,000 is back in 12 ms: it is a minute's.
        (headers(5000, 4999, "12ms"), Stated(5000, True)),
        (headers(60, 59, "1s"), Stated(60, True)),
        (headers(160_000, 159_976, "9ms"), Stated(160_000, True)),
        # 30 of 14,400 are back in three minutes: it is a day's.
        (headers(14_400, 14_370, "2m59.56s"), Stated(14_400, False)),
        (headers(200, 199, "7m12s"), Stated(200, False)),
        (headers(1000, 400, "17h3m"), Stated(1000, False)),
        # A minute that begins anew for all at once.
        (headers(100, 40, "31"), Stated(100, True)),
        # Nothing can be told.
        (headers(100, 100, "0s"), Stated(100, None)),
        (headers(100), Stated(100, None)),
        (headers(150_000_000, 149_999_990, "0s"), Stated(150_000_000, None)),
        # Nothing is left.
        (headers(60, 0, "60s"), Stated(60, True, 1.0)),
        (headers(60, 0, "20s"), Stated(60, True, 20.0)),
        (headers(remaining=0, reset=55), Stated(None, None, 55.0)),
        # No limit, or nonsense.
        (headers(-1, -1, 0), None),
        (headers(0, 0, 0), Stated(None, None)),
        (headers("many"), None),
        (headers(remaining="-0", reset="soon"), None),
        (headers(100, 0, "1767225600"), Stated(100, None)),
        (headers(100, 0, "5s or so"), Stated(100, None)),
        ({}, None),
    ],
)
def test_what_headers_state(said: dict[str, str], expected: Stated | None) -> None:
    assert stated(said, "requests") == expected


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
def test_no_headers_raise_or_stop_anything(replies: list[dict[str, str]]) -> None:
    async def main() -> float:
        gate = Gate(slots=4)
        for said in replies:
            async with gate.admitted(1000) as passage:
                gate.learn(said)
                gate.settle(passage, 500)
        async with gate.admitted(1000):
            pass
        gate.close()
        return now()

    assert run_at_once(main()) <= len(replies) * (LONGEST_RETRY_AFTER_S + MINUTE_S) + 1


def test_a_limit_is_learned_anew_and_a_given_one_stays() -> None:
    async def main() -> list[tuple[int | None, int | None]]:
        learning = Gate(slots=4)
        given = Gate(slots=4, requests_per_minute=7, tokens_per_minute=70)
        known = []
        for said in (
            headers(60, 59, "1s") | headers(9000, 8990, "66ms", unit="tokens"),
            headers(30, 29, "2s"),
            headers(30, 30, "0s"),
            headers(1000, 999, "86.4s"),  # of a day: the endpoint says when it is used up
            headers(1000, 1000, "0s"),
            headers(50, 49, "1.2s"),
        ):
            for gate in (learning, given):
                gate.learn(said)
            known.append((learning.requests_per_minute, learning.tokens_per_minute))
            assert (given.requests_per_minute, given.tokens_per_minute) == (7, 70)
        return known

    assert run_at_once(main()) == [
        (60, 9000), (30, 9000), (30, 9000), (None, 9000), (None, 9000), (50, 9000),
    ]  # fmt: skip


def test_where_nothing_is_left_nobody_is_sent_before_there_is() -> None:
    async def main() -> float:
        gate = Gate(slots=4)
        async with gate.admitted():
            gate.learn(headers(60, 0, "20s"))
        async with gate.admitted():
            return now()

    assert run_at_once(main()) == pytest.approx(20, abs=ROUNDING_S)


def test_nonsense_about_tokens_costs_no_more_than_a_minute() -> None:
    async def main() -> float:
        gate = Gate(slots=4, tokens_per_minute=100)
        async with gate.admitted(10) as passage:
            gate.settle(passage, 10**18)
        async with gate.admitted(10):
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
    """Replies, and when each was asked for."""

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
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> tuple[list[Any], list[float], Gate]:
    """Ask so many times at once, or each a little later; gives the results, and when the server was asked."""

    async def asked() -> tuple[list[Any], list[float], Gate]:
        async with scripted() as script:
            timed = Timed(*replies)
            script.replies = timed
            config_there = replace(config, base_url=script.url)
            backend = OnlineBackend(config_there, environ={}, sleep=sleep)

            async def ask(number: int) -> Completion:
                await asyncio.sleep(number * apart_s)
                return await backend.complete(replace(REQUEST, id=f"generate/{number:06}"))

            async with backend:
                asking = [ask(number) for number in range(requests)]
                results = await asyncio.gather(*asking, return_exceptions=True)
            return list(results), timed.times, backend.gate

    return run_at_once(asked())


LIMITED = reply(429, {"error": {"message": "slow down"}}, headers={"retry-after-ms": "700"})


def test_one_429_holds_all_others_until_the_stated_time() -> None:
    results, times, gate = complete(LIMITED, GOOD, requests=5, apart_s=0.1)
    assert all(isinstance(result, Completion) for result in results)
    assert len(times) == 6
    assert times[1] - times[0] >= 0.7
    assert gate.in_flight == 0


@pytest.mark.parametrize(("status", "allowed"), [(429, 4), (503, 4), (529, 4), (500, 8), (400, 8)])
def test_an_endpoint_that_has_too_much_to_do_is_sent_half_as_much(
    status: int, allowed: int
) -> None:
    refused = reply(status, {"error": {"message": "x"}})
    _, _, gate = complete(refused, GOOD, requests=1, sleep=lambda _: asyncio.sleep(0))
    assert gate.allowance == allowed


def test_attempts_that_time_out_one_after_another_halve_it_too() -> None:
    config = replace(CONFIG, max_attempts=1)
    _, times, gate = complete(HANG, requests=2, config=config)
    assert (len(times), gate.allowance) == (2, 4)


def test_nobody_listening_is_no_reason_to_send_less() -> None:
    async def asked() -> int:
        config = replace(CONFIG, base_url="http://127.0.0.1:9/v1", max_attempts=1)
        async with OnlineBackend(config, environ={}) as backend:
            for _ in range(4):
                with pytest.raises(TransientError):
                    await backend.complete(REQUEST)
            return backend.gate.allowance

    assert run_at_once(asked()) == 8


def test_limits_are_learned_from_replies_good_or_bad() -> None:
    both = headers(600, 599, "100ms") | headers(90_000, 89_000, "666ms", unit="tokens")
    for status in (200, 400, 500):
        learned = reply(status, chat(), headers=both)
        _, _, gate = complete(learned, requests=1, config=replace(CONFIG, max_attempts=1))
        assert (gate.requests_per_minute, gate.tokens_per_minute) == (600, 90_000)


@pytest.mark.parametrize(
    ("given", "stated_limit", "sent"),
    [
        # One a second, after those of the first five seconds.
        (None, headers(60, 59, "1s"), range(6, 8)),
        (60, {}, range(6, 8)),
        (60, headers(10**6, 10**6 - 1, "1ms"), range(6, 8)),
        (None, {}, range(21, 22)),
    ],
    ids=["learned", "given", "both", "neither"],
)
def test_a_limit_holds_for_what_is_sent(
    given: int | None, stated_limit: dict[str, str], sent: range
) -> None:
    config = replace(CONFIG, max_requests_per_minute=given)

    async def asked() -> Script:
        async with scripted(reply(body=chat(), headers=stated_limit)) as script:
            async with OnlineBackend(replace(config, base_url=script.url), environ={}) as backend:
                await backend.complete(REQUEST)
                asking = [asyncio.ensure_future(backend.complete(REQUEST)) for _ in range(20)]
                await asyncio.sleep(0.5)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            return script

    assert len(run_at_once(asked()).asked) in sent


def test_tokens_count_with_the_most_that_they_can_be_until_the_reply_says_how_many() -> None:
    """The bound is 345 of 400 a minute, the reply has 12: one at a time, but not one a minute."""
    config = replace(CONFIG, max_tokens_per_minute=400)

    async def asked() -> list[int]:
        in_flight = []
        async with (
            scripted(GOOD) as script,
            OnlineBackend(replace(config, base_url=script.url), environ={}) as backend,
        ):
            asking = [asyncio.ensure_future(backend.complete(REQUEST)) for _ in range(3)]
            while not all(task.done() for task in asking):
                in_flight.append(backend.gate.in_flight)
                await asyncio.sleep(0)
        return in_flight

    assert max(run_at_once(asked())) == 1
