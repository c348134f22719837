"""Builds the reply bodies of the chat and text completion APIs.

The author is a function that returns a text for a prompt and a seed. The seed contains the request's
fingerprint, which depends on everything that changes the text: the model, the prompt and the sampling
parameters. The fingerprint does not depend on `n`, `stop` and `max_tokens`, which only add choices or
truncate the text. Therefore a reply that is truncated to 20 tokens is the beginning of the same reply
truncated to 200 tokens, and the first of three choices equals the only choice with `n: 1`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.request_bodies import AnyBody, ChatBody, TextBody

Write = Callable[[str, str], str]
"""An author: `write(prompt, seed)` returns the complete reply. Different seeds produce different replies."""


class Choice(NamedTuple):
    """One of a reply's choices."""

    text: str
    tokens: int
    reason: str
    """The finish reason: "stop" or "length"."""


def finish(text: str, stops: tuple[str, ...], max_tokens: int | None) -> Choice:
    """Truncate `text` before its first stop sequence, then to `max_tokens` tokens."""
    for stop in stops:
        text = text.partition(stop)[0]
    if max_tokens is None:
        return Choice(text=text, tokens=tokens.count(text), reason="stop")
    kept, number = tokens.cut(text, max_tokens)
    reason = "stop" if len(kept) == len(text) else "length"
    return Choice(text=kept, tokens=number, reason=reason)


def answer(request: AnyBody, write: Write, created: int) -> dict[str, Any]:
    """Return the body of the reply to `request`. `created` is the Unix time in seconds."""
    fingerprint = request.fingerprint
    written = [
        finish(write(request.prompt, f"{fingerprint}#{index}"), request.stop, request.maximum)
        for index in range(request.n or 1)
    ]
    # An echoed prompt counts only as prompt tokens.
    prompt_tokens = sum(map(tokens.count, request.texts))
    completion_tokens = sum(choice.tokens for choice in written)
    is_chat = isinstance(request, ChatBody)
    return {
        "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{fingerprint[:24]}",
        "object": "chat.completion" if is_chat else "text_completion",
        "created": created,
        "model": request.model,
        "choices": [
            {
                "index": index,
                **_content(request, choice.text),
                "logprobs": None,
                "finish_reason": choice.reason,
            }
            for index, choice in enumerate(written)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
        "system_fingerprint": "fp_simulated",
    }


def echoed(request: AnyBody) -> str:
    """Return the text with which each choice begins: the prompt if `request` has `echo`, otherwise ""."""
    return request.prompt if isinstance(request, TextBody) and request.echo else ""


def _content(request: AnyBody, text: str) -> dict[str, Any]:
    if isinstance(request, ChatBody):
        return {"message": {"role": "assistant", "content": text, "refusal": None}}
    return {"text": echoed(request) + text}


def text_of(choice: dict[str, Any]) -> str:
    """Return a choice's text. The choice may come from either API."""
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return text or ""


def with_text(choice: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return `choice` with its text replaced. The choice may come from either API."""
    if "message" in choice:
        return choice | {"message": choice["message"] | {"content": text}}
    return choice | {"text": text}
