"""Compare a refiltered run with its source.

A task is the same in both runs if the same reply has it with the same text, apart from case and white space:
the profiles differ in these, and in the numbers of the items of a reply.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from selfinstruct.analysis.verdict import text_of
from selfinstruct.events import Accepted, Committed, CompletionReceived
from selfinstruct.pipeline.parse.cleanup import folded
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Neighbour, Reason, Rejection

D = TypeVar("D", Accepted, Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyThere:
    """A task that only one of the two runs has."""

    task_id: str
    candidate_id: str
    """Candidate in the run that has the task."""
    instruction: str
    reason: Reason | None
    """Reason of the rejection in the other run; None without a candidate of this text in its reply."""
    witness: Neighbour | None
    """Witness of a candidate that is not novel, in the run that rejected it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The summaries of both runs, and the tasks that only one of them has."""

    before: RunSummary
    after: RunSummary
    both: int
    """Tasks in both runs."""
    only_before: tuple[OnlyThere, ...]
    """Tasks of the source alone, in pool order."""
    only_after: tuple[OnlyThere, ...]
    """Tasks of the new run alone, in pool order."""
    unused: int
    """Classification and instance replies about tasks that the new run does not have, or does not need."""
    undecided: int
    """Generation replies without a decision in both runs."""


def partners(theirs: Sequence[Accepted], ours: Sequence[Accepted]) -> dict[str, Accepted]:
    """Match the tasks of a reply: the task of the new run, by the id of the task in the source."""
    left = list(ours)
    matches: dict[str, Accepted] = {}
    for task in theirs:
        same = _same(task, left)
        if same is not None:
            matches[task.task_id] = same
            left.remove(same)
    return matches


def _same(task: Accepted, decisions: Sequence[D]) -> D | None:
    """Return the decision about the text of a task; among several, the one with the same number."""
    same = [d for d in decisions if folded(text_of(d)) == folded(task.instruction)]
    return next((d for d in same if d.candidate_id == task.candidate_id), next(iter(same), None))


def compare(
    before: RunState, after: RunState, theirs: Sequence[Committed], ours: Sequence[Committed]
) -> Comparison:
    """Compare two runs. The two lists of commits are about the same replies, in the same order."""
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
