"""The data classes of an explanation."""

from dataclasses import dataclass
from typing import Literal

from selfinstruct.records import Answer, Instance, Reason, Stage

How = Literal["id", "exact", "part", "reply", "none"]
"""How the query matched: an id, a whole text, a part of a text, only text in a raw reply, or nothing."""

Outcome = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A task in the pool and its similarity to a text."""

    task_id: str
    rouge_l: float
    instruction: str
    in_same_reply: bool = False
    """True if the task was accepted from the same reply as the text, just before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult:
    """What happened to a candidate."""

    kind: Literal["candidate"] = "candidate"
    id: str
    text: str
    outcome: Outcome
    stage: Literal["parse", "filter", "novelty", "accepted"]
    """Stage that rejected the candidate, or "accepted"."""
    reason: Reason | None = None
    meaning: str = ""
    task_id: str | None = None
    """Id of the task that the candidate became; None for a rejected candidate."""
    witness: Near | None = None
    """Similar task because of which the candidate was rejected, with its score, according to the journal."""
    nearest: Near | None = None
    """Most similar task in the pool at that time.

    None for a whole reply, and for a text without tokens to compare.
    """
    request_id: str
    ordinal: int
    """The candidate's position in the reply, counting from 1; 0 for the whole reply."""
    items: int
    """Number of candidates in the reply."""
    model: str
    received: int
    """Journal line that contains the reply."""
    decided: int
    """Journal line that contains the decision."""
    demonstrations: tuple[str, ...]
    """Ids of the tasks that the prompt showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceResult:
    """What happened to an instance."""

    kind: Literal["instance"] = "instance"
    id: str
    task_id: str
    instruction: str
    outcome: Outcome
    instance: Instance | None = None
    """Input and output of a kept instance; None for a rejected one."""
    text: str
    """Input and output in one text."""
    reason: Reason | None = None
    meaning: str = ""
    received: int
    decided: int
    place: str = ""
    """Where in its file an imported instance was found; "" otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """The model's answer to the question whether a task is a classification task."""

    request_id: str
    answer: Answer
    text: str
    """Text of the reply; "" if the request failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task in the pool, its origin, and its role in the run."""

    kind: Literal["task", "imported task", "seed task"]
    id: str
    instruction: str
    candidate: CandidateResult | None = None
    """The candidate that became the task; None for imported tasks and seed tasks."""
    place: str = ""
    """Where in its file an imported task was found, such as "regen.json:17 (record 4)"."""
    line: int = 0
    """Journal line that contains an imported task; 0 for other tasks."""
    model: str | None = None
    """Model that wrote an imported task; None if its file does not say."""
    imported_answer: Answer | None = None
    """Classification answer that was imported with the task."""
    is_classification: bool | None
    answers: tuple[AnswerResult, ...]
    instances: tuple[Instance, ...] | None
    """Instances of the task; None if the task has no instance decision yet."""
    rejected: tuple[InstanceResult, ...]
    """Rejected instances of the task. Imported ones come first."""
    demonstrations: tuple[tuple[str, str], ...] = ()
    """Ids and instructions of the tasks in the prompt from which the task was generated."""
    shown: int
    """Number of answered prompts that showed the task."""
    witness_against: int
    """Number of candidates that were rejected with the task as their witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """A request, its reply and the items in the reply."""

    kind: Literal["request"] = "request"
    id: str
    stage: Stage
    received: int
    text: str
    """Text of the reply; "" if the request failed."""
    model: str
    finish_reason: str | None
    demonstrations: tuple[str, ...]
    problem: str
    """Why the request has no result, such as a missing decision; "" if it has one."""
    answer: Answer | None
    items: tuple[CandidateResult | InstanceResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The lines around a match in a reply that is not exactly one item's text."""

    kind: Literal["excerpt"] = "excerpt"
    request_id: str
    received: int
    line: int
    """Line of the match in the reply, counting from 1."""
    text: str
    problem: str
    """Why the request has no result; "" if it has one."""
    answer: Answer | None
    items: tuple[CandidateResult | InstanceResult, ...]
    """Items of the reply whose text overlaps the query."""


Result = CandidateResult | InstanceResult | TaskResult | RequestResult | Excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCandidate:
    """How the run would decide on a text if it were the next candidate."""

    text: str
    reasons: tuple[Reason, ...]
    """All reasons to reject the text, in the order of the checks. The first one is decisive."""
    nearest: Near | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The matches of a query, and notes for the user."""

    query: str
    how: How
    total: int
    """Number of matches."""
    found: tuple[Result, ...]
    """The first matches, up to the limit."""
    partial: int = 0
    """Number of further items that contain the query, if other items match it exactly."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests whose replies contain the text, in the order of the ids; empty for an id."""
    as_candidate: NewCandidate | None = None
    """Decision on the text as the next candidate; None unless the query is a text without a match."""
    note: str = ""
    """Additional remark for the user; may be empty."""
