"""Content faults: valid replies with the wrong content.

    length           only the first third of the text, with the finish reason "length"
    content_filter   only the first third of the text, with the finish reason "content_filter"
    refusal          a refusal instead of content; in a text completion, an empty text
    empty            an empty text
    null_content     null instead of the text
    no_usage         no token counts
    other_model      another model's name

A fault affects all choices in a reply.
"""

from typing import Any, Final

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.completions import echoed, text_of, with_text
from selfinstruct.simulate.protocol.request_bodies import AnyBody

REFUSAL: Final = "I'm sorry, but I cannot help with that request."


def with_content_fault(reply: dict[str, Any], fault: str, request: AnyBody) -> dict[str, Any]:
    """Return `reply`, which answers `request`, with the content fault that is named `fault`."""
    if fault == "no_usage":
        return {name: value for name, value in reply.items() if name != "usage"}
    if fault == "other_model":
        return reply | {"model": f"{request.model}-other"}
    changed = [_choice(choice, fault, echoed(request)) for choice in reply["choices"]]
    written = sum(number for _, number in changed)
    prompt_tokens = reply["usage"]["prompt_tokens"]
    usage = {"completion_tokens": written, "total_tokens": prompt_tokens + written}
    return reply | {"choices": [choice for choice, _ in changed], "usage": reply["usage"] | usage}


def _choice(choice: dict[str, Any], fault: str, echo: str) -> tuple[dict[str, Any], int]:
    """Return the changed choice, and the number of tokens in its text without the leading `echo`."""
    if fault == "refusal" and "message" in choice:
        message = choice["message"] | {"content": None, "refusal": REFUSAL}
        return choice | {"message": message, "finish_reason": "stop"}, tokens.count(REFUSAL)
    text: str | None = None if fault == "null_content" else echo
    number, reason = 0, "stop"
    if fault in ("length", "content_filter"):
        whole = text_of(choice)[len(echo) :]
        kept, number = tokens.cut(whole, max(1, tokens.count(whole) // 3))
        text, reason = echo + kept, fault
    return with_text(choice, text) | {"finish_reason": reason}, number
