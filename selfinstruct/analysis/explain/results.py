"""What can have become of a text or an id: the records that an explanation consists of.

Knows what is told of each, and what every reason says in a sentence; finds nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from selfinstruct.records import Answer, Instance, Reason, Stage

MEANING: Mapping[Reason, str] = {
    Reason.EMPTY_REPLY: "The reply says nothing, or nothing but thoughts.",
    Reason.REFUSAL: "The model declines or apologises in place of an answer.",
    Reason.NO_LIST: "The reply holds no list of tasks in a form that can be read.",
    Reason.NO_OUTPUT: "There is no output that could be told from the rest of the text.",
    Reason.TRUNCATED: "The text was cut off before its end, so what is there may not be whole.",
    Reason.ECHO: "It repeats the prompt: a task that was shown, or the heading of the list.",
    Reason.MALFORMED: "It lacks its instruction, input or output, or has one of them twice.",
    Reason.EMPTY: "There is a number in the list, and no text to it.",
    Reason.TOO_SHORT: "It has three words or fewer.",
    Reason.TOO_LONG: "It has more than 150 words.",
    Reason.NOT_FOR_TEXT_MODEL: "It has a word such as image, file, map or draw: more than text is needed.",
    Reason.WRITE_A_PROGRAM: "It begins “Write a program”, which models put before tasks they have seen.",
    Reason.LEADING_PUNCTUATION: "It begins with a sign that opens no sentence, as after a list gone wrong.",
    Reason.NON_ASCII_START: "Its first character is none of ASCII, which the published code rejects.",
    Reason.CONTROL_TOKENS: "The text contains a control token or a reasoning tag, such as <think>.",
    Reason.CONTROL_CHARACTERS: "It holds characters that drive a terminal or stand for broken text.",
    Reason.URL: "It holds a web address, which a model of text cannot open.",
    Reason.MERGED_TASKS: "Several tasks, or a task and its example, have run into one.",
    Reason.WRONG_SCRIPT: "Most of its letters are of a script that no seed or imported task is written in.",
    Reason.NO_WORDS: "It holds no letter and no digit.",
    Reason.NO_TOKENS: "It holds nothing that ROUGE-L could compare, so that a copy of it would go unnoticed.",
    Reason.NOT_NOVEL: "Its ROUGE-L to a task of the pool is over the threshold.",
    Reason.EMPTY_OUTPUT: "Its output is empty, or says in words that there is none.",
    Reason.EMPTY_INPUT: "It is a label whose input was left empty.",
    Reason.OUTPUT_EQUALS_INPUT: "Its output only repeats its input.",
    Reason.ENDS_IN_COLON: "Its input or output ends in a colon: what should follow is missing.",
    Reason.AMBIGUOUS_FORMAT: "Nothing tells which part of it is the input and which the output.",
    Reason.CONFLICTING_OUTPUTS: "The reply gives several outputs for this one input; none of them is kept.",
    Reason.DUPLICATE_INSTANCE: "The same instance stands earlier in the reply.",
    Reason.OVER_LIMIT: "As many instances as are kept of a task stand before it.",
}
"""What a reason says about the text, in a sentence for a person."""

How = Literal["id", "exact", "part", "reply", "none"]
"""How a query was found: as an id, as a whole text, inside of one, in a reply only, or not at all."""

Verdict = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A task of the pool, and how near it is."""

    task_id: str
    rouge_l: float
    instruction: str
    in_same_reply: bool = False
    """Whether it was accepted just before, from the same reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateFate:
    """What became of a candidate."""

    kind: Literal["candidate"] = "candidate"
    id: str
    text: str
    verdict: Verdict
    stage: Literal["parse", "filter", "novelty", "accepted"]
    """Where it was decided."""
    reason: Reason | None = None
    meaning: str = ""
    task_id: str | None = None
    """What it became."""
    witness: Near | None = None
    """The one that the journal names, with the score that it has there."""
    nearest: Near | None = None
    """Of the pool as it was then. None for a whole reply, and where there is nothing to compare."""
    request_id: str
    ordinal: int
    """Place in the reply, from 1; 0 for the whole reply."""
    items: int
    """How many there are in the reply."""
    model: str
    received: int
    """Line of the journal that holds the reply …"""
    decided: int
    """… and the one with the decision."""
    demonstrations: tuple[str, ...]
    """Ids of the tasks shown in the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFate:
    """What became of an instance."""

    kind: Literal["instance"] = "instance"
    id: str
    task_id: str
    instruction: str
    verdict: Verdict
    instance: Instance | None = None
    """Where it was kept."""
    text: str
    """Input and output."""
    reason: Reason | None = None
    meaning: str = ""
    received: int
    decided: int
    place: str = ""
    """In a file, of one that was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGiven:
    """What a reply said about the kind of a task."""

    request_id: str
    answer: Answer
    text: str
    """The reply; "" for a request that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFate:
    """Where a task of the pool comes from and what is known of it."""

    kind: Literal["task"] = "task"
    id: str
    instruction: str
    candidate: CandidateFate
    is_classification: bool | None
    answers: tuple[AnswerGiven, ...]
    instances: tuple[Instance, ...] | None
    """None until they were asked for."""
    rejected: tuple[InstanceFate, ...]
    demonstrations: tuple[tuple[str, str], ...]
    """Ids and instructions of the tasks shown in its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFate:
    """A task that was imported, and what has become known of it since."""

    kind: Literal["imported task"] = "imported task"
    id: str
    instruction: str
    place: str
    """Where a file names it: "regen.json:17 (record 4)"."""
    line: int
    """Line of the journal that holds it."""
    model: str | None
    """That wrote it, where a file says so."""
    is_classification: bool | None
    said: Answer | None
    """What the reply said that was imported with it …"""
    answers: tuple[AnswerGiven, ...]
    """… and what was answered since."""
    instances: tuple[Instance, ...] | None
    """None until they were asked for."""
    rejected: tuple[InstanceFate, ...]
    """Both those that were imported with it and those that were written since."""
    shown: int
    """In how many prompts that were answered."""
    witness_against: int
    """How many candidates were rejected with it as the witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFate:
    """A seed task, and what it did in the run."""

    kind: Literal["seed task"] = "seed task"
    id: str
    instruction: str
    is_classification: bool | None
    instances: int
    shown: int
    """In how many prompts that were answered."""
    witness_against: int
    """How many candidates were rejected with it as the witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFate:
    """A request, its reply and what was found in it."""

    kind: Literal["request"] = "request"
    id: str
    stage: Stage
    received: int
    text: str
    """The whole reply; "" for a request that failed."""
    model: str
    finish_reason: str | None
    demonstrations: tuple[str, ...]
    problem: str
    """What stands in the way: that it was refused, or that it is not decided yet. "" where nothing does."""
    answer: Answer | None
    items: tuple[CandidateFate | InstanceFate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A place in a reply that is no whole item, or is none at all."""

    kind: Literal["passage"] = "passage"
    request_id: str
    received: int
    line: int
    """In the reply, from 1."""
    excerpt: str
    problem: str
    """As for a request."""
    answer: Answer | None
    items: tuple[CandidateFate | InstanceFate, ...]
    """Those whose text stands in it."""


Fate = CandidateFate | InstanceFate | TaskFate | ImportedFate | SeedFate | RequestFate | Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What would become of a text as a candidate now."""

    text: str
    reasons: tuple[Reason, ...]
    """All that speaks against it, in the order of the checks: the first one would be its reason."""
    nearest: Near | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to a query."""

    query: str
    how: How
    total: int
    """How many were found."""
    found: tuple[Fate, ...]
    """The first of them."""
    partial: int = 0
    """Where whole texts were found: in how many more it is a part."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests in whose replies the text stands, as they came; for an id, none."""
    outlook: Outlook | None = None
    """Where nothing was found and the query is a text."""
    note: str = ""
    """What else should be known."""
