"""The maximum that one attempt at a request can consume, computed before the attempt is sent.

>>> worst_case(request).tokens          # a prompt of 2,048 bytes in one message, max_tokens 1024
3344

The worst case is an upper bound, not an estimate: a limit that holds for the worst case holds for any reply.
English has about four bytes per token, so the bound is loose. The endpoint's own count replaces the bound
once the reply arrives.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfinstruct.cost import Consumption
from selfinstruct.records import Completion, Request, Sampling

TOKENS_PER_MESSAGE = 16
"""Tokens that a chat template adds to a message: markers, role, line ends. Templates add four to eight."""
TOKENS_PER_PROMPT = 256
"""Tokens that a chat template adds to a prompt: start token, marker of the reply, default system prompt.

The templates of Qwen 2.5 and Llama 3.1 add 20 to 30 tokens, the harmony format with date, effort and channels
60 to 80; the bound is three times that. A template that the owner of a server wrote can be longer.
"""

_MAXIMUMS = ("max_tokens", "max_completion_tokens")
_CHOICES = ("n", "best_of")


def worst_case(request: Request) -> Consumption:
    """Return the maximum that one attempt can consume; 0 reply tokens where `is_bounded` is false.

    A prompt has at most as many tokens as UTF-8 bytes: a byte-level BPE starts with one token per byte and
    only merges tokens, and SentencePiece falls back to one token per byte. Extra members (tools, a schema)
    count like text in the prompt. max_tokens covers the reasoning of a model too, as servers count it.
    """
    prompt, extra = request.prompt, request.sampling.extra
    size = TOKENS_PER_PROMPT + len((prompt.text or "").encode())
    for message in prompt.messages:
        size += TOKENS_PER_MESSAGE + len(message.content.encode())
    if extra:
        size += len(json.dumps(dict(extra), default=str))
    return Consumption(
        requests=1,
        prompt_tokens=size,
        completion_tokens=max_tokens(request.sampling) * _choices(extra),
    )


def is_bounded(sampling: Sampling) -> bool:
    """Return whether the parameters bound the length of the reply."""
    return max_tokens(sampling) > 0


def max_tokens(sampling: Sampling) -> int:
    """Return the max_tokens that is sent; 0 where there is no maximum."""
    sent: list[Any] = [sampling.extra[name] for name in _MAXIMUMS if name in sampling.extra]
    if not sent:
        sent = [sampling.max_tokens]
    # Servers read -1 as "no maximum".
    return max((_positive(value) for value in sent), default=0)


def _choices(extra: Mapping[str, Any]) -> int:
    return max(1, *(_positive(extra.get(name)) for name in _CHOICES))


def _positive(value: object) -> int:
    """Return a positive integer unchanged, and 0 for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def normalize(request: Request, completion: Completion) -> Completion:
    """Return the completion cut before the first stop text, and with credible token counts only.

    Some servers leave the stop text in the reply. `reached_limit` says whether the reply has as many tokens
    as the request allows. A completion that is normalized already is returned unchanged.
    """
    if completion.reached_limit is not None:
        return completion
    usage = completion.counted
    most = worst_case(request).completion_tokens
    is_cut = usage is not None and 0 < most <= usage.completion_tokens
    text, finish_reason = completion.text, completion.finish_reason
    for stop in request.sampling.stop:
        if stop in text:
            # max_tokens can only have cut the text after the stop text.
            text, finish_reason, is_cut = text.partition(stop)[0], "stop", False
    return replace(
        completion, text=text, finish_reason=finish_reason, usage=usage, reached_limit=is_cut
    )
