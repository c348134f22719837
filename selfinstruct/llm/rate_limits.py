"""Rate limits: a single limiter admits every attempt of every stage.

    limiter = RateLimiter(slots=32, requests_per_minute=500)
    async with limiter.admit(1300) as admission:     # waits until 1,300 more tokens may be sent
        reply = await send()
        limiter.learn(reply.headers)                 # learns limits that the user did not set
        limiter.settle(admission, 470)               # the tokens that the request really used
        limiter.answered(admission)                  # or slow_down(admission), timed_out(admission)

`RateLimiter.acquire` combines four conditions: the order of arrival, the number of requests in flight, a
pause that the endpoint asked for, and the rates. Only the first request in the queue checks the conditions,
and it never polls. Times are those of the running event loop.

No window of one minute ever exceeds the rate, and requests are spread evenly over the window:

>>> rate = Rate(2)
>>> [rate.take(1, now=0.0), rate.free_at(1, now=0.0)][1]        # the second request must wait
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
from selfinstruct.llm.rate_limit_headers import MINUTE_S, StatedLimit, Unit, stated_limit
from selfinstruct.llm.retry import MAX_RETRY_AFTER_S

PACE_S = 5.0
"""Number of seconds that requests may be ahead of an even pace."""
TIMEOUTS_IN_A_ROW = 2
"""Number of timeouts, without an answer between them, after which the concurrency is halved.

A single timeout is not enough, because it may have any cause.
"""
_SHARE_WEIGHT = 0.1
"""Weight of the latest charge in `Rate`'s running mean of the ratio of used to charged tokens."""


@dataclass(slots=True, eq=False)
class Charge:
    """Requests or tokens that were taken from a rate."""

    at: float
    """Time of the charge on the event loop's clock, in seconds."""
    amount: int
    paced: float
    """Amount that counts towards the pace: the expected use."""
    in_window: bool = True
    """True if the window still counts the charge."""


class Rate:
    """A maximum for any minute: set by the user, learned from headers, or unknown.

    The window makes the maximum exact: each charge counts for 60 s, so no minute contains more than
    `per_minute`, whenever it begins. An amount above the maximum must wait until the window is empty.
    The pace spreads the charges over the minute, except for bursts of up to `PACE_S`. The window counts the
    amounts that were charged; the pace counts the average use.
    """

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
        """The maximum for any minute, or None if it is unknown."""
        return int(self._per_minute) if self._per_minute < math.inf else None

    def free_at(self, amount: int, now: float) -> float:
        """Return the time at which the amount fits; at most `now` if it already fits."""
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
        """Charge an amount now. The caller has checked with `free_at` that the amount fits."""
        charge = Charge(now, amount, min(amount * self._share, self._per_minute))
        self._charges.append(charge)
        self._used += amount
        self._paced_until = max(self._paced_until, now) + charge.paced * MINUTE_S / self._per_minute
        return charge

    def settle(self, charge: Charge, amount: int) -> None:
        """Replace a charge's amount with the amount that was really used."""
        if amount and charge.amount:
            self._share += _SHARE_WEIGHT * (min(1.0, amount / charge.amount) - self._share)
        if charge.in_window:
            self._used += amount - charge.amount
        # If the server reports an impossible count, it delays other requests by at most a minute.
        paced = min(amount, self._per_minute)
        self._paced_until += (paced - charge.paced) * MINUTE_S / self._per_minute
        charge.amount = amount
        charge.paced = paced

    def learn(self, stated: StatedLimit) -> None:
        """Adopt the limit that a reply states, unless the user set one."""
        if self._is_given or stated.limit is None:
            return
        if stated.is_per_minute is None and stated.limit == self._stated:
            return
        self._stated = stated.limit
        # A daily limit is not enforced here, because the endpoint reports when it is used up.
        self._per_minute = math.inf if stated.is_per_minute is False else stated.limit


@dataclass(slots=True, eq=False)
class Admission:
    """An attempt that the rate limiter has admitted."""

    tokens: Charge
    """Charge for the attempt's tokens: the maximum that it can use, or its real use once it is settled."""
    reductions: int
    """Number of times that the concurrency had been reduced before this attempt was admitted."""


