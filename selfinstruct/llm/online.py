"""The online backend: gets chat or text completions from any OpenAI-compatible endpoint.

`client` sends the requests, `request_body` builds their bodies, and `reply` reads the replies.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from selfinstruct.backend import Reservations
from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.cost.worst_case import normalize, worst_case
from selfinstruct.llm.client import EndpointClient, Exchange
from selfinstruct.llm.reply import Reply, read_completion
from selfinstruct.llm.request_body import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    MAX_TOKENS_NAMES,
    advice,
    api_path,
    parameters,
    wants_max_completion_tokens,
)
from selfinstruct.llm.retry import OnWait
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Usage


def open_backend(
    settings: EndpointSettings,
    *,
    environ: Mapping[str, str],
    budget: Reservations | None = None,
    stop: asyncio.Event | None = None,
    on_wait: OnWait | None = None,
) -> "OnlineBackend":
    """Return the backend for an endpoint. `EndpointClient` explains the arguments. Raises ConfigError."""
    client = EndpointClient(settings, environ=environ, budget=budget, stop=stop, on_wait=on_wait)
    return OnlineBackend(client)


class OnlineBackend:
    """Completes requests with an endpoint client. Use as an async context manager; it closes the client."""

    def __init__(self, client: EndpointClient) -> None:
        self.client = client
        settings = client.settings
        self._may_rename_max_tokens = settings.token_limit not in MAX_TOKENS_NAMES
        self._max_tokens_name = MAX_TOKENS if self._may_rename_max_tokens else settings.token_limit
        # All checks share one id, so they count as attempts at a single request.
        self._check = self._exchange(_tiny_request(settings))
        self._check.may_bill = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.__aexit__(*error)

    async def complete(self, request: Request) -> Completion:
        """Complete one request; see `Backend.complete`.

        Also raises LimitReachedError if the budget allows no further attempt.
        """
        return await self.client.send(self._exchange(request))

    async def answers(self) -> bool:
        """Return whether the endpoint answers a tiny request; see `Checkable`.

        Raises LimitReachedError if the budget does not allow the request.
        """
        return await self.client.answers(self._check)

    def body(self, request: Request) -> dict[str, Any]:
        """Return the body that would be sent for a request."""
        return parameters(request, max_tokens_name=self._max_tokens_name)

    def _exchange(self, request: Request) -> Exchange[Completion]:
        return Exchange(
            id=request.id,
            path=api_path(request),
            body=partial(self.body, request),
            most=worst_case(request),
            read=partial(_read, request),
            refused=partial(self._refused, request),
        )

    def _refused(
        self, request: Request, status: int, error: object, body: Mapping[str, Any]
    ) -> str | None:
        """Return advice for the user, or None to send the request again with max_completion_tokens."""
        if self._may_rename_max_tokens and wants_max_completion_tokens(status, error, body):
            self._max_tokens_name = MAX_COMPLETION_TOKENS
            # The bodies are equal if max_tokens comes from --extra-body.
            if self.body(request) != body:
                return None
        return advice(status, error, request, body)


def _read(request: Request, reply: Reply) -> tuple[Completion, Usage | None]:
    completion = normalize(request, read_completion(reply, request))
    return completion, completion.usage


def _tiny_request(settings: EndpointSettings) -> Request:
    """Return a request of few tokens, which costs almost nothing."""
    text = "Count on from 1 to 9: 1, 2, 3,"
    prompt = Prompt(template="none", text=text)
    if settings.api == "chat":
        prompt = Prompt(template="none", messages=(Message(role="user", content=text),))
    sampling = Sampling(model=settings.model, max_tokens=16, extra=settings.extra_body or {})
    return Request(id="check", stage="generate", prompt=prompt, sampling=sampling)
