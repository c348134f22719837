"""Find the endpoint's address, in the settings or in an environment variable."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfinstruct.config.endpoint_settings import EndpointSettings, web_address_problem
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"


def address(config: EndpointSettings, *, environ: Mapping[str, str]) -> str:
    """Return `base_url` if it is set, else $OPENAI_BASE_URL if it is set, else OpenAI's address.

    Raises ConfigError if $OPENAI_BASE_URL is invalid.
    """
    if config.base_url:
        return config.base_url
    url = environ.get("OPENAI_BASE_URL", "").strip()
    problem = web_address_problem(url) if url else None
    if problem is not None:
        raise ConfigError("$OPENAI_BASE_URL", problem)
    return url or OPENAI_URL


def with_address(config: RunConfig, *, environ: Mapping[str, str]) -> RunConfig:
    """Return the settings with `base_url` set, because prices depend on the address. Raises ConfigError."""
    return config if config.base_url else replace(config, base_url=address(config, environ=environ))


def for_a_new_run(settings: Mapping[str, Any], *, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a new run's settings with `base_url` set, because the environment may change between starts.

    Raises ConfigError.
    """
    if not settings.get("model"):
        return dict(settings)  # `open_run` reports that the model is missing.
    return {**settings, "base_url": address(RunConfig(**settings), environ=environ)}
