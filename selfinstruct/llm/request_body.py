"""Convert a request to its API path and JSON body, and find out which parameter a refusal is about."""

import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.llm.logprobs import members
from selfinstruct.llm.reply import error_message
from selfinstruct.records import Request, Stage

MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"
"""Name that OpenAI's reasoning models require instead of `max_tokens`."""
MAX_TOKENS_NAMES = frozenset({MAX_TOKENS, MAX_COMPLETION_TOKENS})


def api_path(request: Request) -> str:
    """Return a request's API path, relative to the base URL."""
    return "/completions" if request.prompt.text is not None else "/chat/completions"


def parameters(request: Request, *, max_tokens_name: str = MAX_TOKENS) -> dict[str, Any]:
    """Return a request's body, without the parameters that are None.

    `max_tokens_name` is the name of max_tokens in chat requests. Members of `sampling.extra` replace
    parameters with the same name.
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
        # Endpoints refuse a request that contains both names.
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
    """Return whether the endpoint refused `body` because it requires max_completion_tokens.

    `error` is the reply's error object.
    """
    if status not in (400, 422) or MAX_TOKENS not in body or "messages" not in body:
        return False
    message = error_message(error).lower()
    # Servers that accept either name mention both if the number is too large.
    is_about_name = re.search(r"instead|not supported|unsupported|unrecognized|unknown", message)
    return MAX_COMPLETION_TOKENS in message and is_about_name is not None


def advice(status: int | None, error: object, request: Request, body: Mapping[str, Any]) -> str:
    """Return a sentence on how to remove or change the refused parameter; "" if no parameter was refused."""
    name = refused_parameter(error, body) if status in (400, 422) else ""
    if not name:
        return ""
    if name in request.sampling.extra:
        return f"change or remove {name!r} in --extra-body"
    option = option_without(request.stage, name)
    if name in MAX_TOKENS_NAMES:
        return f"change {name} with {option.removesuffix('null')}N, or remove it with {option}"
    return f"remove {name} with {option}"


def option_without(stage: Stage, name: str) -> str:
    """Return the command-line option that removes a parameter from a stage's requests."""
    if name in MAX_TOKENS_NAMES or name in _PER_STAGE:
        setting = MAX_TOKENS if name in MAX_TOKENS_NAMES else name
        return f"--set {stage}_{setting}=null"
    return f"--extra-body '{{\"{name}\": null}}'"


_PER_STAGE = frozenset({"temperature", "top_p", "presence_penalty"})
"""Parameters that have a separate setting for each stage."""
_REQUIRED = frozenset({"model", "messages", "prompt"})
_MAX_MESSAGE_CHARACTERS = 2000
"""Maximum number of characters of an error message to search for parameter names."""
_QUOTED_NAME = re.compile(r"['\"`‘“]([A-Za-z_]{1,40})['\"`’”]")


def refused_parameter(error: object, body: Mapping[str, Any]) -> str:
    """Return the optional parameter that a refusal mentions, or "" if it mentions none."""
    param = error.get("param") if isinstance(error, Mapping) else None
    names = [param] if isinstance(param, str) else []
    names += _QUOTED_NAME.findall(error_message(error)[:_MAX_MESSAGE_CHARACTERS])
    return next((name for name in names if name in body and name not in _REQUIRED), "")
