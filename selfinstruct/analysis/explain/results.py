"""The records that an explanation consists of."""

from dataclasses import dataclass
from typing import Literal

from selfinstruct.records import Answer, Instance, Reason, Stage

How = Literal["id", "exact", "part", "reply", "none"]
"""Kind of match: an id, a whole text, a part of a text, only a reply, or none."""

Outcome = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A task of the pool and its similarity to a text."""

    task_id: str
    rouge_l: float
    instruction: str
    in_same_reply: bool = False
    """Whether the task was accepted just before, from the same reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult:
    """The outcome of a candidate."""

    kind: Literal["candidate"] = "candidate"
    id: str
    text: str
    outcome: Outcome
    stage: Literal["parse", "filter", "novelty", "accepted"]
    """Stage of the decision."""
    reason: Reason | None = None
    meaning: str = ""
    task_id: str | None = None
    """Id of the accepted task."""
    witness: Near | None = None
    """Similar task that the journal names, with the score in the journal."""
    nearest: Near | None = None
    """Most similar task of the pool at that time; None for a whole reply, or without a token to compare."""
    request_id: str
    ordinal: int
    """Place in the reply, from 1; 0 for the whole reply."""
    items: int
    """Candidates in the reply."""
    model: str
    received: int
    """Line of the reply in the journal."""
    decided: int
    """Line of the decision in the journal."""
    demonstrations: tuple[str, ...]
    """Ids of the tasks in the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceResult:
    """The outcome of an instance."""

    kind: Literal["instance"] = "instance"
    id: str
    task_id: str
    instruction: str
    outcome: Outcome
    instance: Instance | None = None
    """Input and output of a kept instance."""
    text: str
    """Input and output in one text."""
    reason: Reason | None = None
    meaning: str = ""
    received: int
    decided: int
    place: str = ""
    """Place of an imported instance in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """The answer to the question whether a task is a classification task."""

    request_id: str
    answer: Answer
    text: str
    """Text of the reply; "" for a failed request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task of the pool, its origin, and its role in the run."""

    kind: Literal["task", "imported task", "seed task"]
    id: str
    instruction: str
    candidate: CandidateResult | None = None
    """The candidate that became the task; None for imported tasks and seed tasks."""
    place: str = ""
    """Place of an imported task in its file: "regen.json:17 (record 4)"."""
    line: int = 0
    """Line of an imported task in the journal."""
    model: str | None = None
    """Model that wrote an imported task, if the file names the model."""
    imported_answer: Answer | None = None
    """Answer that was imported with the task."""
    is_classification: bool | None
    answers: tuple[AnswerResult, ...]
    instances: tuple[Instance, ...] | None
    """None until the instances are written."""
    rejected: tuple[InstanceResult, ...]
    """Rejected instances, imported ones first."""
    demonstrations: tuple[tuple[str, str], ...] = ()
    """Ids and instructions of the tasks in the prompt of a generated task."""
    shown: int
    """Answered prompts that showed the task."""
    witness_against: int
    """Candidates that were rejected with the task as their witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """A request, its reply and the items in the reply."""

    kind: Literal["request"] = "request"
    id: str
    stage: Stage
    received: int
    text: str
    """Text of the reply; "" for a failed request."""
    model: str
    finish_reason: str | None
    demonstrations: tuple[str, ...]
    problem: str
    """Why the request has no result, such as a refusal or a missing decision; "" otherwise."""
    answer: Answer | None
    items: tuple[CandidateResult | InstanceResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A place in a reply that is not exactly one item."""

    kind: Literal["excerpt"] = "excerpt"
    request_id: str
    received: int
    line: int
    """Line of the reply, from 1."""
    text: str
    problem: str
    """Same as for a request."""
    answer: Answer | None
    items: tuple[CandidateResult | InstanceResult, ...]
    """Items whose text the place contains."""


Result = CandidateResult | InstanceResult | TaskResult | RequestResult | Excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCandidate:
    """The decision about a text as the next candidate of the run."""

    text: str
    reasons: tuple[Reason, ...]
    """All reasons to reject the text, in the order of the checks; the first one decides."""
    nearest: Near | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to a query."""

    query: str
    how: How
    total: int
    """Number of matches."""
    found: tuple[Result, ...]
    """The first matches."""
    partial: int = 0
    """Further items whose text contains the query, for an exact match."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests whose replies contain the text, in journal order; empty for an id."""
    as_candidate: NewCandidate | None = None
    """Decision about the text if it were a candidate, for a text without a match."""
    note: str = ""
    """Further remark for the reader."""
