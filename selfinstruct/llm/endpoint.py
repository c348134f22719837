"""Which endpoint a run asks, and with which key. Knows the environment's names; opens no connection."""

from collections.abc import Iterable, Mapping
from typing import Any

from selfinstruct.config import RunConfig, web_address_problem
from selfinstruct.errors import ConfigError
from selfinstruct.extras import Header, filled_in, looks_secret

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""Local servers ask for no key, but the client insists on a word."""


def address(config: RunConfig, *, environ: Mapping[str, str]) -> str:
    """Address of the endpoint: the setting, else $OPENAI_BASE_URL, else OpenAI's. Raises ConfigError."""
    if config.base_url:
        return config.base_url
    found = environ.get("OPENAI_BASE_URL", "").strip()
    problem = web_address_problem(found) if found else None
    if problem is not None:
        raise ConfigError("$OPENAI_BASE_URL", problem)
    return found or OPENAI_URL


def api_key(config: RunConfig, *, environ: Mapping[str, str]) -> str:
    """The key for that endpoint. Raises ConfigError for none where one is needed, and for a garbled one."""
    key = environ.get(config.api_key_env, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "key",
            f"${config.api_key_env} holds characters that no key has (a line end, a blank, an ellipsis?)",
        )
    names = {header.name.lower() for header in headers(config, environ=environ)}
    if not key and "authorization" not in names and address(config, environ=environ) == OPENAI_URL:
        raise ConfigError(
            "key",
            f"${config.api_key_env} is not set; put your key there, "
            "or name another endpoint with --base-url",
        )
    return key or NO_KEY


def headers(config: RunConfig, *, environ: Mapping[str, str]) -> tuple[Header, ...]:
    """The headers to add to every request, filled in. Raises ConfigError for a variable that is not set."""
    return tuple(filled_in(line, environ) for line in config.extra_header)


def authorizes(added: Iterable[Header]) -> bool:
    """Whether headers prove who asks, so that without a key nothing need stand in its place."""
    return any(looks_secret(header.name) for header in added)


def for_a_new_run(settings: Mapping[str, Any], *, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings with the address spelled out: a later start may find another one in the environment.

    Raises ConfigError where a key or another variable is needed and not set: better now than when the run's
    directory is there.
    """
    if not settings.get("model"):
        return dict(settings)  # which `open_run` will refuse in its own words
    config = RunConfig(**settings)
    api_key(config, environ=environ)
    return {**settings, "base_url": address(config, environ=environ)}
