"""The result of a verification: counts of what was checked, remarks and problems."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mismatch between the journal and its replies."""

    seq: int
    """Line of the journal."""
    what: str
    """Id of a request, candidate or task."""
    why: str
    """Explanation in a sentence; may contain text of the model."""


@dataclass(slots=True, kw_only=True)
class Verification:
    """Counts of what was checked, and the problems."""

    entries: int = 0
    """Lines of the journal."""
    prompts: int = 0
    """Requests whose prompt was planned again and compared."""
    replies: int = 0
    """Generation requests whose candidates were decided again."""
    accepted: int = 0
    """Accepted candidates of these requests, by the journal."""
    rejected: int = 0
    """Rejected candidates of these requests, by the journal."""
    answers: int = 0
    """Classification answers that were parsed again."""
    tasks: int = 0
    """Tasks whose instances were parsed again."""
    kept: int = 0
    """Kept instances of these tasks, by the journal."""
    left_out: int = 0
    """Rejected instances of these tasks, by the journal."""
    witnesses: int = 0
    """Witnesses whose score rouge-score computed again."""
    imported: int = 0
    """Imported tasks, which have no reply to follow from."""
    has_task_stages: bool = True
    """Whether the recipe has classification and instance requests; else candidates hold the instances."""
    outcomes: int = 0
    """Requests with an outcome."""
    not_planned: str = ""
    """Why prompts were not planned again; "" if they were."""
    not_decided: str = ""
    """Why decisions were not made again; "" if they were."""
    problems: tuple[Problem, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether the check found no problem."""
        return not self.problems

    @property
    def is_empty(self) -> bool:
        """Whether the journal has nothing to check: no reply and no imported task."""
        return not self.outcomes and not self.imported and not self.problems
