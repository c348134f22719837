"""How much may be taken in a minute: exact windows, evenly filled. Time is an argument.

>>> rate = Rate(2)
>>> [rate.take(1, now=0.0), rate.free_at(1, now=0.0)][1]        # one at once would be too many at once
25.0
>>> [rate.take(1, now=25.0), rate.free_at(1, now=25.0)][1]
60.0
"""

from collections import deque

MINUTE_S = 60.0
PACE_S = 5.0
"""So far ahead of an even pace may be taken: not all at once, and then nothing for the rest of the minute."""

_WEIGHT = 0.1
"""Of one more in the mean share of charges that is used up."""


class Charge:
    """What was taken of a rate, and when."""

    __slots__ = ("amount", "at", "counts", "paced", "rate")

    def __init__(self, rate: "Rate", at: float, amount: int, paced: float) -> None:
        self.rate = rate
        self.at = at
        self.amount = amount
        self.paced = paced
        """How much of it the pace has counted: what will probably be used up."""
        self.counts = True
        """Whether it is in the window still."""


class Rate:
    """At most so much in any minute, spread over it.

    The window is exact: a charge counts until a minute later, so no minute, wherever it begins, holds more
    than `most`. What is larger than that passes where the window is empty. The pace is a bucket of `PACE_S`
    and only spreads: it goes by what charges come to on average, the window by what was charged.
    """

    __slots__ = ("_charges", "_paced_until", "_share", "_used", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._charges: deque[Charge] = deque()
        self._used = 0
        self._paced_until = 0.0
        self._share = 1.0

    def free_at(self, amount: int, now: float) -> float:
        """When so much more fits; not later than `now` where it does already."""
        while self._charges and self._charges[0].at + MINUTE_S <= now:
            gone = self._charges.popleft()
            gone.counts = False
            self._used -= gone.amount
        at = self._paced_until - PACE_S
        left = self._used
        if left + amount > self.most:
            for charge in self._charges:
                if not left or left + amount <= self.most:
                    break
                left -= charge.amount
                at = max(at, charge.at + MINUTE_S)
        return at

    def take(self, amount: int, now: float) -> Charge:
        """Charge so much, which fits."""
        charge = Charge(self, now, amount, min(amount * self._share, self.most))
        self._charges.append(charge)
        self._used += amount
        self._paced_until = max(self._paced_until, now) + charge.paced * MINUTE_S / self.most
        return charge

    def settle(self, charge: Charge, amount: int) -> None:
        """It was that much after all."""
        if amount and charge.amount:
            self._share += _WEIGHT * (min(1.0, amount / charge.amount) - self._share)
        if charge.counts:
            self._used += amount - charge.amount
        # Whatever nonsense a server counts, it costs no more than a minute.
        paced = min(amount, self.most)
        self._paced_until += (paced - charge.paced) * MINUTE_S / self.most
        charge.amount = amount
        charge.paced = paced
