"""Requests and replies of `POST /v1/completions`, the API for base models."""

import json
from typing import Any, Final

from selfinstruct.simulate.protocol.completions import (
    CompletionRequest,
    Write,
    choices,
    digest,
    usage,
)
from selfinstruct.simulate.protocol.request_bodies import TextBody, parse

DEFAULT_MAX_TOKENS: Final = 16
"""Maximum of tokens per choice without `max_tokens`, the default of OpenAI."""


def read(body: bytes, served: str) -> CompletionRequest:
    """Return the request in `body` to the model `served`. Raises RequestError."""
    asked = parse(TextBody, body, served)
    return CompletionRequest(
        model=asked.model,
        prompt=asked.prompt,
        texts=(asked.prompt,),
        choices=asked.n or 1,
        stops=asked.stop,
        # With `echo`, a maximum of 0 is useful.
        max_tokens=DEFAULT_MAX_TOKENS if asked.max_tokens is None else asked.max_tokens,
        echo=bool(asked.echo),
        # "text" makes the fingerprint differ from the one of a chat request.
        fingerprint=digest(json.dumps(["text", asked.model, asked.prompt, asked.sampling])),
    )


def answer(request: CompletionRequest, write: Write, created: int) -> dict[str, Any]:
    """Return the reply to `request`; `created` is in seconds since 1970."""
    written = choices(request, write)
    echo = request.prompt if request.echo else ""
    return {
        "id": f"cmpl-{request.fingerprint[:24]}",
        "object": "text_completion",
        "created": created,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "text": echo + choice.text,
                "logprobs": None,
                "finish_reason": choice.reason,
            }
            for index, choice in enumerate(written)
        ],
        "usage": usage(request, written),
        "system_fingerprint": "fp_simulated",
    }
