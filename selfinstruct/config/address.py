"""Find the address of the endpoint: a setting, or an environment variable."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfinstruct.config.endpoint_settings import EndpointSettings, web_address_problem
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"


def address(config: EndpointSettings, *, environ: Mapping[str, str]) -> str:
    """Return the setting `base_url`, or $OPENAI_BASE_URL, or OpenAI's address. Raises ConfigError."""
    if config.base_url:
        return config.base_url
    url = environ.get("OPENAI_BASE_URL", "").strip()
    problem = web_address_problem(url) if url else None
    if problem is not None:
        raise ConfigError("$OPENAI_BASE_URL", problem)
    return url or OPENAI_URL


def with_address(config: RunConfig, *, environ: Mapping[str, str]) -> RunConfig:
    """Set `base_url`, because prices depend on the address. Raises ConfigError."""
    return config if config.base_url else replace(config, base_url=address(config, environ=environ))


def for_a_new_run(settings: Mapping[str, Any], *, environ: Mapping[str, str]) -> dict[str, Any]:
    """Set `base_url` for a new run: the environment may differ at a later start. Raises ConfigError."""
    if not settings.get("model"):
        return dict(settings)  # `open_run` reports the missing model
    return {**settings, "base_url": address(RunConfig(**settings), environ=environ)}
