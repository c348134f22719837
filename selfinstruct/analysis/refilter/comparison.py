"""How a run that was decided again differs from what it was before.

A task is the same in both where the same reply has it with the same text, but for case and white space: the
profiles differ in these, and in how they count the items of a reply.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from selfinstruct.events import Accepted, Committed, CompletionReceived
from selfinstruct.pipeline.parse.cleanup import folded
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Neighbour, Reason, Rejection

Verdict = TypeVar("Verdict", Accepted, Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyThere:
    """A task of one of the two runs that is none of the other, and why."""

    task_id: str
    candidate_id: str
    """In the run that has it."""
    instruction: str
    reason: Reason | None
    """Why it was rejected in the other; None where that found no candidate of this text in the reply."""
    witness: Neighbour | None
    """Of what is not novel, as the run that rejected it names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was, what is, and which tasks are in one of them only."""

    before: RunSummary
    after: RunSummary
    both: int
    """Tasks that are in both."""
    only_before: tuple[OnlyThere, ...]
    """In the order of the pool, as the next."""
    only_after: tuple[OnlyThere, ...]
    unused: int
    """Replies about kinds or instances that nothing follows from: of no task here, or not needed."""
    undecided: int
    """Generation replies that were not decided before, and are not now. Failed requests have no reply."""


def partners(theirs: Sequence[Accepted], ours: Sequence[Accepted]) -> dict[str, Accepted]:
    """By the id of each task of a reply as it was decided there, the same one as it is decided here."""
    left = list(ours)
    found: dict[str, Accepted] = {}
    for task in theirs:
        same = _same(task, left)
        if same is not None:
            found[task.task_id] = same
            left.remove(same)
    return found


def _same(task: Accepted, verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict about the text of a task: on the item of the same number, if several have that text."""
    same = [v for v in verdicts if folded(_text(v)) == folded(task.instruction)]
    return next((v for v in same if v.candidate_id == task.candidate_id), next(iter(same), None))


def _text(verdict: Accepted | Rejection) -> str:
    return verdict.instruction if isinstance(verdict, Accepted) else verdict.text


def compare(
    before: RunState, after: RunState, theirs: Sequence[Committed], ours: Sequence[Committed]
) -> Comparison:
    """Compare two runs by their decisions about the same replies, which stand at the same places."""
    only_before: list[OnlyThere] = []
    only_after: list[OnlyThere] = []
    for there, here in zip(theirs, ours, strict=True):
        same = partners(there.accepted, here.accepted)
        kept = {task.task_id for task in same.values()}
        only_before += _only(there, here, known=same.keys())
        only_after += _only(here, there, known=kept)
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


def _only(has: Committed, lacks: Committed, *, known: Container[str]) -> Iterator[OnlyThere]:
    for task in has.accepted:
        if task.task_id in known:
            continue
        rejection = _same(task, lacks.rejected)
        yield OnlyThere(
            task_id=task.task_id,
            candidate_id=task.candidate_id,
            instruction=task.instruction,
            reason=rejection.reason if rejection is not None else None,
            witness=rejection.nearest if rejection is not None else None,
        )
