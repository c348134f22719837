"""The result of a verification: counts of checked items, remarks and problems."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A part of the journal that does not match the journaled replies."""

    seq: int
    """Number of the journal line, counting from 1."""
    what: str
    """What the problem concerns, usually the id of a request, candidate or task."""
    why: str
    """Description of the problem; may contain text that the model wrote."""


@dataclass(slots=True, kw_only=True)
class Verification:
    """Counts of checked items, and the problems found."""

    entries: int = 0
    """Number of journal lines that were read."""
    prompts: int = 0
    """Number of requests whose prompt was planned again and compared."""
    replies: int = 0
    """Number of generation requests whose candidates were decided again."""
    accepted: int = 0
    """Number of accepted candidates of these requests, according to the journal."""
    rejected: int = 0
    """Number of rejected candidates of these requests, according to the journal."""
    answers: int = 0
    """Number of classification answers that were parsed again."""
    tasks: int = 0
    """Number of tasks whose instances were parsed again."""
    kept: int = 0
    """Number of kept instances of these tasks, according to the journal."""
    left_out: int = 0
    """Number of rejected instances of these tasks, according to the journal."""
    witnesses: int = 0
    """Number of witnesses whose score was recomputed with rouge-score."""
    imported: int = 0
    """Number of imported tasks, which do not come from replies."""
    has_task_stages: bool = True
    """True if the recipe has classification and instance requests. If not, candidates contain instances."""
    outcomes: int = 0
    """Number of requests that have an outcome."""
    not_planned: str = ""
    """Why prompts were not planned again; "" if they were planned again."""
    not_decided: str = ""
    """Why some decisions were not made again; "" if all were made again."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """True if the check found no problem."""
        return not self.problems

    @property
    def is_empty(self) -> bool:
        """True if the journal has nothing to check: no outcome, no imported task and no problem."""
        return not self.outcomes and not self.imported and not self.problems
