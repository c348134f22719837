"""The consumption of a run, and its open reservations. A part of the state that the journal is folded into.

A reservation of the worst case precedes each attempt. The usage of the reply settles the reservation. An
attempt without a known result (a killed process, a time-out) may have been answered, so it counts at its
worst case:

    >>> ledger = Ledger()
    >>> ledger.reserve("generate/000001", Consumption(requests=1, prompt_tokens=900))
    >>> ledger.settle("generate/000001", Usage(prompt_tokens=450, completion_tokens=230))
    >>> ledger.committed.tokens, ledger.spent.tokens
    (680, 680)

So `spent` never falls. Limits apply to `committed`, which only reservations increase.
"""

from dataclasses import dataclass, field

from selfinstruct.cost import NOTHING, Consumption, consumed
from selfinstruct.records import Usage


@dataclass(kw_only=True)
class Ledger:
    """Open and settled reservations."""

    spent: Consumption = NOTHING
    """Settled consumption; every attempt counts as a request once it has ended."""
    unheard: Consumption = NOTHING
    """Part of `spent` that counts at its worst case, since no usage was reported."""
    reserved: Consumption = NOTHING
    """Sum of `pending`."""
    pending: dict[str, Consumption] = field(default_factory=dict)
    """Open reservations by request id."""
    excess: Consumption = NOTHING
    """Largest excess of prompt tokens, and of reply tokens, over the worst case so far."""
    _excess_included: dict[str, Consumption] = field(default_factory=dict)
    """Excess that a reservation already includes, by request id."""

    @property
    def committed(self) -> Consumption:
        """Spent and reserved consumption; it must stay within the limits."""
        return self.spent + self.reserved

    def reserve(self, request_id: str, most: Consumption, *, replaces: bool = False) -> None:
        """Reserve an attempt; `replaces` says that the previous attempt was not billed."""
        if replaces:
            self.release(request_id)
        else:
            self.give_up(request_id)
        self.pending[request_id] = most
        self._excess_included[request_id] = self.excess
        self.reserved += most

    def settle(self, request_id: str, usage: Usage | None) -> None:
        """Count a reply by its usage, else at its worst case, or as one request without a reservation."""
        included = self._excess_included.get(request_id, NOTHING)
        most = self._close(request_id)
        if most is None:
            self.spent += consumed(usage) if usage is not None else Consumption(requests=1)
        elif usage is None:
            self._spend_worst_case(most)
        else:
            self.spent += consumed(usage)
            self._update_excess(most, consumed(usage) - most + included)

    def release(self, request_id: str) -> None:
        """Count an attempt that was not billed: one request and no tokens."""
        if self._close(request_id) is not None:
            self.spent += Consumption(requests=1)

    def give_up(self, request_id: str) -> None:
        """Count an attempt whose consumption remains unknown at its worst case."""
        most = self._close(request_id)
        if most is not None:
            self._spend_worst_case(most)

    def give_all_up(self) -> None:
        """Give up all open reservations, since the process that made them has ended."""
        for request_id in list(self.pending):
            self.give_up(request_id)

    def _update_excess(self, most: Consumption, excess: Consumption) -> None:
        """Take the excess of a reply into account; negative counts are no excess."""
        replies = self.excess.completion_tokens
        if most.completion_tokens > 0:  # without max_tokens there is no worst case to exceed
            replies = max(replies, excess.completion_tokens)
        prompts = max(self.excess.prompt_tokens, excess.prompt_tokens)
        self.excess = Consumption(prompt_tokens=prompts, completion_tokens=replies)

    def _spend_worst_case(self, most: Consumption) -> None:
        self.spent += most
        self.unheard += most

    def _close(self, request_id: str) -> Consumption | None:
        most = self.pending.pop(request_id, None)
        self._excess_included.pop(request_id, None)
        if most is not None:
            self.reserved -= most
        return most
