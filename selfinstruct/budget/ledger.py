"""A run's consumption and its open reservations; part of the state that is computed from the journal.

Before each attempt, its worst case is reserved. The usage that the reply reports settles the reservation. If
an attempt's result is unknown, because the process was killed or the attempt timed out, the endpoint may have
answered it. Such an attempt counts at its worst case:

    >>> ledger = Ledger()
    >>> ledger.reserve("generate/000001", Consumption(requests=1, prompt_tokens=900))
    >>> ledger.settle("generate/000001", Usage(prompt_tokens=450, completion_tokens=230))
    >>> ledger.committed.tokens, ledger.spent.tokens
    (680, 680)

So `spent` never decreases. Limits apply to `committed`, which only a new reservation can increase.
"""

from dataclasses import dataclass, field

from selfinstruct.cost import NOTHING, Consumption, consumed
from selfinstruct.records import Usage


@dataclass(kw_only=True)
class Ledger:
    """Open and settled reservations."""

    spent: Consumption = NOTHING
    """Consumption of all attempts that have ended. Each of them counts as one request."""
    unheard: Consumption = NOTHING
    """The part of `spent` that is counted at its worst case, because no usage was reported."""
    reserved: Consumption = NOTHING
    """Sum of the open reservations."""
    pending: dict[str, Consumption] = field(default_factory=dict)
    """Open reservations, by request id."""
    excess: Consumption = NOTHING
    """Largest numbers of prompt tokens and of reply tokens by which a reply has exceeded its worst case."""
    _excess_included: dict[str, Consumption] = field(default_factory=dict)
    """Excess that each open reservation already includes, by request id."""

    @property
    def committed(self) -> Consumption:
        """Spent and reserved consumption together, which must stay within the limits."""
        return self.spent + self.reserved

    def with_excess(self, most: Consumption) -> Consumption:
        """Return the maximum that an attempt can consume, including the largest excess seen so far."""
        # An endpoint may add more tokens to prompts than expected, or may ignore max_tokens. The largest
        # excess so far is the best available bound for the next attempt.
        return most + self.excess

    def reserve(self, request_id: str, most: Consumption, *, replaces: bool = False) -> None:
        """Reserve the worst case `most` of an attempt. The request's previous reservation is closed.

        `replaces` says that the previous attempt was not billed. Otherwise it counts at its worst case.
        """
        if replaces:
            self.release(request_id)
        else:
            self.give_up(request_id)
        self.pending[request_id] = most
        self._excess_included[request_id] = self.excess
        self.reserved += most

    def settle(self, request_id: str, usage: Usage | None) -> None:
        """Count a reply by its reported usage.

        Without a usage, the reply counts at its worst case, or as one request if there is no reservation.
        """
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
        """Count an attempt that was not billed as one request without tokens."""
        if self._close(request_id) is not None:
            self.spent += Consumption(requests=1)

    def give_up(self, request_id: str) -> None:
        """Count an attempt at its worst case, because its consumption remains unknown."""
        most = self._close(request_id)
        if most is not None:
            self._spend_worst_case(most)

    def give_all_up(self) -> None:
        """Give up all open reservations, because the process that made them has ended."""
        for request_id in list(self.pending):
            self.give_up(request_id)

    def _update_excess(self, most: Consumption, excess: Consumption) -> None:
        """Increase the largest excess if this excess is larger. A negative excess changes nothing."""
        replies = self.excess.completion_tokens
        if most.completion_tokens > 0:  # otherwise nothing bounds the reply
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
