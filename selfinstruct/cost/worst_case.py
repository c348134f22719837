"""The most that one attempt at a request can consume, known before it is sent.

>>> worst_case(request).tokens          # a prompt of 2,048 bytes in one message, max_tokens 1024
3344

A bound and no estimate: limits and budgets that are kept by it are kept whatever the model writes. It is
loose (English has about four bytes a token), and gives way to what the endpoint counted once that is known.
"""

import json
from collections.abc import Mapping
from typing import Any

from selfinstruct.cost import Consumption
from selfinstruct.records import Request, Sampling

TOKENS_A_MESSAGE = 16
"""What a chat template puts around a message: markers, the role, line ends. Templates take four to eight."""
TOKENS_A_PROMPT = 256
"""What a chat template adds of its own: a token for the beginning, the marker of the reply, and a system
prompt where the request has none. Those of Qwen 2.5 and Llama 3.1 have 20 to 30 tokens, the one of the
harmony format with its date, effort and channels 60 to 80; this is three times that. One that a server's
owner has written into the template can be longer: nobody but the server knows."""

_LIMITS = ("max_tokens", "max_completion_tokens")
_CHOICES = ("n", "best_of")


def worst_case(request: Request) -> Consumption:
    """At most so much for one attempt; without tokens of a reply where nothing limits it (see `has_limit`).

    A prompt has no more tokens than UTF-8 bytes: a byte-level BPE begins with one token a byte and only
    merges, and SentencePiece with byte fallback falls back to one token a byte. Added members (tools, a
    schema) count as if they were written into the prompt. The limit of the reply covers what a model thinks
    before it writes, as servers count it.
    """
    prompt, extra = request.prompt, request.sampling.extra
    size = TOKENS_A_PROMPT + len((prompt.text or "").encode())
    for message in prompt.messages:
        size += TOKENS_A_MESSAGE + len(message.content.encode())
    if extra:
        size += len(json.dumps(dict(extra), default=str))
    return Consumption(
        requests=1,
        prompt_tokens=size,
        completion_tokens=_limit(request.sampling) * _choices(extra),
    )


def has_limit(sampling: Sampling) -> bool:
    """Whether what is sent limits the length of the reply."""
    return _limit(sampling) > 0


def _limit(sampling: Sampling) -> int:
    """The limit of one reply in tokens as it is sent; 0 where there is none."""
    sent: list[Any] = [sampling.extra[name] for name in _LIMITS if name in sampling.extra]
    if not sent:
        sent = [sampling.max_tokens]
    # Servers take -1 for "as long as it likes".
    return max((_count(value) for value in sent), default=0)


def _choices(extra: Mapping[str, Any]) -> int:
    return max(1, *(_count(extra.get(name)) for name in _CHOICES))


def _count(value: object) -> int:
    """A positive whole number, or 0 for whatever else stands there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
