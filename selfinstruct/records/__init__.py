"""The frozen records that travel through the pipeline. No I/O, no logic beyond derived properties.

    SeedTask ─┐
    Task ─────┴→ Prompt → Request → Completion → Candidate → Task | Rejection

All text is `str` without lone surrogates (the backends see to that), ids are strings, times are seconds.
`__pydantic_config__` makes the journal strict: a wrong type or an unknown key is refused on reading.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from selfinstruct.records.finish_reasons import Ending, ending

STRICT = {"extra": "forbid", "strict": True}

Stage = Literal["generate", "classify", "instances"]
"""What a request is for: new instructions, the kind of a task, or the instances of a task."""


Answer = Literal["yes", "no", "unclear"]
"""What a reply says to "Is it a classification task?"."""


class Reason(StrEnum):
    """Why a candidate is no task, or an instance no instance. The enum is closed."""

    def __repr__(self) -> str:
        return repr(self.value)  # as a key of counts that a person prints

    # of a whole reply
    EMPTY_REPLY = "empty_reply"
    REFUSAL = "refusal"
    NO_LIST = "no_list"
    NO_OUTPUT = "no_output"
    # of the last item of a reply that was cut by length; in the profile "paper", of the whole list
    TRUNCATED = "truncated"
    # of an item that is none
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
class Instance:
    """One worked example of an instruction."""

    __pydantic_config__ = STRICT

    input: str
    """What the instruction is applied to; "" where it needs nothing."""
    output: str
    """The answer. Never empty in an accepted instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedTask:
    """A hand-written task, as `seed_tasks.jsonl` holds it (the published schema)."""

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
    """What is to be continued; None where there are messages."""
    demonstration_ids: tuple[str, ...] = ()
    """Ids of the tasks shown in it, in the order shown."""

    @property
    def sha256(self) -> str:
        """Hash of what is sent: 64 hex digits over the text, or over roles and contents."""
        digest = hashlib.sha256((self.text or "").encode())
        for message in self.messages:
            digest.update(f"{message.role}\0{message.content}\0".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of a request; None leaves a parameter out of what is sent."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Texts before which the reply ends."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further members of what is sent; one that is None leaves the parameter of that name out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    id: str
    """`<stage>/<number or task id>`, a pure function of the plan: "generate/000123"."""
    stage: Stage
    prompt: Prompt
    sampling: Sampling


_MOST_TOKENS = 10**7
"""Tokens of the longest context window on offer (Llama 4 Scout)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the endpoint counted them."""

    __pydantic_config__ = STRICT

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Of the prompt's tokens, those that the endpoint had in a cache."""

    @property
    def is_credible(self) -> bool:
        """Whether a request can have consumed these tokens. Every prompt has tokens."""
        counts = (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        return (
            all(type(count) is int for count in counts)
            and 0 <= self.cached_tokens <= self.prompt_tokens
            and 0 < self.prompt_tokens <= _MOST_TOKENS
            and 0 <= self.completion_tokens <= _MOST_TOKENS
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back, as paid for."""

    __pydantic_config__ = STRICT

    text: str
    finish_reason: str | None
    """The endpoint's own word, see `finish_reasons`; None where the endpoint gave none."""
    model: str
    """The model as the endpoint named it."""
    usage: Usage | None = None
    """None where the endpoint did not say."""
    latency_s: float = 0.0
    """Seconds from sending the last attempt to having the whole reply."""
    attempts: int = 1
    """How often the request was sent, this reply included."""
    reached_limit: bool | None = None
    """Whether the reply took every token that its request allowed; None before anything compared the two."""

    @property
    def truncated(self) -> bool:
        """Whether something cut the reply before its end: a limit, a filter or a failure."""
        return self.ending in (Ending.CUT, Ending.FILTERED, Ending.FAILED)

    @property
    def ending(self) -> Ending:
        """How the reply ended: by its token count where that shows a cut reply, else by its finish reason."""
        return Ending.CUT if self.reached_limit else ending(self.finish_reason)

    @property
    def counted(self) -> Usage | None:
        """The usage, or None where the counts are missing or impossible for this text."""
        if self.usage is None or not self.usage.is_credible:
            return None
        has_no_tokens = bool(self.text) and not self.usage.completion_tokens
        return None if has_no_tokens else self.usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A parsed, not yet accepted task."""

    id: str
    """`<request id>#<n>`, n from 1 in text order."""
    instruction: str
    instance: Instance | None = None
    """Where the reply held input and output too, as in the recipe "alpaca"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A task of the pool and how near it is."""

    __pydantic_config__ = STRICT

    task_id: str
    rouge_l: float
    """ROUGE-L F-measure in [0, 1], in rouge-score's own float operations."""


_MOST_REJECTED = 4_000
"""Characters of a rejected text that are stored: the reply with the whole text is in the journal already."""


def rejected_text(text: str) -> str:
    """Return a text as a rejection stores it: whole, or its beginning and an ellipsis."""
    return text if len(text) <= _MOST_REJECTED else text[:_MOST_REJECTED] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a candidate is no task, or an instance no instance."""

    __pydantic_config__ = STRICT

    candidate_id: str
    """`<request id>#<n>`; n is 0 where the whole reply is rejected."""
    stage: Literal["parse", "filter", "novelty"]
    reason: Reason
    text: str = ""
    """The rejected text, see `rejected_text`."""
    nearest: Neighbour | None = None
    """For `not_novel`: the task of the pool that is most like it; its ROUGE-L is over the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a generated task comes from: a function of the replies alone."""

    request_id: str
    ordinal: int
    """Place of the candidate in its reply, from 1."""
    model: str
    template: str
    demonstration_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is in the pool."""

    id: str
    """A seed task's own id, or "task_000001" and so on: those imported, then in order of acceptance."""
    instruction: str
    origin: Literal["seed", "imported", "generated"]
    is_classification: bool | None = None
    """None until it was asked, where the recipe does not ask, and where it was imported without."""
    classification_answer: Answer | None = None
    """What the model said to that; "unclear" counts as no. None for a seed task."""
    instances: tuple[Instance, ...] | None = None
    """None until they were asked for; () where none could be used."""
    provenance: Provenance | None = None
    """None for a seed task, and for one that was imported."""
    imported_model: str | None = None
    """The model that wrote an imported task, where a file says so."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be asked about this task."""
        return self.instances is not None
