"""Which endpoint a run asks, and with which key. Knows the environment's names; opens no connection."""

from collections.abc import Mapping
from typing import Any

from selfinstruct.config import RunConfig, web_address_problem
from selfinstruct.errors import ConfigError

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
    if not key and address(config, environ=environ) == OPENAI_URL:
        raise ConfigError(
            "key",
            f"${config.api_key_env} is not set; put your key there, "
            "or name another endpoint with --base-url",
        )
    return key or NO_KEY


def for_a_new_run(settings: Mapping[str, Any], *, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings with the address spelled out: a later start may find another one in the environment.

    Raises ConfigError where a key is needed and none is set: better now than when the run's directory is
    there.
    """
    if not settings.get("model"):
        return dict(settings)  # which `open_run` will refuse in its own words
    config = RunConfig(**settings)
    api_key(config, environ=environ)
    return {**settings, "base_url": address(config, environ=environ)}
