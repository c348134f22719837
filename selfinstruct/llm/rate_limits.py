"""Rate limits: one limiter that every attempt of every stage passes.

    limiter = RateLimiter(slots=32, requests_per_minute=500)
    async with limiter.admit(1300) as admission:     # waits until 1,300 more tokens may be sent
        reply = await send()
        limiter.learn(reply.headers)                 # limits that the user did not give
        limiter.settle(admission, 470)               # tokens that the request really used
        limiter.answered(admission)                  # or slow_down(admission), timed_out(admission)

`RateLimiter._admit` combines four conditions: the order of arrival, the number of requests in flight, a pause
that the endpoint asked for, and the rates. A timer wakes the first request in the queue when the request may
be sent; nothing polls. Times are those of the running event loop.

Rates are exact windows, filled evenly:

>>> rate = Rate(2)
>>> [rate.take(1, now=0.0), rate.free_at(1, now=0.0)][1]        # the second request is not sent at once
25.0
>>> [rate.take(1, now=25.0), rate.free_at(1, now=25.0)][1]
60.0
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from selfinstruct.errors import TransientError
from selfinstruct.llm.rate_limit_headers import MINUTE_S, StatedLimit, stated_limit
from selfinstruct.llm.retry import MAX_RETRY_AFTER_S

PACE_S = 5.0
"""Seconds by which requests may be ahead of an even pace."""
TIMEOUTS_IN_A_ROW = 2
"""Timeouts without an answer in between that reduce the concurrency; a single timeout may have any cause."""
_SHARE_WEIGHT = 0.1
"""Weight of the latest charge in the mean share of charges that is used."""


@dataclass(slots=True, eq=False)
class Charge:
    """An amount taken from a rate."""

    at: float
    amount: int
    paced: float
    """Amount that the pace counts: the expected use."""
    in_window: bool = True


class Rate:
    """A maximum for any minute, spread over the minute: given by the user, learned from headers, or unknown.

    The window is exact: a charge counts for 60 s, so no minute contains more than `per_minute`, wherever the
    minute begins. A larger amount passes when the window is empty. The pace is a bucket of `PACE_S` that only
    spreads the charges: the pace counts what charges use on average, the window what was charged.
    """

    __slots__ = (
        "_charges",
        "_is_given",
        "_paced_until",
        "_per_minute",
        "_share",
        "_stated",
        "_used",
    )

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute or math.inf
        self._is_given = per_minute is not None
        self._stated: int | None = None
        self._charges: deque[Charge] = deque()
        self._used = 0
        self._paced_until = 0.0
        self._share = 1.0

    @property
    def per_minute(self) -> int | None:
        """The maximum; None if it is unknown."""
        return int(self._per_minute) if self._per_minute < math.inf else None

    def free_at(self, amount: int, now: float) -> float:
        """Return when the amount fits; not later than `now` if the amount fits already."""
        while self._charges and self._charges[0].at + MINUTE_S <= now:
            expired = self._charges.popleft()
            expired.in_window = False
            self._used -= expired.amount
        at = self._paced_until - PACE_S
        used = self._used
        for charge in self._charges:
            if not used or used + amount <= self._per_minute:
                break
            used -= charge.amount
            at = max(at, charge.at + MINUTE_S)
        return at

    def take(self, amount: int, now: float) -> Charge:
        """Charge an amount that fits."""
        charge = Charge(now, amount, min(amount * self._share, self._per_minute))
        self._charges.append(charge)
        self._used += amount
        self._paced_until = max(self._paced_until, now) + charge.paced * MINUTE_S / self._per_minute
        return charge

    def settle(self, charge: Charge, amount: int) -> None:
        """Replace the amount of a charge by the amount that was really used."""
        if amount and charge.amount:
            self._share += _SHARE_WEIGHT * (min(1.0, amount / charge.amount) - self._share)
        if charge.in_window:
            self._used += amount - charge.amount
        # An impossible count of a server delays others by at most a minute.
        paced = min(amount, self._per_minute)
        self._paced_until += (paced - charge.paced) * MINUTE_S / self._per_minute
        charge.amount = amount
        charge.paced = paced

    def learn(self, stated: StatedLimit) -> None:
        """Use the limit that a reply states, unless the user gave one."""
        if self._is_given or stated.limit is None:
            return
        if stated.is_per_minute is None and stated.limit == self._stated:
            return
        self._stated = stated.limit
        # The endpoint reports when a daily limit is used up.
        self._per_minute = math.inf if stated.is_per_minute is False else stated.limit


@dataclass(slots=True, eq=False)
class Admission:
    """One attempt at the limiter."""

    tokens: int
    """Maximum number of tokens that the attempt can use."""
    waiting: asyncio.Future[None] | None = None
    reductions: int = 0
    """Reductions of the concurrency before the admission."""
    charges: tuple[Charge, Charge] | None = None
    """Charges of the admitted attempt: one request, and the tokens."""


class RateLimiter:
    """Admits attempts in the order of arrival."""

    def __init__(
        self,
        *,
        slots: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """Begin with nothing in flight.

        `slots` is the maximum number of attempts in flight. Limits that are None are learned from replies.
        `stop` ends all waiting.
        """
        self._slots = slots
        self.concurrency = slots
        """Maximum number in flight now: halved on overload, then raised one by one."""
        self.in_flight = 0
        self.requests = Rate(requests_per_minute)
        self.tokens = Rate(tokens_per_minute)
        self._stop = stop
        self._queue: deque[Admission] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stop_task: asyncio.Task[None] | None = None
        self._paused_until = 0.0
        self._reductions = 0
        self._answers = 0
        """Answers to attempts since the last change of the concurrency."""
        self._timeouts = 0

    @asynccontextmanager
    async def admit(self, tokens: int = 0) -> AsyncIterator[Admission]:
        """Admit one attempt of at most `tokens` tokens; see `acquire`."""
        admission = await self.acquire(tokens)
        try:
            yield admission
        finally:
            self.release()

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────

    async def acquire(self, tokens: int = 0) -> Admission:
        """Wait until an attempt may be sent. Raises TransientError if the run is stopped first."""
        admission = Admission(tokens)
        loop = asyncio.get_running_loop()
        if not self._queue and self.in_flight < self.concurrency:
            now = loop.time()
            if self._free_at(admission, now) <= now:
                self._begin(admission, now)
                return admission
        if self._stop is not None and self._stop.is_set():
            raise _stopped()
        admission.waiting = loop.create_future()
        self._queue.append(admission)
        if self._stop is not None and self._stop_task is None:
            self._stop_task = loop.create_task(self._refuse_after(self._stop))
        self._admit()
        try:
            await admission.waiting
        except asyncio.CancelledError:
            if not admission.waiting.cancelled() and admission.waiting.exception() is None:
                self._undo(admission)  # cancelled between the admission and its use
            self._admit()
            raise
        return admission

    def release(self) -> None:
        """End an attempt, whatever its outcome."""
        self.in_flight -= 1
        if self._queue:
            self._admit()

    def _admit(self) -> None:
        """Admit all attempts that may be sent, in order, and set the timer for the next one."""
        wake_at: float | None = None
        while self._queue:
            first = self._queue[0]
            assert first.waiting is not None
            if not first.waiting.done():
                if self.in_flight >= self.concurrency:
                    break  # the next release calls this again
                now = first.waiting.get_loop().time()
                wake_at = self._free_at(first, now)
                if wake_at > now:
                    break
                wake_at = None
                self._begin(first, now)
                first.waiting.set_result(None)
            self._queue.popleft()
        self._wake(wake_at)
        if not self._queue and self._stop_task is not None:
            self._stop_task.cancel()
            self._stop_task = None

    def _free_at(self, admission: Admission, now: float) -> float:
        at = max(self.requests.free_at(1, now), self.tokens.free_at(admission.tokens, now))
        return max(at, self._paused_until)

    def _begin(self, admission: Admission, now: float) -> None:
        self.in_flight += 1
        admission.reductions = self._reductions
        admission.charges = self.requests.take(1, now), self.tokens.take(admission.tokens, now)

    def _undo(self, admission: Admission) -> None:
        """Take back an admission that was not used."""
        if admission.charges is not None:
            self.requests.settle(admission.charges[0], 0)
        self.settle(admission, 0)
        self.release()

    def _wake(self, at: float | None) -> None:
        """Set the only timer, or remove the timer."""
        if self._timer is not None:
            if at == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._admit()

    async def _refuse_after(self, stop: asyncio.Event) -> None:
        """Refuse all waiting attempts when the run is stopped."""
        await stop.wait()
        for admission in self._queue:
            if admission.waiting is not None and not admission.waiting.done():
                admission.waiting.set_exception(_stopped())
        self._stop_task = None
        self._admit()

    # ── feedback ─────────────────────────────────────────────────────────────────────────────────────────

    def learn(self, headers: Mapping[str, str]) -> None:
        """Learn limits and pauses from the headers of any reply."""
        requests, tokens = stated_limit(headers, "requests"), stated_limit(headers, "tokens")
        if requests is None and tokens is None:
            return
        for rate, stated in ((self.requests, requests), (self.tokens, tokens)):
            if stated is not None:
                rate.learn(stated)
                self._pause(stated.wait_s)
        self._admit()

    def settle(self, admission: Admission, tokens: int) -> None:
        """Record the tokens that the attempt used; until then the maximum counts."""
        if admission.charges is not None:
            self.tokens.settle(admission.charges[1], tokens)
        if self._queue:
            self._admit()

    def answered(self, admission: Admission) -> None:
        """Record an answer: after as many answers as the concurrency, the concurrency rises by one."""
        self._timeouts = 0
        if self.concurrency == self._slots or admission.reductions != self._reductions:
            return
        self._answers += 1
        if self._answers >= self.concurrency:
            self._answers = 0
            self.concurrency += 1
            self._admit()

    def slow_down(self, admission: Admission, wait_s: float | None = None) -> None:
        """Record an overload; nothing is sent for `wait_s` seconds."""
        self._pause(wait_s or 0.0)
        self._reduce(admission)
        self._admit()

    def timed_out(self, admission: Admission) -> None:
        """Record a timeout."""
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_IN_A_ROW:
            self._reduce(admission)

    def _pause(self, wait_s: float) -> None:
        """Send nothing for some seconds; the longest pause wins."""
        until = asyncio.get_running_loop().time() + min(wait_s, MAX_RETRY_AFTER_S)
        self._paused_until = max(self._paused_until, until)

    def _reduce(self, admission: Admission) -> None:
        """Halve the concurrency, once for all attempts that were in flight together."""
        if admission.reductions == self._reductions:
            self._reductions += 1
            self._answers = 0
            self._timeouts = 0
            self.concurrency = max(1, self.concurrency // 2)


def _stopped() -> TransientError:
    return TransientError("the run was stopped while waiting for a rate limit", is_last=True)
