"""Which endpoint a run asks, and with which key. Knows the environment's names; opens no connection."""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from selfinstruct.config.request_extras import Header, filled_in, looks_secret
from selfinstruct.config.schema import RunConfig, web_address_problem
from selfinstruct.errors import ConfigError

if TYPE_CHECKING:
    import openai

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


def client(config: RunConfig, *, environ: Mapping[str, str]) -> "openai.AsyncOpenAI":
    """The client that asks that endpoint; opens no connection.

    It reads the variables that name proxies and certificates from the environment of this process. Raises
    ConfigError where it cannot be set up.
    """
    key, url = api_key(config, environ=environ), address(config, environ=environ)
    import httpx2
    import openai

    from selfinstruct.llm.bodies import ENCODINGS, limit_body
    from selfinstruct.llm.connections import Connections

    limits = httpx2.Limits(
        max_connections=config.max_concurrency,
        max_keepalive_connections=config.max_concurrency,
        # The client's own 5 s would close connections while replies take longer than that.
        keepalive_expiry=60.0,
    )
    timeout = httpx2.Timeout(config.request_timeout_s, connect=config.connect_timeout_s)
    try:
        proxies = getproxies()
        # Where nothing is encrypted nothing is verified, and reading the trust store takes its time.
        is_plain = url.startswith("http://") and not proxies
        verify = False if is_plain else httpx2.create_ssl_context()
        pools = None
        if "all" not in proxies:  # what is mounted for all would stand in the way of that one
            pools = {"all://": Connections(config.max_concurrency, limits=limits, verify=verify)}
        return openai.AsyncOpenAI(
            api_key=key,
            base_url=url,
            max_retries=0,
            timeout=timeout,
            # Redirected, what is posted would be asked for, and who is asked would be somebody else.
            http_client=openai.DefaultAsyncHttpx2Client(
                limits=limits,
                timeout=timeout,
                follow_redirects=False,
                verify=verify,
                mounts=pools,
                headers={"Accept-Encoding": ", ".join(ENCODINGS)},
                event_hooks={"response": [limit_body]},
            ),
        )
    except Exception as error:  # noqa: BLE001 - of whatever kind, the set-up is wrong
        raise _no_client(
            error, url, "base_url" if config.base_url else "$OPENAI_BASE_URL"
        ) from None


def _no_client(error: Exception, url: str, place: str) -> ConfigError:
    """Why there is no client. The address of a proxy is not repeated: it may hold a password."""
    import httpx2

    try:
        httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return ConfigError(place, "must be an address such as http://localhost:8000/v1")
    for scheme, proxy in getproxies().items():
        problem = _proxy_problem(proxy) if scheme in ("http", "https", "all") else None
        if problem is not None:
            return ConfigError(f"${_as_written(f'{scheme}_proxy')}", problem)
    if isinstance(error, OSError):
        name = next((n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), None)
        why = None if isinstance(error, ssl.SSLError) else error.strerror
        why = why or "no certificates in it"
        remedy = "name another one, or unset it" if name else "install ca-certificates"
        return ConfigError(
            f"${name}" if name else "certificates",
            f"the trusted certificates cannot be read ({why}); {remedy}",
        )
    return ConfigError(
        "client",
        f"cannot be set up ({type(error).__name__}); look at the environment variables that name proxies and "
        "certificates",
    )


def _proxy_problem(address: str) -> str | None:
    """What is wrong with the address of a proxy, or None."""
    import httpx2

    try:
        proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    except (httpx2.InvalidURL, ValueError):
        return (
            "must be the address of a proxy such as http://localhost:3128, with http, https or socks5; "
            "mend it, or unset it"
        )
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        return (
            "names a SOCKS proxy, for which the package socksio is needed; install it "
            "(pip install socksio), or name a proxy for http"
        )
    return None


def _as_written(name: str) -> str:
    """The name of a variable as it is written in the environment, where the case does not count."""
    written = [found for found in os.environ if found.lower() == name and os.environ[found]]
    return name if name in written or not written else written[0]


def with_address(config: RunConfig, *, environ: Mapping[str, str]) -> RunConfig:
    """The settings of a run that was made without an address, with it: prices are those of an address.

    Raises ConfigError.
    """
    return config if config.base_url else replace(config, base_url=address(config, environ=environ))


def for_a_new_run(settings: Mapping[str, Any], *, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings with the address spelled out: a later start may find another one in the environment.

    Raises ConfigError where a key or another variable is needed and not set, or says what cannot be: better
    now than when the run's directory is there.
    """
    if not settings.get("model"):
        return dict(settings)  # which `open_run` will refuse in its own words
    config = RunConfig(**settings)
    client(config, environ=environ)
    return {**settings, "base_url": address(config, environ=environ)}
