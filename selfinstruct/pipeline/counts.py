"""A run's counts, which the state computes from the events in the journal."""

from collections import Counter
from dataclasses import dataclass, field

from selfinstruct.records import Reason, Stage


@dataclass(kw_only=True)
class Counts:
    """Counts of what has happened in a run so far."""

    requests: Counter[Stage] = field(default_factory=Counter)
    """Number of requests with an outcome, by stage."""
    failed: Counter[Stage] = field(default_factory=Counter)
    """Number of requests that the endpoint refused or that were given up, by stage."""
    prompt_tokens: int = 0
    """Number of prompt tokens in all requests that got a reply, as counted by the endpoint."""
    completion_tokens: int = 0
    """Number of completion tokens in all replies, as counted by the endpoint."""
    rejected: Counter[Reason] = field(default_factory=Counter)
    """Number of rejected candidates from committed requests, by reason."""
    finished_tasks: int = 0
    """Number of accepted and imported tasks that need no more requests."""
    with_instances: int = 0
    """Number of finished tasks with at least one instance."""
    rows: int = 0
    """Number of instances in all finished tasks."""
    instances_rejected: Counter[Reason] = field(default_factory=Counter)
    """Number of rejected instances, by reason."""
    unclear_kinds: int = 0
    """Number of tasks for which the model gave no clear answer to the classification question."""
    imported: int = 0
    """Number of imported tasks. They count as accepted, although they were never candidates."""
    imported_whole: int = 0
    """Number of tasks imported with their instances, which need no requests."""
    imported_kinds: int = 0
    """Number of tasks imported with a known classification but without instances."""

    def finish_task(self, instances: int) -> None:
        """Count a task as finished; `instances` is its number of instances."""
        self.finished_tasks += 1
        self.with_instances += instances > 0
        self.rows += instances
