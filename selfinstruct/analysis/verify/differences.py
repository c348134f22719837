"""Describe the differences between a journaled decision and the same decision made again, in sentences."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from selfinstruct.analysis.verdict import text_of
from selfinstruct.journal_events import Accepted, Classified, Committed
from selfinstruct.records import Instance, Reason, Rejection

Decided = Accepted | Rejection


def ordinals(request_id: str, ids: Iterable[str]) -> list[int]:
    """Return the number n in each id of the form `<request id>#<n>`; -1 for an id of another form."""
    pattern = re.compile(re.escape(request_id) + r"#(0|[1-9]\d{0,8})", re.ASCII)
    return [int(match[1]) if (match := pattern.fullmatch(name)) else -1 for name in ids]


def natural(item: str) -> tuple[int, str]:
    """Return a sort key that puts "…#2" before "…#10"."""
    return len(item), item


def by_candidate(event: Committed) -> dict[str, Decided]:
    """Return a commit's decisions by candidate id, without the parts that are checked separately."""
    # A missing task shifts the ids of all later tasks. A separate check of the ids reports this only once.
    decisions: dict[str, Decided] = {
        accepted.candidate_id: replace(accepted, task_id="") for accepted in event.accepted
    }
    for rejection in event.rejected:
        if rejection.reason is Reason.NOT_NOVEL:  # more than one witness can be correct
            rejection = replace(rejection, nearest=None)
        decisions[rejection.candidate_id] = rejection
    return decisions


def differences(journaled: Decided | None, decided: Decided | None) -> Iterator[str]:
    """Yield the differences between two decisions on a candidate, or on a rejected instance."""
    if journaled is None or decided is None:
        has, lacks = ("reply", "journal") if journaled is None else ("journal", "reply")
        yield f"the {has} contains it ({_outcome(journaled or decided)}); the {lacks} does not"
        return
    if _outcome(journaled) != _outcome(decided):
        yield f"the journal says {_outcome(journaled)}; decided again, it is {_outcome(decided)}"
    elif isinstance(journaled, Rejection) and isinstance(decided, Rejection):
        if journaled.stage != decided.stage:
            yield f"the journal says it was rejected in {journaled.stage}, not in {decided.stage}"
        if journaled.nearest != decided.nearest:
            yield "the journal names a witness, but this reason needs none"
    elif isinstance(journaled, Accepted) and isinstance(decided, Accepted):
        yield from instance_differences(
            [journaled.instance] if journaled.instance else [],
            [decided.instance] if decided.instance else [],
        )
    yield from _text_difference("text", text_of(journaled), text_of(decided))


def instance_differences(
    journaled: Sequence[Instance], decided: Sequence[Instance]
) -> Iterator[str]:
    """Yield the differences between the kept instances of two decisions."""
    if len(journaled) != len(decided):
        counts = [f"{len(n)} instance{'' if len(n) == 1 else 's'}" for n in (journaled, decided)]
        yield f"the journal has {counts[0]}; the reply, parsed again, has {counts[1]}"
        return
    for n, (first, second) in enumerate(zip(journaled, decided, strict=True), start=1):
        yield from _text_difference(f"input of instance {n}", first.input, second.input)
        yield from _text_difference(f"output of instance {n}", first.output, second.output)


def _text_difference(name: str, journaled: str, decided: str) -> Iterator[str]:
    if journaled == decided:
        return
    same = next(
        (n for n, (a, b) in enumerate(zip(journaled, decided, strict=False)) if a != b),
        min(len(journaled), len(decided)),
    )
    yield (
        f"the {name} in the journal is {_excerpt(journaled, same)}; "
        f"parsed again, it is {_excerpt(decided, same)}"
    )


def _excerpt(text: str, position: int) -> str:
    """Return a quoted part of the text around `position`."""
    start, end = max(0, position - 20), position + 40
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return f"“{before}{text[start:end]}{after}”"


def _outcome(decided: Decided | None) -> str:
    return f"rejected: {decided.reason}" if isinstance(decided, Rejection) else "accepted"


def kind(event: Classified) -> str:
    """Return the decision on whether a task is a classification task, in words."""
    if event.is_classification is None:
        return f"{event.answer}, to be asked again"
    return f"{event.answer}, {'a' if event.is_classification else 'not a'} classification task"
