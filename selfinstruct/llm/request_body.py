"""A request as the API takes it: the JSON body, and which door it goes to. Sends nothing.

Also what an endpoint says about it: that it wants the token limit under its newer name, or that it does not
take a parameter, which can then be left out.
"""

import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.llm.reply import words
from selfinstruct.records import Request, Stage

OLDER_LIMIT = "max_tokens"
NEWER_LIMIT = "max_completion_tokens"
"""What OpenAI's reasoning models call the limit, and what they insist on."""

LIMITS = frozenset({OLDER_LIMIT, NEWER_LIMIT})
"""Both names of the token limit."""


def door(request: Request) -> str:
    """The path of the API, below the base URL, that takes such a request."""
    return "/completions" if request.prompt.text is not None else "/chat/completions"


def parameters(request: Request, *, limit: str = OLDER_LIMIT) -> dict[str, Any]:
    """The body of a request, that for chats or that for texts; what is None is not sent.

    `limit` is what a chat endpoint calls the token limit. Extra members replace those of the same name.
    """
    sampling = request.sampling
    is_text = request.prompt.text is not None
    ours = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        OLDER_LIMIT if is_text else limit: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
    }
    # Under both names at once the limit would be refused.
    replaced = LIMITS if LIMITS & sampling.extra.keys() else frozenset()
    optional = {n: v for n, v in ours.items() if n not in replaced} | dict(sampling.extra)
    asked: dict[str, Any]
    if is_text:
        asked = {"prompt": request.prompt.text}
    else:
        asked = {
            "messages": [{"role": m.role, "content": m.content} for m in request.prompt.messages]
        }
    return {
        "model": sampling.model,
        **asked,
        **{name: value for name, value in optional.items() if value is not None},
    }


def wants_newer_limit(status: int, error: object, body: Mapping[str, Any]) -> bool:
    """Whether a refusal says that the token limit is to be sent under its newer name.

    `error` is the error object of the reply, `body` what was sent.
    """
    if status not in (400, 422) or OLDER_LIMIT not in body or "messages" not in body:
        return False
    said = words(error).lower()
    # Servers that know both names use both when they say that the number is too large.
    is_about_the_name = re.search(r"instead|not supported|unsupported|unrecognized|unknown", said)
    return NEWER_LIMIT in said and is_about_the_name is not None


def advice(status: int | None, error: object, request: Request, body: Mapping[str, Any]) -> str:
    """What to type so that the parameter that a refusal blames is left out; "" where it blames none."""
    name = blamed(error, body) if status in (400, 422) else ""
    if not name:
        return ""
    if name in request.sampling.extra:
        return f"{name!r} is a member of --extra-body"
    flag = without(request.stage, name)
    if name in LIMITS:
        return f"give another one with {flag.partition(' ')[0]}, or leave it out with {flag}"
    return f"leave it out with {flag}"


def without(stage: Stage, name: str) -> str:
    """What to type so that a stage does not send a parameter of ours."""
    if name in LIMITS or name in _SET_BY_STAGE:
        setting = OLDER_LIMIT if name in LIMITS else name
        return f"--{stage}-{setting} null".replace("_", "-")
    return f"--extra-body '{{\"{name}\": null}}'"


_SET_BY_STAGE = frozenset({"temperature", "top_p", "presence_penalty"})
"""Parameters with a setting for each stage that sends them."""
_NEEDED = frozenset({"model", "messages", "prompt"})
_READ = 2000
"""Characters of an endpoint's words that are looked at."""
_QUOTED = re.compile(r"['\"`‘“]([A-Za-z_]{1,40})['\"`’”]")


def blamed(error: object, body: Mapping[str, Any]) -> str:
    """The parameter that a refusal names and that can be left out; "" where there is none."""
    param = error.get("param") if isinstance(error, Mapping) else None
    named = [param] if isinstance(param, str) else []
    named += _QUOTED.findall(words(error)[:_READ])
    return next((name for name in named if name in body and name not in _NEEDED), "")
