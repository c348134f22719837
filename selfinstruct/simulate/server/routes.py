"""The routes: which path answers what, how late, and what is noted of it.

Knows HTTP. Knows neither how the server listens nor what the author writes, and leaves what goes
wrong to the fault plan. With the model "simulated"::

    POST /v1/chat/completions    one object, never a stream
    POST /v1/completions         likewise, for a text that is to be continued
    GET  /v1/models              a list of one
    GET  /v1/models/simulated    that one
    anything else                404 or 405, as an OpenAI error body

Every reply carries an `x-request-id`. A larger body than `MOST_BODY_BYTES` is answered with 413.
"""

import asyncio
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from selfinstruct.simulate.faults.assignment import UNTOUCHED, Fate, Fates
from selfinstruct.simulate.faults.content import befallen
from selfinstruct.simulate.faults.error_replies import instead_of
from selfinstruct.simulate.faults.plan import FaultPlan, Late, Status
from selfinstruct.simulate.faults.rate_limits import NAME as RATE_LIMIT
from selfinstruct.simulate.faults.rate_limits import Buckets
from selfinstruct.simulate.faults.transport import FaultyTransport, left_within
from selfinstruct.simulate.protocol import chat_completions, text_completions
from selfinstruct.simulate.protocol.completions import (
    CompletionRequest,
    Write,
    digest,
    error_body,
    model_card,
)
from selfinstruct.simulate.protocol.replies import Reply, as_json
from selfinstruct.simulate.protocol.request_members import RequestError, unknown_model
from selfinstruct.simulate.server.request_log import RequestLog

MOST_BODY_BYTES: Final = 8 * 2**20


def application(
    *,
    model: str,
    latency_ms: tuple[float, float],
    log: RequestLog,
    write: Write,
    go_on: Write,
    faults: FaultPlan | None,
    transport: FaultyTransport,
) -> ASGIApp:
    """The ASGI application that serves `model`.

    `write(prompt, seed)` is what a chat is answered with, `go_on(prompt, seed)` what continues a
    text. Each completion is held back for a time drawn evenly between the two `latency_ms`. What
    `faults` has for it then befalls it on the `transport`.
    """
    # Counting attempts takes memory for each request, and is for those who will be told.
    is_counted = faults is not None or log.is_kept
    fates = Fates(faults or FaultPlan()) if is_counted else None
    limits = None if faults is None else faults.rate_limits
    buckets = None if limits is None else Buckets(limits, now=time.monotonic)

    def completions(api: _Api) -> ASGIApp:
        return _Completions(
            api,
            model=model,
            latency_ms=latency_ms,
            log=log,
            fates=fates,
            buckets=buckets,
            transport=transport,
        )

    chat = completions(_Api(chat_completions.read, chat_completions.answer, write))
    text = completions(_Api(text_completions.read, text_completions.answer, go_on))

    def about_models(reply: Reply) -> Response:
        if faults is not None and not faults.models:
            reply = instead_of(reply, Status(share=1, status=500))
        return reply.response

    async def models(_request: Request) -> Response:
        return about_models(as_json(200, {"object": "list", "data": [model_card(model)]}))

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name != model:
            return about_models(as_json(404, error_body(unknown_model(name, model))))
        return about_models(as_json(200, model_card(model)))

    async def elsewhere(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = f"{error.detail}: {request.method} {request.url.path}"
        refused = RequestError(error.status_code, told)
        return as_json(error.status_code, error_body(refused), error.headers).response

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What a request is answered with: an error body, for a request that is refused, unless more is said.

    `billed` is its usage as far as it is to be paid for, `content_fault` what is amiss with it.
    """

    reply: Reply
    billed: Mapping[str, int] = field(default_factory=dict)
    prompt_sha256: str | None = None
    content_fault: str | None = None


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
        fates: Fates | None,
        buckets: Buckets | None,
        transport: FaultyTransport,
    ) -> None:
        self._api = api
        self._model = model
        self._latency_ms = latency_ms
        self._log = log
        self._fates = fates
        self._buckets = buckets
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return
        except RequestError as refused:
            reply = as_json(refused.status, error_body(refused))
            await reply.response(scope, receive, send)
            return
        body_sha256 = hashlib.sha256(body).hexdigest()
        fate = UNTOUCHED if self._fates is None else self._fates.of(scope["path"], body_sha256)
        written = self._written(body, fate)
        entry = self._log.received(
            client_request_id=request.headers.get("x-client-request-id"),
            body_sha256=body_sha256,
            prompt_sha256=written.prompt_sha256,
            attempt=fate.attempt,
        )
        reply, billed, fault = written.reply, written.billed, fate.fault
        name = fate.name or written.content_fault
        if fault is not None:
            reply = instead_of(reply, fault)
        if self._buckets is not None and fate.name != "outage":
            too_soon = self._buckets.refused(tokens=billed.get("total_tokens", 0))
            if too_soon is not None:
                reply, billed, fault, name = too_soon.reply(self._model), {}, None, RATE_LIMIT
            reply = replace(reply, headers={**(reply.headers or {}), **self._buckets.headers()})
        try:
            # A late reply has its own time.
            if not isinstance(fault, Late) and await self._client_left(receive):
                self._log.hung_up(entry, billed=billed)
                return
            is_whole = True
            if fault is None:
                await reply.response(scope, receive, send)
            else:
                is_whole = await self._transport.hand_over(reply, fault, scope, receive, send)
        except asyncio.CancelledError:  # the server ends
            self._log.broken(entry, billed=billed, fault=None)
            raise
        if is_whole:
            self._log.answered(
                entry, status=reply.status, reply=reply.said, billed=billed, fault=name
            )
        else:
            self._log.broken(entry, billed=billed, fault=name)

    def _written(self, body: bytes, fate: Fate) -> _Written:
        """The reply to a request with this body, before anything befalls the attempt."""
        try:
            asked = self._api.read(body, self._model)
        except RequestError as refused:
            return _Written(reply=as_json(refused.status, error_body(refused)))
        said = self._api.answer(asked, self._api.write, int(time.time()))
        usage = said["usage"]
        if fate.content_fault is not None:
            said = befallen(said, fate.content_fault, asked)
            usage = said.get("usage", usage)  # it is billed even if nobody is told
        return _Written(
            reply=as_json(200, said),
            billed=usage if fate.is_billed else {},
            prompt_sha256=digest(*asked.texts),
            content_fault=fate.content_fault,
        )

    async def _client_left(self, receive: Receive) -> bool:
        """Waits out the latency; True, at once, if the client hangs up meanwhile."""
        low, high = self._latency_ms
        if high <= 0:
            # Nothing has been awaited since the body came, so no hanging up can have been noticed.
            return False
        # Draws from the process's own chance: latency is a matter of the arrival, not of the
        # request, and must not repeat when a request does.
        return await left_within(receive, random.uniform(low, high) / 1000)


async def _body(request: Request) -> bytes:
    """Return the whole body; raise RequestError (413) as soon as it is known to be too large."""
    message = (
        f"The body of the request is larger than {MOST_BODY_BYTES} bytes. Send a shorter prompt."
    )
    too_large = RequestError(413, message, code="request_too_large")
    # The web server refuses a length that is no number, and ignores the length of a chunked body.
    if int(request.headers.get("content-length", 0)) > MOST_BODY_BYTES:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise too_large
    return bytes(body)


def _with_request_id(inner: ASGIApp) -> ASGIApp:
    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        header = (b"x-request-id", b"req_" + uuid.uuid4().hex.encode())

        async def send_on(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        await inner(scope, receive, send_on)

    return outer
