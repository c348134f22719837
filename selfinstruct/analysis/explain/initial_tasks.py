"""Tasks that were there before the run, seed tasks and imported ones, and what part they had in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from selfinstruct.analysis.explain.results import AnswerGiven, ImportedFate, InstanceFate, SeedFate
from selfinstruct.events import Committed, CompletionReceived, Decision, Outcome, TaskImported
from selfinstruct.records import Task


@dataclass(frozen=True, slots=True)
class Part:
    """What a task did in a run."""

    shown: int
    """In how many prompts that were answered it was shown."""
    witness_against: int
    """How many candidates were rejected with it as the witness."""


def part_of(
    task: Task,
    outcomes: Iterable[tuple[int, Outcome]],
    decisions: Iterable[tuple[int, Decision]],
) -> Part:
    """The part of a task in a run, by its outcomes and decisions with their lines."""
    return Part(
        shown=sum(
            isinstance(outcome, CompletionReceived) and task.id in outcome.demonstration_ids
            for _, outcome in outcomes
        ),
        witness_against=sum(
            rejection.nearest is not None and rejection.nearest.task_id == task.id
            for _, decision in decisions
            if isinstance(decision, Committed)
            for rejection in decision.rejected
        ),
    )


def seed_fate(task: Task, part: Part) -> SeedFate:
    """What there is to tell of a seed task."""
    return SeedFate(
        id=task.id,
        instruction=task.instruction,
        is_classification=task.is_classification,
        instances=len(task.instances or ()),
        shown=part.shown,
        witness_against=part.witness_against,
    )


def imported_fate(
    task: Task,
    imported: tuple[int, TaskImported],
    answers: tuple[AnswerGiven, ...],
    rejected: tuple[InstanceFate, ...],
    part: Part,
) -> ImportedFate:
    """What there is to tell of an imported task; `imported` is the event with its line."""
    line, event = imported
    return ImportedFate(
        id=task.id,
        instruction=task.instruction,
        place=event.place,
        line=line,
        model=event.model,
        is_classification=task.is_classification,
        said=event.answer,
        answers=answers,
        instances=task.instances,
        rejected=rejected,
        shown=part.shown,
        witness_against=part.witness_against,
    )
