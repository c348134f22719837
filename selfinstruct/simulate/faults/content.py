"""Content faults: replies of the right form whose content is amiss.

Knows the objects that answer a chat and a text completion, and makes of each what an endpoint sends
on a bad day. It does not know which requests that befalls; the plan and `assignment` settle it::

    length           the text breaks off at about a third, and the finish reason says so
    content_filter   likewise, with that finish reason
    refusal          no content but a refusal; in a text completion, an empty text
    empty            an empty text
    null_content     null in place of the text
    no_usage         nobody says how many tokens it was
    other_model      the reply comes from another model than the one asked for

All choices of a reply are alike in this.
"""

from collections.abc import Callable
from typing import Any, Final

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.completions import CompletionRequest

REFUSAL: Final = "I'm sorry, but I cannot help with that request."
_KEPT_PART: Final = 3


def befallen(reply: dict[str, Any], fault: str, request: CompletionRequest) -> dict[str, Any]:
    """The `reply` to `request` with the content fault of that name."""
    if fault == "no_usage":
        return {name: value for name, value in reply.items() if name != "usage"}
    if fault == "other_model":
        return reply | {"model": f"{request.model}-other"}
    before = request.prompt if request.echo else ""
    amiss = _CHOICES[fault]
    changed = [amiss(choice, before) for choice in reply["choices"]]
    written = sum(number for _, number in changed)
    read_in = reply["usage"]["prompt_tokens"]
    usage = {"completion_tokens": written, "total_tokens": read_in + written}
    return reply | {
        "choices": [choice for choice, _ in changed],
        "usage": reply["usage"] | usage,
    }


def _cut(choice: dict[str, Any], before: str, reason: str) -> tuple[dict[str, Any], int]:
    """A choice that breaks off at about a third of what was written, and its number of tokens."""
    is_chat = "message" in choice
    whole = choice["message"]["content"] if is_chat else choice["text"][len(before) :]
    text, number = tokens.cut(whole, max(1, tokens.count(whole) // _KEPT_PART))
    return _with_text(choice, before + text, reason), number


def _with_text(choice: dict[str, Any], text: str | None, reason: str) -> dict[str, Any]:
    if "message" in choice:
        changed: dict[str, Any] = {"message": choice["message"] | {"content": text}}
    else:
        changed = {"text": text}
    return choice | changed | {"finish_reason": reason}


def _length(choice: dict[str, Any], before: str) -> tuple[dict[str, Any], int]:
    return _cut(choice, before, "length")


def _content_filter(choice: dict[str, Any], before: str) -> tuple[dict[str, Any], int]:
    return _cut(choice, before, "content_filter")


def _refusal(choice: dict[str, Any], before: str) -> tuple[dict[str, Any], int]:
    if "message" not in choice:
        return _empty(choice, before)
    message = choice["message"] | {"content": None, "refusal": REFUSAL}
    return choice | {"message": message, "finish_reason": "stop"}, tokens.count(REFUSAL)


def _empty(choice: dict[str, Any], before: str) -> tuple[dict[str, Any], int]:
    return _with_text(choice, before, "stop"), 0


def _null(choice: dict[str, Any], _before: str) -> tuple[dict[str, Any], int]:
    return _with_text(choice, None, "stop"), 0


_CHOICES: Final[dict[str, Callable[[dict[str, Any], str], tuple[dict[str, Any], int]]]] = {
    "length": _length,
    "content_filter": _content_filter,
    "refusal": _refusal,
    "empty": _empty,
    "null_content": _null,
}
"""What becomes of a choice, behind a prompt that is echoed, and its number of tokens then."""
