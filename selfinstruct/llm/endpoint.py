"""Which endpoint a run asks, and with which key. Knows the environment's names; opens no connection."""

from collections.abc import Mapping

from selfinstruct.config import RunConfig
from selfinstruct.errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"


def address(config: RunConfig, *, environ: Mapping[str, str]) -> str:
    """Address of the endpoint: the setting, else $OPENAI_BASE_URL, else OpenAI's."""
    return config.base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL


def api_key(config: RunConfig, *, environ: Mapping[str, str]) -> str:
    """The key for that endpoint. Raises ConfigError where one is needed and none is set."""
    key = environ.get(config.api_key_env, "").strip()
    if not key and address(config, environ=environ) == OPENAI_URL:
        raise ConfigError(
            "key",
            f"${config.api_key_env} is not set; put your key there, "
            "or name another endpoint with --base-url",
        )
    return key or "none"  # local servers ask for none, but the client insists on a word
