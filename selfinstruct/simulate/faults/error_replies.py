"""Error replies: what the client receives instead of the true reply.

This module implements error statuses, web pages and bodies that are not completions. `transport` implements
connection faults, and `content` implements content faults.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from selfinstruct.simulate.faults import plan
from selfinstruct.simulate.protocol.completions import text_of, with_text
from selfinstruct.simulate.protocol.replies import Reply, error_reply, json_reply

_MESSAGES: Final = {
    429: "Rate limit reached; try again later.",
    500: "The server had an error while processing the request.",
    503: "The server is overloaded; try again later.",
    529: "The server is overloaded; try again later.",
}
_LOG_IN: Final = (
    "<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n"
    '<body><h1>Please log in</h1><form method="post" action="/login">'
    '<input name="user"><input name="password" type="password"><button>Log in</button>'
    "</form></body></html>\n"
)
_PLAIN: Final = "upstream connect error or disconnect before headers\n"


def with_fault(reply: Reply, fault: plan.AttemptFault | None) -> Reply:
    """Return `reply` as changed by `fault`. It is unchanged if `fault` is None or a connection fault."""
    match fault:
        case plan.Status():
            error = _error(fault.status, fault.code, fault.message)
            return replace(error, headers=_retry_header(fault.retry_after))
        case plan.ErrorObject():
            return replace(_error(500, fault.code, fault.message), status=200)
        case plan.Page(format="html"):
            return Reply(status=200, body=_LOG_IN.encode(), media_type="text/html")
        case plan.Page():
            return Reply(status=200, body=_PLAIN.encode(), media_type="text/plain")
        case plan.Plain(fault="broken_json"):
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        # The reply may already be an error, which has no choices to change.
        case plan.NoChoices() if "choices" in reply.data:
            return json_reply(reply.status, _without_choices(reply.data, fault.choices))
        case plan.Plain(fault="broken_off") if "choices" in reply.data:
            return json_reply(reply.status, _broken_off(reply.data))
        case _:
            return reply


def _error(status: int, code: str | None, message: str | None) -> Reply:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = "rate_limit_error"
    if message is None:
        message = _MESSAGES.get(status, f"The request failed with status {status}.")
    return error_reply(status, message, kind=kind, code=code)


def _retry_header(retry_after: plan.RetryAfter | None) -> dict[str, str] | None:
    if retry_after is None:
        return None
    if retry_after.milliseconds is not None:
        return {"retry-after-ms": _decimal(retry_after.milliseconds)}
    if retry_after.seconds is not None:
        return {"retry-after": _decimal(retry_after.seconds)}
    # HTTP dates have whole seconds. Rounding down would invite a retry before the planned time.
    now = datetime.now(UTC).timestamp()
    then = datetime.fromtimestamp(math.ceil(now + (retry_after.date or 0)), UTC)
    return {"retry-after": format_datetime(then, usegmt=True)}


def _decimal(number: float) -> str:
    """Return `number` as text, without an exponent and without trailing zeros."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _broken_off(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with half of the first choice's text and an error in it, as API gateways send it."""
    choice, *others = data["choices"]
    text = text_of(choice)
    error = {"code": 502, "message": "The provider disconnected."}
    broken = with_text(choice, text[: len(text) // 2]) | {"finish_reason": "error", "error": error}
    return data | {"choices": [broken, *others]}


def _without_choices(data: dict[str, Any], choices: str) -> dict[str, Any]:
    if choices == "missing":
        return {name: value for name, value in data.items() if name != "choices"}
    return data | {"choices": None if choices == "null" else []}
