"""What a check of a journal comes to: numbers, remarks, and what does not hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in the journal that does not hold."""

    seq: int
    """Line of the journal."""
    what: str
    """A request, a candidate or a task."""
    why: str
    """In plain words; holds text of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and what does not hold."""

    entries: int
    """Lines of the journal."""
    prompts: int
    """Requests whose prompt was planned again and compared."""
    replies: int
    """Generation requests whose candidates were decided again."""
    accepted: int
    """Candidates in them, as the journal has them."""
    rejected: int
    answers: int
    """Answers about kinds that were read again."""
    tasks: int
    """Tasks whose instances were read again."""
    kept: int
    """Instances of these, as the journal has them."""
    left_out: int
    witnesses: int
    """Witnesses whose score was computed again, by rouge-score."""
    imported: int
    """Tasks that were imported, about which there is nothing to recompute."""
    has_task_stages: bool
    """Whether the recipe asks for kinds and instances; otherwise these stand in the candidates."""
    outcomes: int
    """Requests with an outcome."""
    not_planned: str
    """Why prompts could not be planned again; "" where all were."""
    not_decided: str
    """Why decisions could not be made again; "" where all were."""
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        """Whether all that was checked is so."""
        return not self.problems

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to check: no reply, and no task that was imported."""
        return not self.outcomes and not self.imported and not self.problems
