"""Keeps outcomes that were written to the journal but not yet synced to disk.

No outcome is used before the journal is synced. So a power failure cannot leave a decision about a lost
reply. One sync covers all outcomes that were written within a few milliseconds.
"""

from collections.abc import Callable
from typing import Protocol

from selfinstruct.journal_events import Outcome

_SYNC_WITHIN_S = 0.02
"""Maximum seconds between a write and its sync. A power failure loses at most the replies of this period."""


class OutcomeLog(Protocol):
    """A `Journal` whose events include outcomes."""

    def append(self, *events: Outcome, durable: bool) -> None:
        """Append outcomes; see `Journal.append`."""
        ...

    def sync(self) -> None:
        """Make all appended outcomes durable."""
        ...


class UnsyncedOutcomes:
    """The outcomes written since the last sync, in the order of their journal lines."""

    def __init__(self, journal: OutcomeLog, *, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._outcomes: list[Outcome] = []
        self._due_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._outcomes)

    def write(self, *outcomes: Outcome) -> None:
        """Append outcomes to the journal."""
        self._journal.append(*outcomes, durable=False)
        if not self._outcomes:
            self._due_at = self._now() + _SYNC_WITHIN_S
        self._outcomes += outcomes

    @property
    def due_s(self) -> float | None:
        """Seconds until the next sync is due; None if there are no outcomes."""
        return max(0.0, self._due_at - self._now()) if self._outcomes else None

    def sync(self) -> list[Outcome]:
        """Sync the journal. Return the outcomes that may be used now."""
        self._journal.sync()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes
