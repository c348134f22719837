"""What a run has consumed, and what it may still have to pay for: a part of the fold over the journal.

Each attempt is preceded by a reservation of the most that it can consume. A reply's usage settles it. What
nothing settles was perhaps answered and never heard of (a kill, a time-out) and counts as spent at its bound:

    >>> ledger = Ledger()
    >>> ledger.reserve("generate/000001", Consumption(requests=1, prompt_tokens=900))
    >>> ledger.settle("generate/000001", Usage(prompt_tokens=450, completion_tokens=230))
    >>> ledger.committed.tokens, ledger.spent.tokens
    (680, 680)

So `spent` never falls, and `committed`, which is what limits are held against, grows by reservations only.
"""

from dataclasses import dataclass, field

from selfinstruct.cost import Consumption, consumed
from selfinstruct.records import Usage

_NOTHING = Consumption()


@dataclass(kw_only=True)
class Ledger:
    """Reservations, and what became of them."""

    spent: Consumption = _NOTHING
    """What was settled; every attempt that is over counts as a request."""
    unheard: Consumption = _NOTHING
    """The part of it that counts at its bound, since nobody said what was consumed."""
    reserved: Consumption = _NOTHING
    """The sum of what stands."""
    standing: dict[str, Consumption] = field(default_factory=dict)
    """Reservations that nothing has settled yet, by request id."""
    excess: Consumption = _NOTHING
    """By how many tokens a prompt, and a reply, were counted above their bound, at most."""
    _granted: dict[str, Consumption] = field(default_factory=dict)
    """By request id, what of it was known, and so a part of what stands, when that was reserved."""

    @property
    def committed(self) -> Consumption:
        """What is spent and what may still have to be: it must stay within the limits."""
        return self.spent + self.reserved

    def reserve(self, request_id: str, most: Consumption, *, replaces: bool = False) -> None:
        """An attempt is about to be sent; `replaces` says that the one before it was not billed."""
        if replaces:
            self.release(request_id)
        else:
            self.give_up(request_id)
        self.standing[request_id] = most
        self._granted[request_id] = self.excess
        self.reserved += most

    def settle(self, request_id: str, usage: Usage | None) -> None:
        """Count a reply by its usage, else at its bound, or as one request where nothing was reserved."""
        granted = self._granted.get(request_id, _NOTHING)
        most = self._end(request_id)
        if most is None:
            self.spent += consumed(usage) if usage is not None else Consumption(requests=1)
        elif usage is None:
            self._spend_at_bound(most)
        else:
            self.spent += consumed(usage)
            self._notice_excess(
                consumed(usage) - most + granted, has_limit=most.completion_tokens > 0
            )

    def release(self, request_id: str) -> None:
        """The attempt is over and was not billed: it was a request, and nothing else."""
        if self._end(request_id) is not None:
            self.spent += Consumption(requests=1)

    def give_up(self, request_id: str) -> None:
        """The attempt is over, and what it consumed will never be known."""
        most = self._end(request_id)
        if most is not None:
            self._spend_at_bound(most)

    def give_all_up(self) -> None:
        """The process that sent them is gone."""
        for request_id in list(self.standing):
            self.give_up(request_id)

    def _notice_excess(self, beyond: Consumption, *, has_limit: bool) -> None:
        """A reply was `beyond` its bound by so much, or by less than nothing."""
        replies = self.excess.completion_tokens
        self.excess = Consumption(
            prompt_tokens=max(self.excess.prompt_tokens, beyond.prompt_tokens),
            # Where nothing limits replies there is no bound.
            completion_tokens=max(replies, beyond.completion_tokens) if has_limit else replies,
        )

    def _spend_at_bound(self, most: Consumption) -> None:
        self.spent += most
        self.unheard += most

    def _end(self, request_id: str) -> Consumption | None:
        most = self.standing.pop(request_id, None)
        self._granted.pop(request_id, None)
        if most is not None:
            self.reserved -= most
        return most
