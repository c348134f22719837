"""Faulty replies: what is said in place of the true reply when an attempt goes wrong.

Knows the faults that show in what is said: error statuses, pages, bodies that are no completion. What
happens to the connection is the business of `transport`, and content that is amiss in a reply of the
right form that of `content`::

    instead_of(as_json(200, {…}), Status(share=1, status=429))      429, {"error": {…}}
    instead_of(as_json(200, {…}), Hang(share=1))                    the true reply, which nobody gets
"""

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    BrokenJson,
    BrokenOff,
    ErrorObject,
    NoChoices,
    Page,
    RetryAfter,
    Status,
)
from selfinstruct.simulate.protocol.replies import Reply, as_json

_MESSAGES: Final = {
    408: "The request took too long.",
    409: "The request is at odds with another one.",
    429: "Rate limit reached; try again later.",
    500: "The server had an error while processing the request.",
    502: "Bad gateway.",
    503: "The server is overloaded; try again later.",
    504: "The gateway waited too long.",
    529: "The server is overloaded; try again later.",
}
_LOG_IN: Final = (
    "<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n"
    '<body><h1>Please log in</h1><form method="post" action="/login">'
    '<input name="user"><input name="password" type="password"><button>Log in</button>'
    "</form></body></html>\n"
)
_PLAIN: Final = "upstream connect error or disconnect before headers\n"


def instead_of(true: Reply, fault: AttemptFault) -> Reply:
    """What `fault` makes of the `true` reply; the same for a fault that does not show in it."""
    match fault:
        case Status():
            said = _error(fault.status, fault.code, fault.message)
            return as_json(fault.status, said, _come_back(fault.retry_after))
        case ErrorObject():
            return as_json(200, _error(500, fault.code, fault.message))
        case Page():
            text, media_type = (
                (_LOG_IN, "text/html") if fault.format == "html" else (_PLAIN, "text/plain")
            )
            return Reply(status=200, body=text.encode(), media_type=media_type)
        case BrokenJson():
            return Reply(status=true.status, body=true.body[: len(true.body) // 2])
        case NoChoices():
            return as_json(true.status, _without_choices(true.said, fault.choices))
        case BrokenOff():
            return as_json(true.status, _broken_off(true.said))
        case _:
            return true


def _error(status: int, code: str | None, message: str | None) -> dict[str, Any]:
    if status == 429:
        kind = "rate_limit_error"
    else:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    told = _MESSAGES.get(status, f"The request failed with status {status}.")
    return {
        "error": {
            "message": told if message is None else message,
            "type": kind,
            "param": None,
            "code": code,
        }
    }


def _come_back(retry_after: RetryAfter | None) -> dict[str, str] | None:
    """The header that says when another attempt is welcome."""
    if retry_after is None:
        return None
    if retry_after.milliseconds is not None:
        return {"retry-after-ms": _plain(retry_after.milliseconds)}
    if retry_after.seconds is not None:
        return {"retry-after": _plain(retry_after.seconds)}
    assert retry_after.date is not None
    # Dates in HTTP have no fractions; downwards this would be sooner than the plan says.
    now = datetime.now(UTC).timestamp()
    then = datetime.fromtimestamp(math.ceil(now + retry_after.date), UTC)
    return {"retry-after": format_datetime(then, usegmt=True)}


def _plain(number: float) -> str:
    """A number without an exponent, and without a fraction that is zero."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _broken_off(said: dict[str, Any]) -> dict[str, Any]:
    """Return a reply whose first choice ends in the middle of its text, as relays report it."""
    if "choices" not in said:
        return said
    choice, *others = said["choices"]
    if "message" in choice:
        content = choice["message"]["content"] or ""
        half: dict[str, Any] = {
            "message": choice["message"] | {"content": content[: len(content) // 2]}
        }
    else:
        half = {"text": choice["text"][: len(choice["text"]) // 2]}
    error = {"code": 502, "message": "The provider disconnected."}
    return said | {"choices": [choice | half | {"finish_reason": "error", "error": error}, *others]}


def _without_choices(said: dict[str, Any], choices: str) -> dict[str, Any]:
    if "choices" not in said:  # the request was refused: there is nothing to take away
        return said
    if choices == "missing":
        return {name: value for name, value in said.items() if name != "choices"}
    return said | {"choices": None if choices == "null" else []}
