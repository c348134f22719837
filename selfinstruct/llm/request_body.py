"""Convert a request to the JSON body and the path of the API, and read what a refusal says about the body."""

import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.llm.logprobs import members
from selfinstruct.llm.reply import error_message
from selfinstruct.records import Request, Stage

MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"
"""Name that reasoning models of OpenAI require instead of `max_tokens`."""
MAX_TOKENS_NAMES = frozenset({MAX_TOKENS, MAX_COMPLETION_TOKENS})


def api_path(request: Request) -> str:
    """Return the path of the API for a request, relative to the base URL."""
    return "/completions" if request.prompt.text is not None else "/chat/completions"


def parameters(request: Request, *, max_tokens_name: str = MAX_TOKENS) -> dict[str, Any]:
    """Return the body of a request; parameters that are None are left out.

    `max_tokens_name` is the name of max_tokens in chat requests. Members of `extra` replace parameters.
    """
    sampling = request.sampling
    is_text = request.prompt.text is not None
    optional = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        MAX_TOKENS if is_text else max_tokens_name: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        **members(request),
    }
    if MAX_TOKENS_NAMES & sampling.extra.keys():
        # Endpoints refuse both names in one request.
        optional = {n: v for n, v in optional.items() if n not in MAX_TOKENS_NAMES}
    optional |= sampling.extra
    prompt: dict[str, Any] = {"prompt": request.prompt.text}
    if not is_text:
        prompt = {
            "messages": [{"role": m.role, "content": m.content} for m in request.prompt.messages]
        }
    given = {name: value for name, value in optional.items() if value is not None}
    return {"model": sampling.model, **prompt, **given}


def wants_max_completion_tokens(status: int, error: object, body: Mapping[str, Any]) -> bool:
    """Return whether a refusal of `body` asks for max_completion_tokens; `error` is the error object."""
    if status not in (400, 422) or MAX_TOKENS not in body or "messages" not in body:
        return False
    message = error_message(error).lower()
    # Servers that know both names mention both when the number is too large.
    is_about_name = re.search(r"instead|not supported|unsupported|unrecognized|unknown", message)
    return MAX_COMPLETION_TOKENS in message and is_about_name is not None


def advice(status: int | None, error: object, request: Request, body: Mapping[str, Any]) -> str:
    """Return the option that removes the refused parameter, as a sentence; "" without such a parameter."""
    name = refused_parameter(error, body) if status in (400, 422) else ""
    if not name:
        return ""
    if name in request.sampling.extra:
        return f"{name!r} is a member of --extra-body"
    option = option_without(request.stage, name)
    if name in MAX_TOKENS_NAMES:
        return f"set another one with {option.removesuffix('null')}N, or remove it with {option}"
    return f"remove it with {option}"


def option_without(stage: Stage, name: str) -> str:
    """Return the option that removes a parameter from the requests of a stage."""
    if name in MAX_TOKENS_NAMES or name in _PER_STAGE:
        setting = MAX_TOKENS if name in MAX_TOKENS_NAMES else name
        return f"--set {stage}_{setting}=null"
    return f"--extra-body '{{\"{name}\": null}}'"


_PER_STAGE = frozenset({"temperature", "top_p", "presence_penalty"})
"""Parameters with a setting for each stage."""
_REQUIRED = frozenset({"model", "messages", "prompt"})
_MAX_MESSAGE_CHARACTERS = 2000
"""Part of an error message that is searched for names."""
_QUOTED_NAME = re.compile(r"['\"`‘“]([A-Za-z_]{1,40})['\"`’”]")


def refused_parameter(error: object, body: Mapping[str, Any]) -> str:
    """Return the optional parameter that a refusal names; "" if there is none."""
    param = error.get("param") if isinstance(error, Mapping) else None
    names = [param] if isinstance(param, str) else []
    names += _QUOTED_NAME.findall(error_message(error)[:_MAX_MESSAGE_CHARACTERS])
    return next((name for name in names if name in body and name not in _REQUIRED), "")
