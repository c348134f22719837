"""Compute the worst case: the maximum that one attempt at a request can consume, before it is sent.

>>> worst_case(request).tokens          # a prompt of 2,048 bytes in one message, max_tokens 1024
3344

The worst case is an upper bound, not an estimate. If the worst case is within a limit, so is any reply. The
bound is loose, because English has about four bytes per token. Once the reply arrives, the token counts that
the endpoint reports replace the bound.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfinstruct.cost import Consumption
from selfinstruct.records import Completion, Request, Sampling

TOKENS_PER_MESSAGE = 16
"""Maximum number of tokens that a chat template adds to a message, such as markers, the role and line breaks.
Known templates add four to eight."""
TOKENS_PER_PROMPT = 256
"""Maximum number of tokens that a chat template adds to a prompt, such as a default system prompt.

The templates of Qwen 2.5 and Llama 3.1 add 20 to 30 tokens. The harmony format, with date, effort and
channels, adds 60 to 80; this bound is more than three times that. A custom template on a server may add even
more.
"""

_MAXIMUMS = ("max_tokens", "max_completion_tokens")
_CHOICES = ("n", "best_of")


def worst_case(request: Request) -> Consumption:
    """Return the maximum that one attempt can consume; 0 reply tokens if nothing bounds the reply.

    A prompt has at most as many tokens as UTF-8 bytes: a byte-level BPE starts with one token per byte and
    only merges tokens, and SentencePiece falls back to one token per byte. Additional members of the request
    body, such as tools or a schema, count like text in the prompt. max_tokens also covers a model's
    reasoning, because servers include it in their count.
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
        completion_tokens=_reply_tokens(request.sampling),
    )


def is_bounded(sampling: Sampling) -> bool:
    """Return whether the sampling parameters limit the length of the reply."""
    return max_tokens(sampling) > 0


def max_tokens(sampling: Sampling) -> int:
    """Return the maximum number of reply tokens that the request specifies; 0 if it specifies none."""
    sent: list[Any] = [sampling.extra[name] for name in _MAXIMUMS if name in sampling.extra]
    # Servers read -1 as "no maximum".
    return max(map(_positive, sent or [sampling.max_tokens]))


def _reply_tokens(sampling: Sampling) -> int:
    """Return the maximum number of tokens in all choices of a reply; 0 if there is no maximum."""
    return max_tokens(sampling) * _choices(sampling.extra)


def _choices(extra: Mapping[str, Any]) -> int:
    return max(1, *(_positive(extra.get(name)) for name in _CHOICES))


def _positive(value: object) -> int:
    """Return `value` if it is a positive integer, otherwise 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def normalize(request: Request, completion: Completion) -> Completion:
    """Return the completion cut before the first stop sequence, with `reached_limit` set.

    Some servers leave the stop sequence in the reply. Token counts that are not credible are removed.
    `reached_limit` becomes true if the reply has as many tokens as the request allows. A completion that is
    already normalised is returned unchanged.
    """
    if completion.reached_limit is not None:
        return completion
    usage = completion.counted
    most = _reply_tokens(request.sampling)
    is_cut = usage is not None and 0 < most <= usage.completion_tokens
    text, finish_reason = completion.text, completion.finish_reason
    for stop in request.sampling.stop:
        if stop in text:
            # If max_tokens cut the reply, it did so after the stop sequence.
            text, finish_reason, is_cut = text.partition(stop)[0], "stop", False
    return replace(
        completion, text=text, finish_reason=finish_reason, usage=usage, reached_limit=is_cut
    )
