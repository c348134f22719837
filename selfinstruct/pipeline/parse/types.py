"""What goes into a parser beside the reply, and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
    """What is known of the prompt that a list of tasks answers."""

    first_number: int = 9
    """Number of the first task asked for; the demonstrations have those before it."""
    demonstrations: tuple[str, ...] | None = None
    """The instructions shown; None where they are not known."""
    continues: bool | None = None
    """Whether the reply goes on where the prompt ends, behind the first number: True of a base model,
    False of a chat model; None where it is not known and the text must tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInstances:
    """What is known of the prompt that asks for instances."""

    output_first: bool
    instruction: str = ""
    """The task; "" where it is not known."""
    limit: int | None = None
    """Instances kept of a task; None keeps all."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An input and an output on their way to an instance; `reason` where their form speaks against them."""

    given: str
    output: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class ParsedList:
    """What a reply to a generation request says. Every item is in exactly one of the two."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """What a reply to an instance request says."""

    instances: tuple[Instance, ...]
    rejections: tuple[Rejection, ...]


class ListParser(Protocol):
    """Reads a reply to a generation request."""

    def __call__(self, request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
        """Find the candidates. Never raises."""
        ...


class AnswerParser(Protocol):
    """Reads a reply to "Is it a classification task?"."""

    def __call__(self, completion: Completion, *, instruction: str = "") -> Answer:
        """Find the answer. Never raises."""
        ...


class InstanceParser(Protocol):
    """Reads a reply to an instance request."""

    def __call__(
        self, request_id: str, completion: Completion, asked: AskedInstances
    ) -> ParsedInstances:
        """Find the instances. Never raises."""
        ...


def rejection(request_id: str, n: int, reason: Reason, text: str) -> Rejection:
    """A rejection of item `n` of a reply; n is 0 for the whole reply."""
    return Rejection(
        candidate_id=f"{request_id}#{n}", stage="parse", reason=reason, text=rejected_text(text)
    )


def pair_text(instance: Instance) -> str:
    """An instance as the text of a rejection."""
    return f"{instance.input}\n{instance.output}".strip()


def keep(
    request_id: str,
    judged: list[tuple[Instance, Reason | None]],
    *,
    limit: int | None,
    conflict_without_input: bool,
    same: Callable[[str], str] = str,
) -> ParsedInstances:
    """Of instances that were judged one by one, the first `limit` good ones in text order.

    Of one input with different outputs none is kept. Where there is no input, several outputs are as many
    ways to do the task, unless `conflict_without_input`: two labels for nothing contradict each other. Two
    texts count as one where `same` makes them equal.
    """
    outputs: dict[str, set[str]] = {}
    for instance, reason in judged:
        if reason is None:
            outputs.setdefault(same(instance.input), set()).add(same(instance.output))
    kept: list[Instance] = []
    known: set[tuple[str, str]] = set()
    rejections: list[Rejection] = []
    for n, (instance, reason) in enumerate(judged, start=1):
        if reason is None:
            may_conflict = bool(instance.input) or conflict_without_input
            if may_conflict and len(outputs[same(instance.input)]) > 1:
                reason = Reason.CONFLICTING_OUTPUTS
            elif (same(instance.input), same(instance.output)) in known:
                reason = Reason.DUPLICATE_INSTANCE
            elif limit is not None and len(kept) == limit:
                reason = Reason.OVER_LIMIT
        if reason is None:
            kept.append(instance)
            known.add((same(instance.input), same(instance.output)))
        else:
            rejections.append(rejection(request_id, n, reason, pair_text(instance)))
    return ParsedInstances(tuple(kept), tuple(rejections))
