"""The routes of the endpoint: chat completions, text completions and models.

Every reply has an `x-request-id`. Unknown paths and methods get 404 and 405 with an OpenAI error body, and
a body of more than `MAX_BODY_BYTES` gets 413.
"""

import asyncio
import functools
import hashlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.faults.assignment import NO_FAULTS, Assigner, Assignment
from selfinstruct.simulate.faults.content import with_content_fault
from selfinstruct.simulate.faults.error_replies import with_fault
from selfinstruct.simulate.faults.plan import AttemptFault, FaultPlan, Status
from selfinstruct.simulate.faults.rate_limits import NAME as RATE_LIMIT
from selfinstruct.simulate.faults.rate_limits import Buckets
from selfinstruct.simulate.faults.transport import FaultyTransport, client_leaves
from selfinstruct.simulate.protocol.completions import (
    Write,
    answer,
    model_card,
)
from selfinstruct.simulate.protocol.replies import Reply, json_reply
from selfinstruct.simulate.protocol.request_bodies import (
    AnyBody,
    ChatBody,
    RequestError,
    TextBody,
    digest,
    read_body,
    unknown_model,
)
from selfinstruct.simulate.server.request_log import RequestLog

MAX_BODY_BYTES: Final = 8 * 2**20


def application(
    *,
    model: str,
    latency_ms: tuple[float, float],
    log: RequestLog,
    author: Author,
    faults: FaultPlan | None,
    transport: FaultyTransport,
) -> ASGIApp:
    """Return the ASGI application that serves `model` with the replies of `author`.

    Each completion waits for a random time between the two `latency_ms`. `transport` carries out the
    `faults`.
    """
    # Counting attempts takes memory for each request, so only plans and logs pay for it.
    assigner = Assigner(faults or FaultPlan()) if faults is not None or log.is_open else None
    limits = None if faults is None else faults.rate_limits
    buckets = None if limits is None else Buckets(limits, now=time.monotonic)

    completions = functools.partial(
        _Completions,
        model=model,
        latency_ms=latency_ms,
        log=log,
        assigner=assigner,
        buckets=buckets,
        transport=transport,
    )
    chat = completions(kind=ChatBody, write=author.write)
    text = completions(kind=TextBody, write=author.continue_text)

    def about_models(name: str | None) -> Reply:
        if name is None:
            return json_reply(200, {"object": "list", "data": [model_card(model)]})
        return (
            json_reply(200, model_card(model))
            if name == model
            else unknown_model(name, model).reply
        )

    async def models(request: Request) -> Response:
        reply = about_models(request.path_params.get("name"))
        if faults is not None and not faults.models:
            reply = with_fault(reply, Status(share=1, status=500))
        return reply.response

    async def unknown_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{error.detail}: {request.method} {request.url.path}"
        reply = RequestError(error.status_code, message).reply
        return replace(reply, headers=error.headers).response

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", text, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/models/{name:path}", models, methods=["GET"]),
        ],
        exception_handlers={404: unknown_route, 405: unknown_route},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A reply before its attempt meets a fault."""

    reply: Reply
    billed: Mapping[str, int] = field(default_factory=dict)
    """Billed usage, empty for nothing."""
    prompt_sha256: str | None = None
    content_fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completions:
    """The endpoint of one completion API.

    A separate ASGI application, because a reply counts as answered only after the server has sent the
    reply. A plain Starlette endpoint returns earlier.
    """

    kind: type[ChatBody] | type[TextBody]
    write: Write
    model: str
    latency_ms: tuple[float, float]
    log: RequestLog
    assigner: Assigner | None
    buckets: Buckets | None
    transport: FaultyTransport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return
        except RequestError as error:
            await error.reply.response(scope, receive, send)
            return
        body_sha256 = hashlib.sha256(body).hexdigest()
        assignment = NO_FAULTS
        if self.assigner is not None:
            assignment = self.assigner.assign(scope["path"], body_sha256)
        written = self._written(body, assignment)
        entry = self.log.received(
            client_request_id=request.headers.get("x-client-request-id"),
            body_sha256=body_sha256,
            prompt_sha256=written.prompt_sha256,
            attempt=assignment.attempt,
        )
        reply, billed, fault = written.reply, written.billed, assignment.fault
        name = assignment.name or written.content_fault
        if fault is not None:
            reply = with_fault(reply, fault)
        if self.buckets is not None and assignment.name != "outage":
            too_early = self.buckets.take(tokens=billed.get("total_tokens", 0))
            if too_early is not None:
                reply, billed, fault, name = too_early.reply(self.model), {}, None, RATE_LIMIT
            reply = replace(reply, headers={**(reply.headers or {}), **self.buckets.headers()})
        try:
            event = await self._send(reply, fault, scope, receive, send)
        except asyncio.CancelledError:  # the server stops
            self.log.ended("broken", entry, billed=billed)
            raise
        self.log.ended(
            event,
            entry,
            billed=billed,
            fault=None if event == "hung_up" else name,
            reply=reply if event == "answered" else None,
        )

    async def _send(
        self, reply: Reply, fault: AttemptFault | None, scope: Scope, receive: Receive, send: Send
    ) -> str:
        """Send a reply after the latency, and return the event for the log."""
        # The time of a late reply replaces the latency.
        is_late = fault is not None and fault.fault == "late"
        if not is_late and await self._client_leaves(receive):
            return "hung_up"
        if fault is None:
            await reply.response(scope, receive, send)
            return "answered"
        is_whole = await self.transport.send(reply, fault, scope, receive, send)
        return "answered" if is_whole else "broken"

    def _written(self, body: bytes, assignment: Assignment) -> _Written:
        """Return the reply to a request with this body, with its content fault."""
        try:
            request: AnyBody = read_body(self.kind, body, self.model)
        except RequestError as error:
            return _Written(reply=error.reply)
        data = answer(request, self.write, int(time.time()))
        usage = data["usage"]
        if assignment.content_fault is not None:
            data = with_content_fault(data, assignment.content_fault, request)
            usage = data.get("usage", usage)  # also billed if the reply has no usage
        return _Written(
            reply=json_reply(200, data),
            billed=usage if assignment.is_billed else {},
            prompt_sha256=digest(*request.texts),
            content_fault=assignment.content_fault,
        )

    async def _client_leaves(self, receive: Receive) -> bool:
        """Wait for the latency; return True as soon as the client leaves."""
        low, high = self.latency_ms
        if high <= 0:
            # Without a wait, the server cannot have noticed that the client left.
            return False
        # Not seeded: two attempts at the same request need different latencies.
        return await client_leaves(receive, random.uniform(low, high) / 1000)


async def _body(request: Request) -> bytes:
    """Return the whole body; raise RequestError (413) as soon as the body is known to be too large."""
    message = (
        f"The body of the request is larger than {MAX_BODY_BYTES} bytes. Send a shorter prompt."
    )
    too_large = RequestError(413, message, code="request_too_large")
    # The web server refuses a length that is not a number, and ignores the length of a chunked body.
    if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise too_large
    return bytes(body)
