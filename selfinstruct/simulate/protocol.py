"""The chat completions protocol: what a request may say, and the objects that answer it.

Knows the JSON on both sides of `POST /v1/chat/completions` and the error bodies of that API. Knows
nothing of sockets, and nothing of what is written: the author is handed in as a function from a
prompt and a seed to a text. A request of three members is enough::

    {"model": "simulated", "messages": [{"role": "user", "content": "Say hello."}], "n": 2}

What shapes the text (model, messages, sampling parameters) goes into the request's fingerprint;
what only repeats or cuts it (`n`, `stop`, `max_tokens`) does not. So a reply cut at 20 tokens is
the beginning of the reply cut at 200, and the first of three choices is what `n=1` would give.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from selfinstruct.simulate import tokens

MOST_CHOICES: Final = 128
MOST_STOPS: Final = 4
_SAMPLING: Final = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
}


class RequestError(Exception):
    """A request that gets an error body: `status` is the HTTP status, the message is for people."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One chat completion as asked for, after checking.

    `prompt` is the text of the last user message ("" if there is none), `limit` the largest number
    of tokens per choice (None: no limit), and `fingerprint` 64 hexadecimal digits that are equal
    for two requests if and only if the author should write the same.
    """

    model: str
    prompt: str
    texts: tuple[str, ...]
    choices: int
    stops: tuple[str, ...]
    limit: int | None
    fingerprint: str


def digest(*texts: str) -> str:
    """The SHA-256 of the texts put together, as 64 hexadecimal digits."""
    # JSON can smuggle in lone surrogates, which UTF-8 proper refuses to encode.
    return hashlib.sha256("".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def read(body: bytes, *, served: str) -> ChatRequest:
    """The request in `body`, for an endpoint that serves the model `served`.

    Raises RequestError: 400 for JSON that does not parse or a member that is missing, of the wrong type
    or out of range, 404 for another model.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "The body of the request is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise RequestError(400, "The body of the request must be a JSON object.")
    model = asked.get("model")
    if not isinstance(model, str):
        raise RequestError(400, "'model' must be a string.", param="model")
    texts, prompt = _messages(asked.get("messages"))
    if asked.get("stream"):
        message = "The simulated endpoint does not stream; leave 'stream' out or set it to false."
        raise RequestError(400, message, param="stream", code="unsupported_value")
    choices = _whole(asked, "n", most=MOST_CHOICES)
    limit = _limit(asked)
    stops = _stops(asked.get("stop"))
    sampling = [_number(asked, name, low, high) for name, (low, high) in _SAMPLING.items()]
    seed = asked.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise RequestError(400, "'seed' must be a whole number.", param="seed")
    if model != served:
        message = f"The model '{model}' does not exist; this endpoint serves '{served}'."
        raise RequestError(404, message, param="model", code="model_not_found")
    return ChatRequest(
        model=model,
        prompt=prompt,
        texts=tuple(text for _, text in texts),
        choices=choices or 1,
        stops=stops,
        limit=limit,
        fingerprint=digest(json.dumps([model, texts, sampling, seed])),
    )


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


def _whole(asked: dict[str, Any], name: str, *, most: int | None = None) -> int | None:
    number = asked.get(name)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool):
        raise RequestError(400, f"'{name}' must be a whole number.", param=name)
    if number < 1 or (most is not None and number > most):
        reach = f"from 1 to {most}" if most is not None else "at least 1"
        raise RequestError(400, f"'{name}' must be {reach}.", param=name)
    return number


def _limit(asked: dict[str, Any]) -> int | None:
    older = _whole(asked, "max_tokens")
    newer = _whole(asked, "max_completion_tokens")
    if older is not None and newer is not None:
        message = "'max_tokens' and 'max_completion_tokens' cannot both be set."
        raise RequestError(400, message, param="max_tokens")
    return newer if older is None else older


def _number(asked: dict[str, Any], name: str, low: float, high: float) -> float | None:
    number = asked.get(name)
    if number is None:
        return None
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise RequestError(400, f"'{name}' must be a number.", param=name)
    if not low <= number <= high:
        raise RequestError(400, f"'{name}' must lie from {low:g} to {high:g}.", param=name)
    return float(number)


def _stops(stop: object) -> tuple[str, ...]:
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        message = "'stop' must be a string or a list of strings, none of them empty."
        raise RequestError(400, message, param="stop")
    if len(stops) > MOST_STOPS:
        raise RequestError(400, f"'stop' may hold at most {MOST_STOPS} strings.", param="stop")
    return tuple(stops)


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


def completion(
    request: ChatRequest, write: Callable[[str, str], str], *, created: int
) -> dict[str, Any]:
    """The object that answers `request`; `created` is in seconds since 1970.

    `write(prompt, seed)` is the author; it is called once per choice, each time with another seed.
    """
    choices = []
    written = 0
    for index in range(request.choices):
        text = write(request.prompt, f"{request.fingerprint}/{index}")
        text, number, reason = finish(text, request.stops, request.limit)
        written += number
        message = {"role": "assistant", "content": text, "refusal": None}
        choices.append(
            {"index": index, "message": message, "logprobs": None, "finish_reason": reason}
        )
    read_in = sum(map(tokens.count, request.texts))
    return {
        "id": f"chatcmpl-{request.fingerprint[:24]}",
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": read_in,
            "completion_tokens": written,
            "total_tokens": read_in + written,
        },
        "system_fingerprint": "fp_simulated",
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
