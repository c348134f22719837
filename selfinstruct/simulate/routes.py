"""The routes: which path answers what, how late, and what is noted of it.

Knows HTTP. Knows neither how the server listens nor what the author writes. With the model
"simulated"::

    POST /v1/chat/completions    one object, never a stream
    POST /v1/completions         likewise, for a text that is to be continued
    GET  /v1/models              a list of one
    GET  /v1/models/simulated    that one
    anything else                404 or 405, as an OpenAI error body

Every reply carries an `x-request-id`.
"""

import asyncio
import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from selfinstruct.simulate import chat_completions, text_completions
from selfinstruct.simulate.members import RequestError, unknown_model
from selfinstruct.simulate.protocol import (
    CompletionRequest,
    Write,
    digest,
    error_body,
    model_card,
)
from selfinstruct.simulate.request_log import RequestLog


def application(
    *,
    model: str,
    latency_ms: tuple[float, float],
    log: RequestLog,
    write: Write,
    go_on: Write,
) -> ASGIApp:
    """The ASGI application that serves `model`.

    `write(prompt, seed)` is what a chat is answered with, `go_on(prompt, seed)` what continues a
    text. Each completion is held back for a time drawn evenly between the two `latency_ms`.
    """

    def completions(api: _Api) -> ASGIApp:
        return _Completions(api, model=model, latency_ms=latency_ms, log=log)

    chat = completions(_Api(chat_completions.read, chat_completions.answer, write))
    text = completions(_Api(text_completions.read, text_completions.answer, go_on))

    async def models(_request: Request) -> Response:
        return _json(200, {"object": "list", "data": [model_card(model)]})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name != model:
            return _json(404, error_body(unknown_model(name, model)))
        return _json(200, model_card(model))

    async def elsewhere(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = f"{error.detail}: {request.method} {request.url.path}"
        refused = RequestError(error.status_code, told)
        return _json(error.status_code, error_body(refused), headers=error.headers)

    starlette = Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", text, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/models/{name:path}", one_model, methods=["GET"]),
        ],
        exception_handlers={404: elsewhere, 405: elsewhere},
    )
    return _with_request_id(starlette)


@dataclass(frozen=True, slots=True)
class _Api:
    """A way to ask for completions: how requests are read and answered, and who writes."""

    read: Callable[[bytes, str], CompletionRequest]
    answer: Callable[[CompletionRequest, Write, int], dict[str, Any]]
    write: Write


class _Completions:
    """The endpoint for completions that are asked for in one of the ways.

    It is an ASGI application of its own, because a reply counts as answered only once it has been
    sent, and a plain Starlette endpoint returns before that.
    """

    def __init__(
        self,
        api: _Api,
        *,
        model: str,
        latency_ms: tuple[float, float],
        log: RequestLog,
    ) -> None:
        self._api = api
        self._model = model
        self._latency_ms = latency_ms
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        asked: CompletionRequest | None = None
        try:
            asked = self._api.read(body, self._model)
        except RequestError as refused:
            status, reply = refused.status, error_body(refused)
        else:
            status, reply = 200, self._api.answer(asked, self._api.write, int(time.time()))
        entry = self._log.received(
            client_request_id=request.headers.get("x-client-request-id"),
            body_sha256=hashlib.sha256(body).hexdigest(),
            prompt_sha256=None if asked is None else digest(*asked.texts),
        )
        if await self._client_left(receive):
            return
        await _json(status, reply)(scope, receive, send)
        self._log.answered(entry, status=status, reply=reply)

    async def _client_left(self, receive: Receive) -> bool:
        """Waits out the latency; True, at once, if the client hangs up meanwhile."""
        low, high = self._latency_ms
        if high <= 0:
            # Nothing has been awaited since the body came, so no hanging up can have been noticed.
            return False
        try:
            # Draws from the process's own chance: latency is a matter of the arrival, not of the
            # request, and must not repeat when a request does.
            async with asyncio.timeout(random.uniform(low, high) / 1000):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True


def _json(status: int, value: dict[str, Any], headers: Any = None) -> Response:
    # ASCII only: a reply may quote lone surrogates out of a prompt, which UTF-8 cannot carry.
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return Response(body, status, headers, media_type="application/json")


def _with_request_id(inner: ASGIApp) -> ASGIApp:
    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        header = (b"x-request-id", b"req_" + uuid.uuid4().hex.encode())

        async def send_on(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        await inner(scope, receive, send_on)

    return outer
