"""Rate limits: one gate that every attempt of every stage passes.

    gate = Gate(slots=32, requests_per_minute=500)
    async with gate.admitted(1300) as passage:    # waits until one more, of at most 1,300 tokens, may be sent
        reply = await send()
        gate.learn(reply.headers)                 # limits that nobody gave are learned
        gate.settle(passage, 470)                 # so many tokens it was
        gate.answered(passage)                    # … or slow_down(passage, wait_s), or timed_out(passage)

Four things decide, and one place (`Gate._admit`) asks them: whose turn it is (first come, first served, so
nobody starves), how many may be in flight, until when everybody is to wait, and the rates. A timer is set
for the moment at which the first in the queue may go; nobody else is woken, and nothing is asked again and
again. Time is that of the running event loop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from selfinstruct.errors import TransientError
from selfinstruct.llm.rate_limit_headers import Stated, stated
from selfinstruct.llm.rate_windows import Charge, Rate
from selfinstruct.llm.retry import LONGEST_RETRY_AFTER_S

TIMED_OUT = 2
"""Time-outs without an answer between them that mean too much at once: one alone may have any cause."""


class _Limit:
    """One of the two limits: given, learned, or none."""

    __slots__ = ("_is_given", "_stated", "rate")

    def __init__(self, most: int | None) -> None:
        self.rate = Rate(most) if most is not None else None
        self._is_given = most is not None
        self._stated: int | None = None

    def learn(self, said: Stated) -> None:
        if self._is_given or said.limit is None:
            return
        if said.is_of_a_minute is None and said.limit == self._stated:
            return
        self._stated = said.limit
        if said.is_of_a_minute is False:
            self.rate = None  # of a day: the endpoint says when it is used up
        elif self.rate is None:
            self.rate = Rate(said.limit)
        else:
            self.rate.most = said.limit


class Passage:
    """One attempt, from asking for admission to its end. Made by `Gate.admitted`."""

    __slots__ = ("_gate", "era", "request", "token", "tokens", "waiting")

    def __init__(self, gate: "Gate", tokens: int) -> None:
        self._gate = gate
        self.tokens = tokens
        """At most."""
        self.waiting: asyncio.Future[None] | None = None
        self.era = 0
        """How often the allowance had fallen when it was admitted."""
        self.request: Charge | None = None
        self.token: Charge | None = None

    async def __aenter__(self) -> Self:
        await self._gate.enter(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gate.leave()


class Gate:
    """Admits attempts, in the order in which they come."""

    def __init__(
        self,
        *,
        slots: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        stop: asyncio.Event | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin with nothing in flight.

        `slots` may be in flight at a time. Limits that are None are learned. `stop` ends all waiting;
        `sleep` is how to wait where the endpoint says for how long.
        """
        self._slots = slots
        self.allowance = slots
        """How many may be in flight now: falls by half where it is too much, and climbs back one by one."""
        self.in_flight = 0
        self._requests = _Limit(requests_per_minute)
        self._tokens = _Limit(tokens_per_minute)
        self._stop = stop
        self._sleep = sleep
        self._queue: deque[Passage] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._holding: asyncio.Task[None] | None = None
        """Runs for as long as nobody is to be sent …"""
        self._held_until = 0.0
        """… which is until then."""
        self._era = 0
        self._answered = 0
        """Answers since the allowance was changed, to what was sent after it fell."""
        self._timed_out = 0

    @property
    def requests_per_minute(self) -> int | None:
        """What holds for requests, given or learned."""
        return self._requests.rate.most if self._requests.rate is not None else None

    @property
    def tokens_per_minute(self) -> int | None:
        """What holds for tokens, given or learned."""
        return self._tokens.rate.most if self._tokens.rate is not None else None

    def admitted(self, tokens: int = 0) -> Passage:
        """Around one attempt that takes no more tokens than that.

        Entering waits for its turn. Raises TransientError where the run is stopped before.
        """
        return Passage(self, tokens)

    def close(self) -> None:
        """Wait for nothing any more. Nobody may be waiting."""
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None

    # ── who is next, and when ────────────────────────────────────────────────────────────────────────────

    async def enter(self, passage: Passage) -> None:
        """Wait for its turn. Raises TransientError where the run is stopped before."""
        loop = asyncio.get_running_loop()
        if not self._queue and self._holding is None and self.in_flight < self.allowance:
            now = loop.time()
            if self._free_at(passage, now) <= now:
                self._begin(passage, now)
                return
        if self._stop is not None and self._stop.is_set():
            raise _stopped()
        passage.waiting = loop.create_future()
        self._queue.append(passage)
        if self._stop is not None and self._watching is None:
            self._watching = loop.create_task(self._watch(self._stop))
        self._admit()
        try:
            await passage.waiting
        except asyncio.CancelledError:
            if not passage.waiting.cancelled() and passage.waiting.exception() is None:
                self._undo(passage)  # admitted, and gone before it knew
            self._admit()
            raise

    def _admit(self) -> None:
        """Let in whoever may go, in order; set the timer for the next one. Waits for nothing itself."""
        wake_at: float | None = None
        while self._queue:
            first = self._queue[0]
            assert first.waiting is not None
            if not first.waiting.done():
                if self._holding is not None or self.in_flight >= self.allowance:
                    break  # whoever leaves sees to the next one, or the end of the hold
                now = first.waiting.get_loop().time()
                wake_at = self._free_at(first, now)
                if wake_at > now:
                    break
                wake_at = None
                self._begin(first, now)
                first.waiting.set_result(None)
            self._queue.popleft()
        self._wake(wake_at)
        if not self._queue and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _free_at(self, passage: Passage, now: float) -> float:
        at = 0.0
        if self._requests.rate is not None:
            at = max(at, self._requests.rate.free_at(1, now))
        if self._tokens.rate is not None:
            at = max(at, self._tokens.rate.free_at(passage.tokens, now))
        return at

    def _begin(self, passage: Passage, now: float) -> None:
        self.in_flight += 1
        passage.era = self._era
        if self._requests.rate is not None:
            passage.request = self._requests.rate.take(1, now)
        if self._tokens.rate is not None:
            passage.token = self._tokens.rate.take(passage.tokens, now)

    def _undo(self, passage: Passage) -> None:
        """It was not sent after all."""
        if passage.request is not None:
            passage.request.rate.settle(passage.request, 0)
        self.settle(passage, 0)
        self.leave()

    def leave(self) -> None:
        """An attempt has ended, however it did."""
        self.in_flight -= 1
        if self._queue:
            self._admit()

    def _wake(self, at: float | None) -> None:
        """Look again at this time, and at no other."""
        if self._timer is not None:
            if at == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._admit()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Send everybody away who waits when the run is stopped."""
        await stop.wait()
        for passage in self._queue:
            if passage.waiting is not None and not passage.waiting.done():
                passage.waiting.set_exception(_stopped())
        self._watching = None
        self._admit()

    # ── what was heard ───────────────────────────────────────────────────────────────────────────────────

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read the headers of a reply, whatever they are."""
        requests, tokens = stated(headers, "requests"), stated(headers, "tokens")
        if requests is None and tokens is None:
            return
        for limit, said in ((self._requests, requests), (self._tokens, tokens)):
            if said is not None:
                limit.learn(said)
                self._hold(said.wait_s)
        self._admit()

    def settle(self, passage: Passage, tokens: int) -> None:
        """It took so many tokens; until that is known it counts with the most that it can take."""
        if passage.token is not None:
            passage.token.rate.settle(passage.token, tokens)
            self._admit()

    def answered(self, passage: Passage) -> None:
        """It was answered: as many more as may be in flight, and one more may be."""
        self._timed_out = 0
        if self.allowance == self._slots or passage.era != self._era:
            return
        self._answered += 1
        if self._answered >= self.allowance:
            self._answered = 0
            self.allowance += 1
            self._admit()

    def slow_down(self, passage: Passage, wait_s: float | None = None) -> None:
        """The endpoint said that it is too much, and, if it did, how long nobody is to be sent."""
        self._hold(wait_s or 0.0)
        self._fall(passage)
        self._admit()

    def timed_out(self, passage: Passage) -> None:
        """Nothing came in time."""
        self._timed_out += 1
        if self._timed_out >= TIMED_OUT:
            self._fall(passage)

    def _hold(self, wait_s: float) -> None:
        """Nobody is sent before; the longest wait that anybody heard of holds."""
        wait_s = min(wait_s, LONGEST_RETRY_AFTER_S)
        until = asyncio.get_running_loop().time() + wait_s
        if wait_s <= 0 or (self._holding is not None and until <= self._held_until):
            return
        if self._holding is not None:
            self._holding.cancel()
        self._held_until = until
        self._holding = asyncio.ensure_future(self._pass(wait_s))

    async def _pass(self, wait_s: float) -> None:
        await self._sleep(wait_s)
        self._holding = None
        self._admit()

    def _fall(self, passage: Passage) -> None:
        """Half as many at a time; for all that were in flight together only once."""
        if passage.era == self._era:
            self._era += 1
            self._answered = 0
            self._timed_out = 0
            self.allowance = max(1, self.allowance // 2)


def _stopped() -> TransientError:
    return TransientError(
        "the run was stopped while waiting for its turn at a rate limit", is_last=True
    )
