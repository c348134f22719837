"""Create the HTTP client for an endpoint, with its key and headers. No connection is opened."""

import os
import ssl
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.request import getproxies

from selfinstruct.config.endpoint_address import OPENAI_URL, address
from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.config.request_extras import Header, filled_in, looks_secret
from selfinstruct.errors import ConfigError

if TYPE_CHECKING:
    import openai

NO_KEY = "none"
"""Placeholder key for a local server that needs no key, because the client requires one."""


def api_key(config: EndpointSettings, *, environ: Mapping[str, str]) -> str:
    """Return the API key, or NO_KEY if none is needed. Raises ConfigError if it is missing or invalid."""
    key = environ.get(config.api_key_env, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "key",
            f"${config.api_key_env} contains a space, line break or non-ASCII character; copy the key again",
        )
    names = {header.name.lower() for header in headers(config, environ=environ)}
    if not key and "authorization" not in names and address(config, environ=environ) == OPENAI_URL:
        raise ConfigError(
            "key",
            f"${config.api_key_env} is not set; put your key there, "
            "or choose another endpoint with --base-url",
        )
    return key or NO_KEY


def headers(config: EndpointSettings, *, environ: Mapping[str, str]) -> tuple[Header, ...]:
    """Return the extra headers with their variables filled in. Raises ConfigError if a variable is unset."""
    return tuple(filled_in(line, environ) for line in config.extra_header)


def authorizes(added: Iterable[Header]) -> bool:
    """Return whether the headers appear to authenticate requests, in which case no key is needed."""
    return any(looks_secret(header.name) for header in added)


def http_client(config: EndpointSettings, *, environ: Mapping[str, str]) -> "openai.AsyncOpenAI":
    """Create the HTTP client for the endpoint.

    Proxies and certificates come from this process's environment. Raises ConfigError if a setting or an
    environment variable is invalid.
    """
    key, url = api_key(config, environ=environ), address(config, environ=environ)
    import httpx2
    import openai

    from selfinstruct.llm.bodies import ENCODINGS, limit_body
    from selfinstruct.llm.connections import Connections

    limits = httpx2.Limits(
        max_connections=config.max_concurrency,
        max_keepalive_connections=config.max_concurrency,
        # The default of 5 s would close idle connections while other requests wait for their replies.
        keepalive_expiry=60.0,
    )
    timeout = httpx2.Timeout(config.request_timeout_s, connect=config.connect_timeout_s)
    try:
        proxies = getproxies()
        # Reading the trust store is slow, and plain HTTP does not need it.
        is_plain_http = url.startswith("http://") and not proxies
        verify = False if is_plain_http else httpx2.create_ssl_context()
        pools = None
        if "all" not in proxies:  # A mount for all:// would override that proxy.
            pools = {"all://": Connections(config.max_concurrency, limits=limits, verify=verify)}
        return openai.AsyncOpenAI(
            api_key=key,
            base_url=url,
            max_retries=0,
            timeout=timeout,
            # A redirect would turn a POST into a GET and send the key to another host.
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
    except Exception as error:  # noqa: BLE001 - any error here is a setup error
        raise _client_error(
            error, url, "base_url" if config.base_url else "$OPENAI_BASE_URL"
        ) from None


def _client_error(error: Exception, url: str, place: str) -> ConfigError:
    """Return an error that explains why the client could not be created.

    The message never contains a proxy's address, because the address may contain a password.
    """
    import httpx2

    try:
        httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return ConfigError(place, "must be an address such as http://localhost:8000/v1")
    for scheme, proxy in getproxies().items():
        problem = _proxy_problem(proxy) if scheme in ("http", "https", "all") else None
        if problem is not None:
            return ConfigError(f"${_variable_name(f'{scheme}_proxy')}", problem)
    if isinstance(error, OSError):
        name = next((n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), None)
        cause = None if isinstance(error, ssl.SSLError) else error.strerror
        problem = (
            f"the trusted certificates cannot be read ({cause or 'it contains no certificates'})"
        )
        if name is None:
            return ConfigError("certificates", f"{problem}; install ca-certificates")
        return ConfigError(f"${name}", f"{problem}; choose another one, or unset it")
    problem = "check the environment variables that configure proxies and certificates"
    return ConfigError("client", f"cannot be created ({type(error).__name__}); {problem}")


def _proxy_problem(address: str) -> str | None:
    """Return the problem with a proxy's address, or None if it is valid."""
    import httpx2

    try:
        proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    except (httpx2.InvalidURL, ValueError):
        return "must be a proxy address such as http://localhost:3128; fix or unset it"
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        return "is a SOCKS proxy; run `pip install socksio`, or use an HTTP proxy"
    return None


def _variable_name(name: str) -> str:
    """Return an environment variable's name, in upper or lower case as it is set in the environment."""
    return next((key for key in os.environ if key.lower() == name and os.environ[key]), name)
