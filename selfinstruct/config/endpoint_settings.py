"""Endpoint settings: model, address, key, timeouts, rate limits and prices."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from selfinstruct.config.request_extras import body_problem, headers_problem
from selfinstruct.config.setting_declaration import (
    Group,
    at_least,
    between,
    cost,
    dataset,
    job,
    one_of,
    sampling,
)


def _model_problem(value: str) -> str | None:
    if value and not value.strip():
        return "is blank; specify a model, for example --model gpt-5.4-mini"
    if not value.isprintable():
        return "contains invisible characters; use the name that the endpoint uses"
    return None


def web_address_problem(value: str) -> str | None:
    """Return the problem with an endpoint's address, or None if it is valid. Never repeat the address."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0) and value.isascii()
    except ValueError:
        is_address = False
    if not is_address or not value.isprintable() or " " in value:
        return "must be an address such as http://localhost:8000/v1"
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The address is stored and shown, so it must not contain a secret.
        return (
            "must not contain a user name, a password or a query; "
            "put the key into an environment variable"
        )
    return None


def _variable_name_problem(value: str) -> str | None:
    # Do not repeat the value: users who confuse this setting with the key type the key here.
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        return "must be the name of an environment variable, such as OPENAI_API_KEY"
    return None


_rare_job = partial(job, rare=True)
_price = partial(cost, check=at_least(0))
_rate = partial(cost, check=at_least(1))


@dataclass(frozen=True, kw_only=True)
class EndpointSettings(Group):
    """The settings that an endpoint client needs: a model, its endpoint, rate limits and prices."""

    model: str = dataset("", "Name of the model at the endpoint.", short="-m", check=_model_problem)
    api: str = dataset(
        "chat",
        "API of the endpoint: chat, or completions for base models.",
        check=one_of("chat", "completions"),
    )
    extra_body: Mapping[str, Any] | None = sampling(
        None,
        'Extra members for every request body, as a JSON object such as {"top_k": 20}; null removes a '
        "member.",
        check=body_problem,
    )
    base_url: str | None = job(
        None,
        "Address of the endpoint, up to and including /v1.",
        shown_default="$OPENAI_BASE_URL, or https://api.openai.com/v1",
        check=web_address_problem,
    )
    api_key_env: str = job(
        "OPENAI_API_KEY",
        "Name of the environment variable that contains the API key.",
        check=_variable_name_problem,
    )
    extra_header: tuple[str, ...] = job(
        (),
        "Header for every request; repeatable. $NAME is replaced with an environment variable when the "
        "request is sent, so no secret is stored: 'api-key: $AZURE_API_KEY', in single quotes.",
        check=headers_problem,
    )
    token_limit: str = _rare_job(
        "auto",
        "Parameter that limits a reply's length in chat requests: max_tokens, max_completion_tokens, or auto "
        "(max_tokens, until the endpoint asks for max_completion_tokens).",
        check=one_of("auto", "max_tokens", "max_completion_tokens"),
    )
    max_concurrency: int = job(32, "Maximum number of requests in flight.", check=between(1, 4096))
    request_timeout_s: float = job(
        300.0, "Seconds to wait for a complete reply.", check=between(0.001, 86400)
    )
    connect_timeout_s: float = _rare_job(
        10.0, "Seconds to wait for a connection.", check=between(0.001, 3600)
    )
    max_attempts: int = _rare_job(
        6,
        "Maximum number of attempts at a request before other requests are sent.",
        check=between(1, 100),
    )
    give_up_after_s: float = job(
        7200.0,
        "Seconds to wait for an unresponsive endpoint before the run stops.",
        check=between(0, 30 * 86400),
    )
    price_input: float | None = _price(
        None, "Dollars per million prompt tokens.", shown_default="the model's price"
    )
    price_cached_input: float | None = cost(
        None,
        "Dollars per million cached prompt tokens.",
        shown_default="the model's price, or price_input",
        rare=True,
        check=at_least(0),
    )
    price_output: float | None = _price(
        None, "Dollars per million completion tokens.", shown_default="the model's price"
    )
    free: bool = cost(default=False, help_text="The endpoint is free, for example your own server.")
    max_requests_per_minute: int | None = _rate(
        None,
        "Rate limit: maximum number of requests in any minute.",
        shown_default="the endpoint's limit",
    )
    max_tokens_per_minute: int | None = _rate(
        None,
        "Rate limit: maximum number of prompt and completion tokens in any minute.",
        shown_default="the endpoint's limit",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # Copy the values, so that callers cannot change them and they equal what YAML and JSON return.
        object.__setattr__(self, "extra_header", tuple(self.extra_header))
        body = json.loads(json.dumps(self.extra_body)) if self.extra_body else None
        object.__setattr__(self, "extra_body", body)
