"""Types of the parsers' arguments and results."""

from collections.abc import Callable
from dataclasses import dataclass

from selfinstruct import records


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedList:
    """What a parser needs to know about the prompt of a generation request."""

    first_number: int = 9
    """Number of the first new task. The demonstrations have the numbers before it."""
    demonstrations: tuple[str, ...] | None = None
    """Instructions that the prompt shows; None if unknown."""
    continues: bool | None = None
    """True if the reply continues the prompt, which ends in the first number. True for a base model, False
    for a chat model, None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInstances:
    """What a parser needs to know about the prompt of an instance request."""

    output_first: bool
    """True if the prompt asked for the class label before the input."""
    instruction: str = ""
    """Instruction of the task; "" if unknown."""
    limit: int | None = None
    """Maximum number of instances to accept; None means no maximum."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An input and an output found in a reply."""

    input: str
    output: str
    reason: records.Reason | None = None
    """Why the pair's format makes it unusable; None if the format is fine."""


@dataclass(frozen=True, slots=True)
class ParsedList:
    """Parsed reply to a generation request. Each item of the reply is either a candidate or a rejection."""

    candidates: tuple[records.Candidate, ...]
    rejections: tuple[records.Rejection, ...]


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """Parsed reply to an instance request."""

    instances: tuple[records.Instance, ...]
    rejections: tuple[records.Rejection, ...]


ListParser = Callable[[str, records.Completion, AskedList], ParsedList]
"""Parser for replies to generation requests. The first argument is the request id. Never raises."""
InstanceParser = Callable[[str, records.Completion, AskedInstances], ParsedInstances]
"""Parser for replies to instance requests. The first argument is the request id. Never raises."""


AnswerParser = Callable[[records.Completion, str], records.Answer]
"""Parser for replies to the classification question. The second argument is the task's instruction, or "" if
the instruction is unknown. Never raises."""


def rejection(request_id: str, n: int, reason: records.Reason, text: str) -> records.Rejection:
    """Return a rejection of item number `n` in a reply; 0 means the whole reply."""
    return records.Rejection(
        candidate_id=f"{request_id}#{n}",
        stage="parse",
        reason=reason,
        text=records.rejected_text(text),
    )


def pair_text(instance: records.Instance) -> str:
    """Return an instance as the text that its rejection stores."""
    return f"{instance.input}\n{instance.output}".strip()


def select(
    request_id: str,
    judged: list[tuple[records.Instance, records.Reason | None]],
    *,
    limit: int | None,
    conflict_without_input: bool,
    normalize: Callable[[str], str] = str,
) -> ParsedInstances:
    """Accept the first `limit` usable instances, and reject the others.

    `judged` has each instance with the reason to reject it, or None. An instance is also rejected if it
    repeats an earlier one. Instances with the same input but different outputs conflict, and all of them are
    rejected. If the input is empty, several outputs are several solutions: they conflict only if
    `conflict_without_input` is true, as for class labels. Texts are compared after `normalize` is applied.
    """
    outputs: dict[str, set[str]] = {}
    for instance, reason in judged:
        if reason is None:
            outputs.setdefault(normalize(instance.input), set()).add(normalize(instance.output))
    accepted: list[records.Instance] = []
    seen: set[tuple[str, str]] = set()
    rejections: list[records.Rejection] = []
    for n, (instance, reason) in enumerate(judged, start=1):
        pair = normalize(instance.input), normalize(instance.output)
        if reason is None:
            may_conflict = bool(instance.input) or conflict_without_input
            if may_conflict and len(outputs[pair[0]]) > 1:
                reason = records.Reason.CONFLICTING_OUTPUTS
            elif pair in seen:
                reason = records.Reason.DUPLICATE_INSTANCE
            elif limit is not None and len(accepted) == limit:
                reason = records.Reason.OVER_LIMIT
        if reason is None:
            accepted.append(instance)
            seen.add(pair)
        else:
            rejections.append(rejection(request_id, n, reason, pair_text(instance)))
    return ParsedInstances(tuple(accepted), tuple(rejections))
