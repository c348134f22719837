"""The immutable records of the pipeline. No I/O, no logic except derived properties.

    SeedTask ─┐
    Task ─────┴→ Prompt → Request → Completion → Candidate → Task | Rejection

Text is `str` without lone surrogates (the backends replace them), ids are strings, times are in seconds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal

from selfinstruct.records.finish_reasons import Ending, ending


class Strict:
    """Base class of records in the journal: reading refuses a wrong type or an unknown key."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}


Stage = Literal["generate", "classify", "instances"]
"""Purpose of a request: new instructions, the classification of a task, or the instances of a task."""


Answer = Literal["yes", "no", "unclear"]
"""Answer to "Is it a classification task?"."""


class Reason(StrEnum):
    """Reason of a rejected candidate or instance."""

    def __repr__(self) -> str:
        return repr(self.value)  # for counts that are printed

    # of a whole reply
    EMPTY_REPLY = "empty_reply"
    REFUSAL = "refusal"
    NO_LIST = "no_list"
    NO_OUTPUT = "no_output"
    # of the last item of a reply that was cut by length; in the profile "paper", of the whole list
    TRUNCATED = "truncated"
    # of an item of a list
    ECHO = "echo"
    MALFORMED = "malformed"
    # of an instruction
    EMPTY = "empty"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NOT_FOR_TEXT_MODEL = "not_for_text_model"
    WRITE_A_PROGRAM = "write_a_program"
    LEADING_PUNCTUATION = "leading_punctuation"
    NON_ASCII_START = "non_ascii_start"
    CONTROL_CHARACTERS = "control_characters"
    CONTROL_TOKENS = "control_tokens"  # of an instance, too
    URL = "url"
    MERGED_TASKS = "merged_tasks"
    WRONG_SCRIPT = "wrong_script"
    NO_WORDS = "no_words"
    NO_TOKENS = "no_tokens"
    NOT_NOVEL = "not_novel"
    # of an instance
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
    """One worked example of an instruction."""

    input: str
    """Text that the instruction applies to; "" where the instruction needs none."""
    output: str
    """The answer, never empty in an accepted instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTask(Strict):
    """A hand-written task, a line of `seed_tasks.jsonl`."""

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
    """`<folder of the recipe>/<file>@<first 12 hex digits of its SHA-256>`."""
    messages: tuple[Message, ...] = ()
    text: str | None = None
    """Text for a base model to continue; None for a chat prompt."""
    demonstration_ids: tuple[str, ...] = ()
    """Ids of the demonstrations, in order."""

    @property
    def sha256(self) -> str:
        """Hash of the text, or of all roles and contents; 64 hex digits."""
        digest = hashlib.sha256((self.text or "").encode())
        for message in self.messages:
            digest.update(f"{message.role}\0{message.content}\0".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of a request; a parameter that is None is not sent."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Stop texts: the reply ends before the first of them."""
    top_logprobs: int | None = None
    """Number of alternatives per token whose log-probabilities are requested, from 0; None requests none."""
    prompt_logprobs: bool = False
    """Whether the log-probabilities of the tokens of the prompt are requested."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Extra members of the request body; None removes the member of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt with its sampling parameters."""

    id: str
    """`<stage>/<number or task id>`, such as "generate/000123"."""
    stage: Stage
    prompt: Prompt
    sampling: Sampling


