"""Compare a refiltered run with its source.

Two tasks are the same if they come from the same reply and their texts are equal, ignoring case and white
space. Item numbers are not compared. Profiles may differ in case, white space and item numbers.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from selfinstruct.analysis.verdict import text_of
from selfinstruct.journal_events import Accepted, Committed, CompletionReceived
from selfinstruct.pipeline.parse.shared import folded
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Neighbour, Reason, Rejection

D = TypeVar("D", Accepted, Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyThere:
    """A task that only one of the two runs has."""

    task_id: str
    candidate_id: str
    """Id of the task's candidate in the run that has the task."""
    instruction: str
    reason: Reason | None
    """Why the other run rejected the candidate; None if the other run's reply does not contain the text."""
    witness: Neighbour | None
    """The rejected candidate's witness in the other run; None unless it was rejected as not novel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The summaries of both runs, and the tasks that only one of them has."""

    before: RunSummary
    after: RunSummary
    both: int
    """Number of tasks that both runs have."""
    only_before: tuple[OnlyThere, ...]
    """Tasks that only the source has, in the order of its pool."""
    only_after: tuple[OnlyThere, ...]
    """Tasks that only the new run has, in the order of its pool."""
    unused: int
    """Number of classification and instance replies that the new run cannot use or does not need."""
    undecided: int
    """Number of generation replies that neither run decided on."""


def partners(theirs: Sequence[Accepted], ours: Sequence[Accepted]) -> dict[str, Accepted]:
    """Return the new run's tasks that match the source's tasks of the same reply, by source task id."""
    left = list(ours)
    matches: dict[str, Accepted] = {}
    for task in theirs:
        same = _same(task, left)
        if same is not None:
            matches[task.task_id] = same
            left.remove(same)
    return matches


def _same(task: Accepted, decisions: Sequence[D]) -> D | None:
    """Return the decision on a candidate with the same text as a task; None if there is none.

    If there are several, prefers the one with the same candidate id.
    """
    same = [d for d in decisions if folded(text_of(d)) == folded(task.instruction)]
    return next((d for d in same if d.candidate_id == task.candidate_id), next(iter(same), None))


def compare(
    before: RunState, after: RunState, theirs: Sequence[Committed], ours: Sequence[Committed]
) -> Comparison:
    """Compare two runs. Both lists of commits must refer to the same replies in the same order."""
    only_before: list[OnlyThere] = []
    only_after: list[OnlyThere] = []
    for there, here in zip(theirs, ours, strict=True):
        same = partners(there.accepted, here.accepted)
        only_before += _only(there, here, matched=same.keys())
        only_after += _only(here, there, matched={task.task_id for task in same.values()})
    outcomes = after.waiting.values()
    waiting = [outcome.stage for outcome in outcomes if isinstance(outcome, CompletionReceived)]
    return Comparison(
        before=summarize(before),
        after=summarize(after),
        both=after.accepted - len(only_after),
        only_before=tuple(only_before),
        only_after=tuple(only_after),
        unused=sum(stage != "generate" for stage in waiting),
        undecided=waiting.count("generate"),
    )


def _only(has: Committed, lacks: Committed, *, matched: Container[str]) -> Iterator[OnlyThere]:
    for task in has.accepted:
        if task.task_id in matched:
            continue
        rejection = _same(task, lacks.rejected)
        yield OnlyThere(
            task_id=task.task_id,
            candidate_id=task.candidate_id,
            instruction=task.instruction,
            reason=rejection.reason if rejection is not None else None,
            witness=rejection.nearest if rejection is not None else None,
        )
