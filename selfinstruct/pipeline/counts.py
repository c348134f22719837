"""Counts of a run, which the state adds up from events."""

from collections import Counter
from dataclasses import dataclass, field

from selfinstruct.records import Reason, Stage


@dataclass(kw_only=True)
class Counts:
    """Counts of events so far. Every number in a report comes from here."""

    requests: Counter[Stage] = field(default_factory=Counter)
    """Requests with an outcome, by stage."""
    failed: Counter[Stage] = field(default_factory=Counter)
    """Failed requests, by stage: refused by the endpoint or given up."""
    prompt_tokens: int = 0
    """Prompt tokens of all replies, as counted by the endpoint."""
    completion_tokens: int = 0
    """Completion tokens of all replies, as counted by the endpoint."""
    rejected: Counter[Reason] = field(default_factory=Counter)
    """Rejected candidates of committed requests, by reason."""
    finished_tasks: int = 0
    """Accepted and imported tasks that need no more requests."""
    with_instances: int = 0
    """Finished tasks with at least one instance."""
    rows: int = 0
    """Instances of all finished tasks."""
    instances_rejected: Counter[Reason] = field(default_factory=Counter)
    """Rejected instances, by reason."""
    unclear_kinds: int = 0
    """Tasks without a clear answer to the classification question."""
    imported: int = 0
    """Imported tasks. They count as accepted, although no candidate became one of them."""
    imported_whole: int = 0
    """Imported tasks with instances, which need no requests."""
    imported_kinds: int = 0
    """Imported tasks with a known classification but without instances."""

    def finish_task(self, instances: int) -> None:
        """Count a task as finished, with this number of instances."""
        self.finished_tasks += 1
        self.with_instances += instances > 0
        self.rows += instances