class RateLimiter:
    """Admits attempts in the order in which they arrive."""

    def __init__(
        self,
        *,
        slots: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """Create a limiter that has no attempts in flight.

        `slots` is the maximum number of attempts in flight. A limit that is None is learned from replies.
        Setting `stop` ends all waits.
        """
        self._slots = slots
        self.concurrency = slots
        """Current maximum number of attempts in flight: halved on overload, then raised one by one."""
        self.in_flight = 0
        self.requests = Rate(requests_per_minute)
        self.tokens = Rate(tokens_per_minute)
        self._stop = stop or asyncio.Event()
        self._turn = asyncio.Lock()
        """Lock that the first attempt in the queue holds while it waits until it may be sent."""
        self._changed = asyncio.Event()
        """Set if the first attempt in the queue may be able to go earlier than expected."""
        self._paused_until = 0.0
        self._reductions = 0
        self._answers = 0
        """Number of answers since the concurrency last changed."""
        self._timeouts = 0

    @asynccontextmanager
    async def admit(self, tokens: int = 0) -> AsyncIterator[Admission]:
        """Wait until one attempt of at most `tokens` tokens may be sent; release its slot at the end."""
        admission = await self.acquire(tokens)
        try:
            yield admission
        finally:
            self.release()

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────

    async def acquire(self, tokens: int = 0) -> Admission:
        """Wait until an attempt of at most `tokens` tokens may be sent, and return its admission.

        Raises TransientError if the run is stopped first.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            while True:
                now = loop.time()
                free_at = self._free_at(tokens, now)
                has_slot = self.in_flight < self.concurrency
                if has_slot and free_at <= now:
                    return self._begin(tokens, now)
                await self._wait(free_at - now if has_slot else None)

    def release(self) -> None:
        """Release an attempt's slot, whatever its outcome."""
        if self.in_flight >= self.concurrency:
            self._changed.set()
        self.in_flight -= 1

    def _free_at(self, tokens: int, now: float) -> float:
        at = max(self.requests.free_at(1, now), self.tokens.free_at(tokens, now))
        return max(at, self._paused_until)

    def _begin(self, tokens: int, now: float) -> Admission:
        self.in_flight += 1
        self.requests.take(1, now)
        return Admission(self.tokens.take(tokens, now), self._reductions)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for `_changed`, but at most `seconds`. Raises TransientError if the run is stopped."""
        self._changed.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, self._stop)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._stop.is_set():
            raise TransientError("the run was stopped while waiting for a rate limit", is_last=True)

    # ── feedback ─────────────────────────────────────────────────────────────────────────────────────────

    def learn(self, headers: Mapping[str, str]) -> None:
        """Learn limits and pauses from a reply's headers."""
        units: tuple[tuple[Rate, Unit], ...] = (
            (self.requests, "requests"),
            (self.tokens, "tokens"),
        )
        for rate, unit in units:
            stated = stated_limit(headers, unit)
            if stated is not None:
                rate.learn(stated)
                self._pause(stated.wait_s)
                self._changed.set()

    def settle(self, admission: Admission, tokens: int) -> None:
        """Record how many tokens the attempt used. Until then, its maximum counts."""
        self.tokens.settle(admission.tokens, tokens)
        if self.tokens.per_minute is not None:
            self._changed.set()

    def answered(self, admission: Admission) -> None:
        """Record an answer. After as many answers as the concurrency, raise the concurrency by one."""
        self._timeouts = 0
        if self.concurrency == self._slots or admission.reductions != self._reductions:
            return
        self._answers += 1
        if self._answers >= self.concurrency:
            self._answers = 0
            self.concurrency += 1
            self._changed.set()

    def slow_down(self, admission: Admission, wait_s: float | None = None) -> None:
        """Record an overload: send nothing for `wait_s` seconds, and halve the concurrency."""
        self._pause(wait_s or 0.0)
        self._reduce(admission)

    def timed_out(self, admission: Admission) -> None:
        """Record a timeout. Halve the concurrency after `TIMEOUTS_IN_A_ROW` of them."""
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_IN_A_ROW:
            self._reduce(admission)

    def _pause(self, wait_s: float) -> None:
        """Send nothing for `wait_s` seconds, or until the end of an earlier pause if that is later."""
        until = asyncio.get_running_loop().time() + min(wait_s, MAX_RETRY_AFTER_S)
        self._paused_until = max(self._paused_until, until)

    def _reduce(self, admission: Admission) -> None:
        """Halve the concurrency, but only once for attempts that were in flight at the same time."""
        if admission.reductions == self._reductions:
            self._reductions += 1
            self._answers = 0
            self._timeouts = 0
            self.concurrency = max(1, self.concurrency // 2)
