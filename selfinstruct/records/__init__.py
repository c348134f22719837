"""The pipeline's immutable records. They have no I/O, and no logic except derived properties.

    SeedTask ─┐
    Task ─────┴→ Prompt → Request → Completion → Candidate → Task | Rejection

Text is `str` without lone surrogates (the backends replace them). Ids are strings. Times are in seconds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal

from selfinstruct.records.finish_reasons import Ending, ending


class Strict:
    """Base class of the records in the journal. Reading one fails if a type is wrong or a key is unknown."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}


Stage = Literal["generate", "classify", "instances"]
"""What a request asks for: new instructions, a task's classification, or a task's instances."""


Answer = Literal["yes", "no", "unclear"]
"""The model's answer to "Is it a classification task?"."""


class Reason(StrEnum):
    """Why a candidate or an instance was rejected."""

    def __repr__(self) -> str:
        return repr(self.value)  # makes printed counts readable

    # why a whole reply was rejected
    EMPTY_REPLY = "empty_reply"
    REFUSAL = "refusal"
    NO_LIST = "no_list"
    NO_OUTPUT = "no_output"
    # why the last item in a reply was rejected; with the profile "paper", why the whole list was rejected
    TRUNCATED = "truncated"
    # why an item in a list was rejected
    ECHO = "echo"
    MALFORMED = "malformed"
    # why an instruction was rejected
    EMPTY = "empty"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NOT_FOR_TEXT_MODEL = "not_for_text_model"
    WRITE_A_PROGRAM = "write_a_program"
    LEADING_PUNCTUATION = "leading_punctuation"
    NON_ASCII_START = "non_ascii_start"
    CONTROL_CHARACTERS = "control_characters"
    CONTROL_TOKENS = "control_tokens"  # also a reason for instances
    URL = "url"
    MERGED_TASKS = "merged_tasks"
    WRONG_SCRIPT = "wrong_script"
    NO_WORDS = "no_words"
    NO_TOKENS = "no_tokens"
    NOT_NOVEL = "not_novel"
    # why an instance was rejected
    EMPTY_OUTPUT = "empty_output"
    EMPTY_INPUT = "empty_input"
    OUTPUT_EQUALS_INPUT = "output_equals_input"
    ENDS_IN_COLON = "ends_in_colon"
    AMBIGUOUS_FORMAT = "ambiguous_format"
    CONFLICTING_OUTPUTS = "conflicting_outputs"
    DUPLICATE_INSTANCE = "duplicate_instance"
    OVER_LIMIT = "over_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Strict):
    """One worked example for an instruction."""

    input: str
    """Text that the instruction applies to; "" if the instruction needs no input."""
    output: str
    """The answer, which is never empty in an accepted instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTask:
    """A hand-written task. In a run directory, it is a line of `seed_tasks.jsonl`."""

    id: str
    name: str
    instruction: str
    instances: tuple[Instance, ...]
    is_classification: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A rendered template: messages for a chat model, or a text for a base model to continue."""

    template: str
    """Name of the template: `<template folder>/<file>@<first 12 hex digits of the SHA-256>`."""
    messages: tuple[Message, ...] = ()
    text: str | None = None
    """Text for a base model to continue; None for a chat prompt."""
    demonstration_ids: tuple[str, ...] = ()
    """Ids of the demonstration tasks, in the order in which the prompt shows them."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the text, or of the roles and contents of all messages; 64 hex digits."""
        digest = hashlib.sha256((self.text or "").encode())
        for message in self.messages:
            digest.update(f"{message.role}\0{message.content}\0".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of a request. Parameters that are None are not sent."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Stop sequences. The reply ends before the first one that occurs."""
    top_logprobs: int | None = None
    """Number of alternatives to request for each token of the reply, at least 0; None requests no
    log-probabilities."""
    prompt_logprobs: bool = False
    """True if to request the log-probabilities of the prompt's tokens."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Additional members of the request body. If a value is None, the member of that name is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt with its sampling parameters."""

    id: str
    """`<stage>/<number or task id>`, such as "generate/000123"."""
    stage: Stage
    prompt: Prompt
    sampling: Sampling


_MAX_PROMPT_TOKENS = 10**7
"""Maximum credible number of prompt tokens: the context window of Llama 4 Scout, the longest available."""
_MAX_COMPLETION_TOKENS = 10**6
"""Maximum credible number of reply tokens, including reasoning. No endpoint returns that many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Strict):
    """Token counts that the endpoint reported for a request."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Number of prompt tokens that the endpoint read from its cache. `prompt_tokens` includes them."""

    def is_credible(self, *, has_text: bool) -> bool:
        """Return whether one request can have these counts.

        A prompt has at least one token, and so has a reply if `has_text` is true.
        """
        counts = (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        return (
            all(type(count) is int for count in counts)
            and 0 <= self.cached_tokens <= self.prompt_tokens
            and 0 < self.prompt_tokens <= _MAX_PROMPT_TOKENS
            and int(has_text) <= self.completion_tokens <= _MAX_COMPLETION_TOKENS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob(Strict):
    """A token with its log-probability."""

    text: str
    """Text of the token; "" if the server does not return it."""
    logprob: float | None
    """Natural logarithm of the token's probability; None for the first token of a prompt."""
    alternatives: Mapping[str, float] = field(default_factory=dict)
    """Log-probabilities of the most likely tokens at this position, by token text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Strict):
    """A reply of the model."""

    text: str
    finish_reason: str | None
    """Finish reason that the endpoint sent (see `finish_reasons`); None if it sent none."""
    model: str
    """Name of the model, as given in the reply."""
    usage: Usage | None = None
    """Token counts that the endpoint reported; None if it reported none."""
    latency_s: float = 0.0
    """Seconds from the start of the last attempt until the reply was complete."""
    attempts: int = 1
    """Number of attempts, including the successful one."""
    reached_limit: bool | None = None
    """True if the reply has as many tokens as the request allows; None before `cost.worst_case.normalize`."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Tokens of the reply; None if they were not requested or the endpoint did not return them."""
    prompt_logprobs: tuple[TokenLogprob, ...] | None = None
    """Tokens of the prompt; None if they were not requested or the endpoint did not return them."""

    @property
    def truncated(self) -> bool:
        """True if max_tokens, a content filter or a failure cut the reply."""
        return self.ending in (Ending.CUT, Ending.FILTERED, Ending.FAILED)

    @property
    def ending(self) -> Ending:
        """How the reply ended: `CUT` if it reached max_tokens, otherwise what its finish reason means."""
        return Ending.CUT if self.reached_limit else ending(self.finish_reason)

    @property
    def counted(self) -> Usage | None:
        """Reported token counts; None if they are missing, or impossible for this text."""
        if self.usage is None or not self.usage.is_credible(has_text=bool(self.text)):
            return None
        return self.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task that was parsed from a reply and is not accepted yet."""

    id: str
    """`<request id>#<n>`, where n is the item's position in the reply, counting from 1."""
    instruction: str
    instance: Instance | None = None
    """Instance from the same reply, as in the recipe "alpaca"; None in other recipes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour(Strict):
    """A task in the pool that is similar to a candidate."""

    task_id: str
    rouge_l: float
    """ROUGE-L F-measure of the two instructions, in [0, 1], computed as in the rouge-score package."""


_MOST_REJECTED = 4_000
"""Maximum number of characters of a rejected text that are stored. The whole reply is in the journal
anyway."""


def rejected_text(text: str) -> str:
    """Return a rejected text as it is stored: cut to 4,000 characters and an ellipsis if it is longer."""
    return text if len(text) <= _MOST_REJECTED else text[:_MOST_REJECTED] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Strict):
    """A rejected candidate or instance."""

    candidate_id: str
    """`<request id>#<n>`, where n is the item's position in the reply; 0 means the whole reply."""
    stage: Literal["parse", "filter", "novelty"]
    reason: Reason
    text: str = ""
    """Rejected text, possibly shortened by `rejected_text`."""
    nearest: Neighbour | None = None
    """For the reason `not_novel`, the most similar task in the pool; for other reasons None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a generated task came from."""

    request_id: str
    ordinal: int
    """Position of the candidate in its reply, counting from 1."""
    model: str
    template: str
    demonstration_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task in the pool."""

    id: str
    """Id of a seed task, or "task_000001" and so on: first imported tasks, then tasks in order of
    acceptance."""
    instruction: str
    origin: Literal["seed", "imported", "generated"]
    is_classification: bool | None = None
    """True if it is a classification task; None until this is known. The recipe "alpaca" never asks."""
    classification_answer: Answer | None = None
    """The model's answer to the classification question; "unclear" counts as no. None for a seed task."""
    instances: tuple[Instance, ...] | None = None
    """Instances of the task; None before they are known, and () if no instance was usable."""
    provenance: Provenance | None = None
    """Where the task came from; None for seed tasks and imported tasks."""
    imported_model: str | None = None
    """Model that wrote an imported task; None if it is unknown."""

    @property
    def is_final(self) -> bool:
        """True if the task needs no further requests."""
        return self.instances is not None
