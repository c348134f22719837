"""Requests and replies of `POST /v1/chat/completions`. The last user message is the prompt."""

import json
from typing import Any

from selfinstruct.simulate.protocol.completions import (
    CompletionRequest,
    Write,
    choices,
    digest,
    usage,
)
from selfinstruct.simulate.protocol.request_bodies import ChatBody, parse


def read(body: bytes, served: str) -> CompletionRequest:
    """Return the request in `body` to the model `served`. Raises RequestError."""
    asked = parse(ChatBody, body, served)
    texts = [(message.role, message.text) for message in asked.messages]
    return CompletionRequest(
        model=asked.model,
        prompt=next((text for role, text in reversed(texts) if role == "user"), ""),
        texts=tuple(text for _, text in texts),
        choices=asked.n or 1,
        stops=asked.stop,
        max_tokens=asked.max_tokens or asked.max_completion_tokens,
        fingerprint=digest(json.dumps([asked.model, texts, asked.sampling])),
    )


def answer(request: CompletionRequest, write: Write, created: int) -> dict[str, Any]:
    """Return the reply to `request`; `created` is in seconds since 1970."""
    written = choices(request, write)
    return {
        "id": f"chatcmpl-{request.fingerprint[:24]}",
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": None,
                "finish_reason": choice.reason,
            }
            for index, choice in enumerate(written)
        ],
        "usage": usage(request, written),
        "system_fingerprint": "fp_simulated",
    }
