"""Token log-probabilities: the body members that request them, and the formats in which APIs return them.

Chat and text completions use different member names, and return the values in different formats::

    chat         request   {"logprobs": true, "top_logprobs": 5}
                 reply     {"content": [{"token": "Yes", "logprob": -1.0,
                                         "top_logprobs": [{"token": "No", "logprob": -1.7}]}]}
    completions  request   {"logprobs": 5}
                 reply     {"tokens": ["Yes"], "token_logprobs": [-1.0], "text_offset": [0],
                            "top_logprobs": [{"No": -1.7}]}

A request may also ask for the prompt's log-probabilities. For a text prompt, the reply then repeats the
prompt ("echo"). For a chat prompt, vLLM adds `prompt_logprobs` to the reply.

A server may ignore these members, or return values that are not log-probabilities. The result is then None,
not an error, because the reply is paid for and remains usable.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.display import scrub
from selfinstruct.records import Request, TokenLogprob

_ROUNDING = 1e-3
"""Maximum accepted log-probability: servers may round the logarithm of 1 to slightly more than 0."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log-probabilities of a reply and of its prompt. Each is None if the server returned none."""

    reply: tuple[TokenLogprob, ...] | None = None
    prompt: tuple[TokenLogprob, ...] | None = None


def members(request: Request) -> dict[str, Any]:
    """Return the members of the request body that ask for log-probabilities."""
    count, of_prompt = request.sampling.top_logprobs, request.sampling.prompt_logprobs
    if request.prompt.text is not None:
        asked = {"logprobs": count or 0} if count is not None or of_prompt else {}
        return asked | ({"echo": True} if of_prompt else {})
    asked = {} if count is None else {"logprobs": True, "top_logprobs": count}
    return asked | ({"prompt_logprobs": count or 0} if of_prompt else {})


def without_echo(text: str, request: Request) -> str:
    """Return a reply's text without the prompt, which `echo` makes the server put before the reply."""
    is_echoed = request.sampling.prompt_logprobs and request.prompt.text is not None
    return text.removeprefix(request.prompt.text or "") if is_echoed else text


def read_logprobs(data: Mapping[str, Any], request: Request) -> Logprobs:
    """Return the log-probabilities in a reply's body that the request asked for."""
    sampling = request.sampling
    choice = data["choices"][0]
    if request.prompt.text is None:
        reply = _tokens(_content(choice)) if sampling.top_logprobs is not None else None
        listed = data.get("prompt_logprobs") or choice.get("prompt_logprobs")
        return Logprobs(reply, _tokens(_by_id(listed)) if sampling.prompt_logprobs else None)
    columns = choice.get("logprobs")
    if not isinstance(columns, dict):
        return Logprobs()
    start = len(request.prompt.text) if sampling.prompt_logprobs else 0
    reply = _tokens(_rows(columns, begin=start)) if sampling.top_logprobs is not None else None
    return Logprobs(reply, _tokens(_rows(columns, end=start)) if start else None)


Row = tuple[object, object, Iterable[tuple[object, object]]]
"""A token, its log-probability, and pairs of alternative tokens with their log-probabilities."""


def _tokens(rows: Iterable[Row]) -> tuple[TokenLogprob, ...] | None:
    """Return the tokens. Return None if there are none, or if a value is not a log-probability."""
    try:
        return tuple(_token(*row) for row in rows) or None
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _token(
    text: object, logprob: object, alternatives: Iterable[tuple[object, object]]
) -> TokenLogprob:
    likely: dict[str, float] = {}
    for alternative, value in alternatives:
        name = _text(alternative)
        # Two tokens may have the same text, for example if each is a part of a character.
        likely[name] = max(_number(value), likely.get(name, -math.inf))
    return TokenLogprob(
        text=_text(text), logprob=None if logprob is None else _number(logprob), alternatives=likely
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a token must be text")
    return scrub(value)


def _number(value: object) -> float:
    """Return `value` as a log-probability. Raises ValueError if it is not a number of at most `_ROUNDING`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= _ROUNDING:
        raise ValueError("not a log-probability")
    # The logarithm of zero becomes a large negative number, because JSON has no infinity.
    return float(max(min(value, 0.0), -1e9))


def _content(choice: Mapping[str, Any]) -> Iterable[Row]:
    """Yield a chat reply's tokens."""
    for token in (choice.get("logprobs") or {}).get("content") or ():
        likely = token.get("top_logprobs") or ()
        yield token["token"], token["logprob"], [(t["token"], t["logprob"]) for t in likely]


def _rows(columns: Mapping[str, Any], *, begin: int = 0, end: int | None = None) -> Iterable[Row]:
    """Yield the tokens of a text completion that start at character `begin` or later, and before `end`.

    If the reply echoes the prompt, offsets count from the beginning of the prompt. llama.cpp counts offsets
    from there even without an echo. All tokens then belong to the reply.
    """
    likely = columns.get("top_logprobs") or [None] * len(columns["tokens"])
    rows = zip(
        columns["tokens"], columns["token_logprobs"], columns["text_offset"], likely, strict=True
    )
    for token, logprob, offset, alternatives in rows:
        if offset >= begin and (end is None or offset < end):
            yield token, logprob, (alternatives or {}).items()


def _by_id(listed: object) -> Iterable[Row]:
    """Yield a chat prompt's tokens. At each position, vLLM lists the prompt's token first."""
    for place in listed if isinstance(listed, list) else ():
        if place is None:  # The first token has no log-probability.
            yield "", None, ()
            continue
        values = [(value["decoded_token"], value["logprob"]) for value in place.values()]
        yield *values[0], values[1:]
