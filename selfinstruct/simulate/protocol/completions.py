r"""Completions: what a checked request comes down to, and what every reply to one has.

Knows what `/v1/chat/completions` and `/v1/completions` have in common, and nothing of sockets or of
what is written: the author is handed in as a function from a prompt and a seed to a text::

    >>> finish("9. Name a river.\n\nTask: …", stops=("\n\n",), limit=None)
    ('9. Name a river.', 6, 'stop')
    >>> finish("9. Name a river.\n\nTask: …", stops=("\n\n",), limit=3)
    ('9. Name', 3, 'length')

What shapes the text (model, prompt, sampling parameters) goes into the request's fingerprint; what
only repeats or cuts it (`n`, `stop`, `max_tokens`) does not. So a reply cut at 20 tokens is the
beginning of the reply cut at 200, and the first of three choices is what `n=1` would give.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.request_members import RequestError

Write = Callable[[str, str], str]
"""An author: `write(prompt, seed)` is the whole reply to `prompt`, another one for another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One completion as asked for, after checking.

    `prompt` is the text that is answered, `texts` are all texts that were sent, `limit` is the
    largest number of tokens per choice (None: no limit), `echo` asks for the prompt before each
    text, and `fingerprint` is 64 hexadecimal digits that are equal for two requests if and only if
    the author should write the same.
    """

    model: str
    prompt: str
    texts: tuple[str, ...]
    choices: int
    stops: tuple[str, ...]
    limit: int | None
    echo: bool = False
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One text as it leaves, its number of tokens, and why it ends: "stop" or "length"."""

    text: str
    tokens: int
    reason: str


def digest(*texts: str) -> str:
    """The SHA-256 of the texts put together, as 64 hexadecimal digits."""
    # JSON can smuggle in lone surrogates, which UTF-8 proper refuses to encode.
    return hashlib.sha256("".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def finish(text: str, stops: tuple[str, ...], limit: int | None) -> tuple[str, int, str]:
    """`text` as it leaves: up to the first stop text, then at most `limit` tokens of that.

    Returns the text, its number of tokens and the finish reason, "stop" or "length".
    """
    for stop in stops:
        text = text.partition(stop)[0]
    if limit is None:
        return text, tokens.count(text), "stop"
    kept, number = tokens.cut(text, limit)
    return kept, number, "stop" if len(kept) == len(text) else "length"


def choices(request: CompletionRequest, write: Write) -> list[Choice]:
    """The texts that answer `request`; `write` is called once for each, always with another seed."""
    found = []
    for index in range(request.choices):
        text = write(request.prompt, f"{request.fingerprint}/{index}")
        text, number, reason = finish(text, request.stops, request.limit)
        found.append(Choice(text=text, tokens=number, reason=reason))
    return found


def usage(request: CompletionRequest, written: list[Choice]) -> dict[str, int]:
    """How many tokens came in and went out; a prompt that is echoed counts as coming in only."""
    read_in = sum(map(tokens.count, request.texts))
    put_out = sum(choice.tokens for choice in written)
    return {
        "prompt_tokens": read_in,
        "completion_tokens": put_out,
        "total_tokens": read_in + put_out,
    }


def model_card(model: str) -> dict[str, Any]:
    """The object that describes the served model."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "selfinstruct"}


def error_body(refused: RequestError) -> dict[str, Any]:
    """The object that tells a client why its request was refused."""
    return {
        "error": {
            "message": str(refused),
            "type": "invalid_request_error",
            "param": refused.param,
            "code": refused.code,
        }
    }
