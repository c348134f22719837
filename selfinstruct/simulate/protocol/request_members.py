"""The members of a request: reading them out of JSON, and refusing those that are wrong.

Knows types and ranges, and how an OpenAI-compatible API says that one is not kept::

    >>> whole({"n": 3}, "n", most=128)
    3
    >>> whole({"n": 0}, "n", most=128)
    Traceback (most recent call last):
    selfinstruct.simulate.protocol.request_members.RequestError: 'n' must be from 1 to 128.

It does not know which members make up a request; `chat_completions` and `text_completions` do.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

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
class CommonMembers:
    """The members that mean the same in every kind of request, checked.

    `sampling` holds what shapes the text besides the model and the prompt: the four sampling
    parameters in a fixed order (None where one is absent).
    """

    model: str
    choices: int
    stops: tuple[str, ...]
    sampling: list[float | None]
    seed: int | None


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; a RequestError if it holds anything else."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "The body of the request is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise RequestError(400, "The body of the request must be a JSON object.")
    return asked


def common_members(asked: dict[str, Any], served: str) -> CommonMembers:
    """The common members of a request to an endpoint that serves the model `served`.

    Raises RequestError: 400 for a member of the wrong type or out of range, 404 for another model.
    """
    model = asked.get("model")
    if not isinstance(model, str):
        raise RequestError(400, "'model' must be a string.", param="model")
    if asked.get("stream"):
        message = "The simulated endpoint does not stream; leave 'stream' out or set it to false."
        raise RequestError(400, message, param="stream", code="unsupported_value")
    choices = whole(asked, "n", most=MOST_CHOICES)
    stops = _stops(asked.get("stop"))
    sampling = [_number(asked, name, low, high) for name, (low, high) in _SAMPLING.items()]
    seed = asked.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise RequestError(400, "'seed' must be a whole number.", param="seed")
    if model != served:
        raise unknown_model(model, served)
    return CommonMembers(
        model=model, choices=choices or 1, stops=stops, sampling=sampling, seed=seed
    )


def unknown_model(asked: str, served: str) -> RequestError:
    """The error for a request that names another model than the one there is."""
    message = f"The model '{asked}' does not exist; this endpoint serves '{served}'."
    return RequestError(404, message, param="model", code="model_not_found")


def whole(
    asked: dict[str, Any], name: str, *, least: int = 1, most: int | None = None
) -> int | None:
    """The whole number called `name`, None if it is absent; a RequestError if it is not one."""
    number = asked.get(name)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool):
        raise RequestError(400, f"'{name}' must be a whole number.", param=name)
    if number < least or (most is not None and number > most):
        reach = f"from {least} to {most}" if most is not None else f"at least {least}"
        raise RequestError(400, f"'{name}' must be {reach}.", param=name)
    return number


def flag(asked: dict[str, Any], name: str) -> bool:
    """The truth value called `name`, False if it is absent; a RequestError if it is not one."""
    value = asked.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(400, f"'{name}' must be true or false.", param=name)
    return bool(value)


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
