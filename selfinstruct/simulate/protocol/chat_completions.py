"""Chat completions: the JSON on both sides of `POST /v1/chat/completions`.

Knows messages, and that the last one from the user is what is answered. A request of three members
is enough::

    {"model": "simulated", "messages": [{"role": "user", "content": "Say hello."}], "n": 2}
"""

import json
from typing import Any

from selfinstruct.simulate.protocol.completions import (
    CompletionRequest,
    Write,
    choices,
    digest,
    usage,
)
from selfinstruct.simulate.protocol.request_members import (
    RequestError,
    common_members,
    json_object,
    whole,
)


def read(body: bytes, served: str) -> CompletionRequest:
    """The request in `body`, for an endpoint that serves the model `served`.

    Raises RequestError: 400 for JSON that does not parse or a member that is missing, of the wrong type
    or out of range, 404 for another model.
    """
    asked = json_object(body)
    texts, prompt = _messages(asked.get("messages"))
    limit = _limit(asked)
    common = common_members(asked, served)
    return CompletionRequest(
        model=common.model,
        prompt=prompt,
        texts=tuple(text for _, text in texts),
        choices=common.choices,
        stops=common.stops,
        limit=limit,
        fingerprint=digest(json.dumps([common.model, texts, common.sampling, common.seed])),
    )


def answer(request: CompletionRequest, write: Write, created: int) -> dict[str, Any]:
    """The object that answers `request`; `created` is in seconds since 1970."""
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


def _messages(messages: object) -> tuple[list[tuple[str, str]], str]:
    """The (role, text) of each message, and the text of the last one from the user."""
    if not isinstance(messages, list) or not messages:
        raise RequestError(
            400, "'messages' must be a list of at least one message.", param="messages"
        )
    texts = []
    prompt = ""
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RequestError(400, f"'{where}' must be an object with a 'role'.", param=where)
        text = _text(message.get("content"), where)
        texts.append((message["role"], text))
        if message["role"] == "user":
            prompt = text
    return texts, prompt


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        message = f"'{where}.content' must be a string or a list of text parts."
        raise RequestError(400, message, param=f"{where}.content")
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            message = f"'{where}.content' has a part that is not text; text is all this one reads."
            raise RequestError(400, message, param=f"{where}.content")
        parts.append(text)
    return "".join(parts)


def _limit(asked: dict[str, Any]) -> int | None:
    older = whole(asked, "max_tokens")
    newer = whole(asked, "max_completion_tokens")
    if older is not None and newer is not None:
        message = "'max_tokens' and 'max_completion_tokens' cannot both be set."
        raise RequestError(400, message, param="max_tokens")
    return newer if older is None else older
