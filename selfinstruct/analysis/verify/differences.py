"""How two decisions differ, in words: the one in the journal, and the same one made again."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from selfinstruct.events import Accepted, Classified, Committed
from selfinstruct.records import Instance, Reason, Rejection


def ordinals(request_id: str, ids: Iterable[str]) -> list[int]:
    """The n of each `<request id>#<n>`; -1 for an id of anything else."""
    pattern = re.compile(re.escape(request_id) + r"#(0|[1-9]\d{0,8})", re.ASCII)
    return [int(match[1]) if (match := pattern.fullmatch(name)) else -1 for name in ids]


def natural(item: str) -> tuple[int, str]:
    """Sorts "…#2" before "…#10"."""
    return len(item), item


def verdicts(event: Committed) -> dict[str, Accepted | Rejection]:
    """What became of each candidate, without what is no part of the decision or compared by itself."""
    verdicts: dict[str, Accepted | Rejection] = {
        # A task that is missing shifts the ids of all after it; that is said once, where they jump.
        accepted.candidate_id: replace(accepted, task_id="")
        for accepted in event.accepted
    }
    for rejection in event.rejected:
        is_relative = rejection.reason is Reason.NOT_NOVEL
        verdicts[rejection.candidate_id] = (
            replace(rejection, nearest=None) if is_relative else rejection
        )
    return verdicts


def differences(
    journaled: Accepted | Rejection | None, decided: Accepted | Rejection | None
) -> Iterator[str]:
    """How what became of one candidate, or of one instance that was rejected, differs."""
    if journaled is None or decided is None:
        holds, lacks = ("reply", "journal") if journaled is None else ("journal", "reply")
        yield f"the {holds} holds it ({_told(journaled or decided)}); the {lacks} does not"
        return
    if _told(journaled) != _told(decided):
        yield f"the journal says {_told(journaled)}; decided again it is {_told(decided)}"
    elif isinstance(journaled, Rejection) and isinstance(decided, Rejection):
        if journaled.stage != decided.stage:
            yield f"the journal has it rejected in {journaled.stage}, not in {decided.stage}"
        if journaled.nearest != decided.nearest:
            yield "the journal names a witness where none is needed"
    elif isinstance(journaled, Accepted) and isinstance(decided, Accepted):
        yield from instance_differences(
            [journaled.instance] if journaled.instance else [],
            [decided.instance] if decided.instance else [],
        )
    yield from _text_difference("text", _text(journaled), _text(decided))


def instance_differences(
    journaled: Sequence[Instance], decided: Sequence[Instance]
) -> Iterator[str]:
    """How the instances that are kept differ."""
    if len(journaled) != len(decided):
        yield f"the journal keeps {_count(journaled)}; read again the reply gives {_count(decided)}"
        return
    for n, (ours, theirs) in enumerate(zip(journaled, decided, strict=True), start=1):
        yield from _text_difference(f"input of instance {n}", ours.input, theirs.input)
        yield from _text_difference(f"output of instance {n}", ours.output, theirs.output)


def _text_difference(name: str, journaled: str, decided: str) -> Iterator[str]:
    if journaled == decided:
        return
    same = next(
        (n for n, (a, b) in enumerate(zip(journaled, decided, strict=False)) if a != b),
        min(len(journaled), len(decided)),
    )
    yield (
        f"the {name} in the journal is {_from(journaled, same)}; read again it is {_from(decided, same)}"
    )


def _from(text: str, place: int) -> str:
    """A piece of a long text around the place where it differs."""
    start, end = max(0, place - 20), place + 40
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return f"“{before}{text[start:end]}{after}”"


def _text(verdict: Accepted | Rejection) -> str:
    return verdict.instruction if isinstance(verdict, Accepted) else verdict.text


def _told(verdict: Accepted | Rejection | None) -> str:
    return f"rejected: {verdict.reason}" if isinstance(verdict, Rejection) else "accepted"


def told_kind(event: Classified) -> str:
    """What was decided about the kind of a task."""
    if event.is_classification is None:
        return f"{event.answer}, to be asked once more"
    return f"{event.answer}, {'a' if event.is_classification else 'no'} classification task"


def _count(instances: Sequence[Instance]) -> str:
    return "1 instance" if len(instances) == 1 else f"{len(instances)} instances"


def listed(ids: Sequence[str]) -> str:
    """Ids in a sentence."""
    return ", ".join(ids) or "nothing"
