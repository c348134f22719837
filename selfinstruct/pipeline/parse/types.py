"""Arguments and results of parsers."""

from collections.abc import Callable
from dataclasses import dataclass

from selfinstruct.records import (
    Answer,
    Candidate,
    Completion,
    Instance,
    Reason,
    Rejection,
    rejected_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedList:
    """The prompt of a generation request, as far as parsers need it."""

    first_number: int = 9
    """Number of the first new task. The demonstrations have the numbers before it."""
    demonstrations: tuple[str, ...] | None = None
    """Instructions in the prompt; None if unknown."""
    continues: bool | None = None
    """True if the reply continues the prompt after the first number, as with a base model; False for a chat
    model; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInstances:
    """The prompt of an instance request, as far as parsers need it."""

    output_first: bool
    """True if the prompt asked for class labels before inputs."""
    instruction: str = ""
    """Instruction of the task; "" if unknown."""
    limit: int | None = None
    """Maximum number of instances to accept; None accepts all."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An input and an output found in a reply."""

    input: str
    output: str
    reason: Reason | None = None
    """Reason to reject the pair because of its format."""


@dataclass(frozen=True, slots=True)
class ParsedList:
    """Result of a generation request. Every item is either a candidate or a rejection."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """Result of an instance request."""

    instances: tuple[Instance, ...]
    rejections: tuple[Rejection, ...]


ListParser = Callable[[str, Completion, AskedList], ParsedList]
"""Parser of replies to generation requests. Takes the request id. Never raises."""
InstanceParser = Callable[[str, Completion, AskedInstances], ParsedInstances]
"""Parser of replies to instance requests. Takes the request id. Never raises."""


AnswerParser = Callable[[Completion, str], Answer]
"""Parser of replies to the classification question. Takes the instruction, or "". Never raises."""


def rejection(request_id: str, n: int, reason: Reason, text: str) -> Rejection:
    """Return a rejection of item `n` of a reply; 0 means the whole reply."""
    return Rejection(
        candidate_id=f"{request_id}#{n}", stage="parse", reason=reason, text=rejected_text(text)
    )


def pair_text(instance: Instance) -> str:
    """Return an instance as text, for a rejection."""
    return f"{instance.input}\n{instance.output}".strip()


def select(
    request_id: str,
    judged: list[tuple[Instance, Reason | None]],
    *,
    limit: int | None,
    conflict_without_input: bool,
    normalize: Callable[[str], str] = str,
) -> ParsedInstances:
    """Accept the first `limit` instances that have no reason, no duplicate and no conflict.

    Instances with the same input and different outputs conflict, and all of them are rejected. Without input,
    several outputs are several solutions; they conflict only if `conflict_without_input`, as class labels do.
    `normalize` makes texts comparable.
    """
    outputs: dict[str, set[str]] = {}
    for instance, reason in judged:
        if reason is None:
            outputs.setdefault(normalize(instance.input), set()).add(normalize(instance.output))
    accepted: list[Instance] = []
    seen: set[tuple[str, str]] = set()
    rejections: list[Rejection] = []
    for n, (instance, reason) in enumerate(judged, start=1):
        pair = normalize(instance.input), normalize(instance.output)
        if reason is None:
            may_conflict = bool(instance.input) or conflict_without_input
            if may_conflict and len(outputs[pair[0]]) > 1:
                reason = Reason.CONFLICTING_OUTPUTS
            elif pair in seen:
                reason = Reason.DUPLICATE_INSTANCE
            elif limit is not None and len(accepted) == limit:
                reason = Reason.OVER_LIMIT
        if reason is None:
            accepted.append(instance)
            seen.add(pair)
        else:
            rejections.append(rejection(request_id, n, reason, pair_text(instance)))
    return ParsedInstances(tuple(accepted), tuple(rejections))
