"""Completions: the bodies of the replies of both APIs.

The author is a function from a prompt and a seed to a text. The fingerprint of a request covers everything
that changes the text: model, prompt and sampling parameters. It does not cover `n`, `stop` and `max_tokens`,
which only repeat or cut the text. A reply that is cut at 20 tokens is therefore the beginning of the reply
that is cut at 200, and the first of three choices is the reply to `n: 1`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.request_bodies import AnyBody, ChatBody, TextBody

Write = Callable[[str, str], str]
"""An author: `write(prompt, seed)` returns the whole reply; another seed gives another reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One text of a reply."""

    text: str
    tokens: int
    reason: str
    """Finish reason, "stop" or "length"."""


def finish(text: str, stops: tuple[str, ...], max_tokens: int | None) -> Choice:
    """Cut `text` before the first stop text, then at `max_tokens`."""
    for stop in stops:
        text = text.partition(stop)[0]
    if max_tokens is None:
        return Choice(text=text, tokens=tokens.count(text), reason="stop")
    kept, number = tokens.cut(text, max_tokens)
    reason = "stop" if len(kept) == len(text) else "length"
    return Choice(text=kept, tokens=number, reason=reason)


def answer(request: AnyBody, write: Write, created: int) -> dict[str, Any]:
    """Return the body of the reply to `request`; `created` is in seconds since 1970."""
    fingerprint = request.fingerprint
    written = [
        finish(write(request.prompt, f"{fingerprint}#{index}"), request.stop, request.maximum)
        for index in range(request.n or 1)
    ]
    # An echoed prompt counts as prompt tokens only.
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
    """Return the beginning of each text: the prompt of a text completion with `echo`."""
    return request.prompt if isinstance(request, TextBody) and request.echo else ""


def _content(request: AnyBody, text: str) -> dict[str, Any]:
    if isinstance(request, ChatBody):
        return {"message": {"role": "assistant", "content": text, "refusal": None}}
    return {"text": echoed(request) + text}


def text_of(choice: dict[str, Any]) -> str:
    """Return the text of a choice of either API."""
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return text or ""


def with_text(choice: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return a choice of either API with another text."""
    if "message" in choice:
        return choice | {"message": choice["message"] | {"content": text}}
    return choice | {"text": text}