_MAX_PROMPT_TOKENS = 10**7
"""Context window of Llama 4 Scout, the longest on offer."""
_MAX_COMPLETION_TOKENS = 10**6
"""More tokens than any endpoint writes in one reply, reasoning included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the endpoint counted them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens that the endpoint had in its cache; a part of `prompt_tokens`."""

    @property
    def is_credible(self) -> bool:
        """Whether one request can consume these tokens; every prompt has tokens."""
        counts = (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        return (
            all(type(count) is int for count in counts)
            and 0 <= self.cached_tokens <= self.prompt_tokens
            and 0 < self.prompt_tokens <= _MAX_PROMPT_TOKENS
            and 0 <= self.completion_tokens <= _MAX_COMPLETION_TOKENS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob(Strict):
    """A token with its log-probability."""

    text: str
    """Text of the token; "" where the server does not say."""
    logprob: float | None
    """Natural logarithm of the probability; None for the first token of a prompt."""
    alternatives: Mapping[str, float] = field(default_factory=dict)
    """Log-probabilities of the most likely tokens at this place, by their texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Strict):
    """A reply of the model."""

    text: str
    finish_reason: str | None
    """Finish reason as the endpoint sent it, see `finish_reasons`; None without one."""
    model: str
    """Model name in the reply."""
    usage: Usage | None = None
    """None where the endpoint reported none."""
    latency_s: float = 0.0
    """Seconds from the last attempt to the complete reply."""
    attempts: int = 1
    """Number of attempts, including the successful one."""
    reached_limit: bool | None = None
    """Whether the reply has all tokens that the request allows; None before `cost.worst_case.normalize`."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Tokens of the reply; None if the request does not ask or the endpoint does not return them."""
    prompt_logprobs: tuple[TokenLogprob, ...] | None = None
    """Tokens of the prompt; None as above."""

    @property
    def truncated(self) -> bool:
        """Whether the reply was cut by max_tokens, a filter or a failure."""
        return self.ending in (Ending.CUT, Ending.FILTERED, Ending.FAILED)

    @property
    def ending(self) -> Ending:
        """End of the reply: cut if it reached max_tokens, else by its finish reason."""
        return Ending.CUT if self.reached_limit else ending(self.finish_reason)

    @property
    def counted(self) -> Usage | None:
        """Usage, or None where the counts are missing or impossible for this text."""
        if self.usage is None or not self.usage.is_credible:
            return None
        has_no_tokens = bool(self.text) and not self.usage.completion_tokens
        return None if has_no_tokens else self.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Strict):
    """A parsed, not yet accepted task."""

    id: str
    """`<request id>#<n>`, n from 1 in text order."""
    instruction: str
    instance: Instance | None = None
    """Instance from the same reply, as in the recipe "alpaca"; else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A similar task of the pool."""

    task_id: str
    rouge_l: float
    """ROUGE-L F-measure in [0, 1], computed like the package rouge-score."""


_MOST_REJECTED = 4_000
"""Stored characters of a rejected text; the journal has the whole reply."""


def rejected_text(text: str) -> str:
    """Return a rejected text as it is stored: at most 4,000 characters and an ellipsis."""
    return text if len(text) <= _MOST_REJECTED else text[:_MOST_REJECTED] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Strict):
    """A rejected candidate or instance."""

    candidate_id: str
    """`<request id>#<n>`; n is 0 for a whole reply."""
    stage: Literal["parse", "filter", "novelty"]
    reason: Reason
    text: str = ""
    """Rejected text; see `rejected_text`."""
    nearest: Neighbour | None = None
    """For `not_novel`: the most similar task of the pool, with a ROUGE-L over the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Origin of a generated task."""

    request_id: str
    ordinal: int
    """Position of the candidate in its reply, from 1."""
    model: str
    template: str
    demonstration_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of the pool."""

    id: str
    """Id of the seed task, or "task_000001" and so on: imported tasks first, then in order of acceptance."""
    instruction: str
    origin: Literal["seed", "imported", "generated"]
    is_classification: bool | None = None
    """None until it is known; the recipe "alpaca" never asks."""
    classification_answer: Answer | None = None
    """Answer of the model; "unclear" counts as no. None for a seed task."""
    instances: tuple[Instance, ...] | None = None
    """None before the reply; () where no instance is usable."""
    provenance: Provenance | None = None
    """None for seed tasks and imported tasks."""
    imported_model: str | None = None
    """Model that wrote an imported task; None where it is unknown."""

    @property
    def is_final(self) -> bool:
        """Whether the task needs no further request."""
        return self.instances is not None
