"""The routes of the endpoint: chat completions, text completions and models.

Every reply has an `x-request-id`. Unknown paths and methods get 404 and 405 with an OpenAI error body, and
a body of more than `MAX_BODY_BYTES` gets 413.
"""

import asyncio
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
from selfinstruct.simulate.faults.assignment import Assigner, Assignment
from selfinstruct.simulate.faults.content import with_content_fault
from selfinstruct.simulate.faults.error_replies import with_fault
from selfinstruct.simulate.faults.plan import AttemptFault, FaultPlan, Status
from selfinstruct.simulate.faults.rate_limits import NAME as RATE_LIMIT
from selfinstruct.simulate.faults.rate_limits import Buckets
from selfinstruct.simulate.faults.transport import FaultyTransport, client_leaves
from selfinstruct.simulate.protocol.completions import (
    Write,
    answer,
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


@dataclass(kw_only=True)
class Service:
    """What an endpoint serves: `model`, with the replies of `author` and `faults`."""

    model: str
    latency_ms: tuple[float, float]
    """Shortest and longest delay of a completion."""
    log: RequestLog
    author: Author
    faults: FaultPlan
    transport: FaultyTransport
    """Carries out faults of the connection."""

    def __post_init__(self) -> None:
        self.assigner = Assigner(self.faults)
        self.buckets = Buckets(self.faults.rate_limits, now=time.monotonic)


def application(service: Service) -> ASGIApp:
    """Return the ASGI application that serves all routes."""
    author = service.author
    chat = _Completions(kind=ChatBody, write=author.write, service=service)
    text = _Completions(kind=TextBody, write=author.continue_text, service=service)

    async def models(request: Request) -> Response:
        reply = _about_models(service.model, request.path_params.get("name"))
        if not service.faults.models:
            reply = with_fault(reply, Status(share=1, status=500))
        return reply.response

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", text, methods=["POST"]),
            Route("/v1/models", models, methods=["GET"]),
            Route("/v1/models/{name:path}", models, methods=["GET"]),
        ],
        exception_handlers={404: _unknown_route, 405: _unknown_route},
    )


def _about_models(served: str, name: str | None) -> Reply:
    card = {"id": served, "object": "model", "created": 0, "owned_by": "selfinstruct"}
    if name is None:
        return json_reply(200, {"object": "list", "data": [card]})
    return json_reply(200, card) if name == served else unknown_model(name, served).reply


async def _unknown_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    reply = RequestError(error.status_code, message).reply
    return replace(reply, headers=error.headers).response


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """The reply to an attempt, and the fault that the attempt meets."""

    reply: Reply
    billed: Mapping[str, int] = field(default_factory=dict)
    """Billed usage, empty for nothing."""
    prompt_sha256: str | None = None
    fault: AttemptFault | None = None
    name: str | None = None
    """Name of the fault in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completions:
    """The endpoint of one completion API.

    A separate ASGI application, because a reply counts as answered only after the server has sent the
    reply. A plain Starlette endpoint returns earlier.
    """

    kind: type[ChatBody] | type[TextBody]
    write: Write
    service: Service

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
        assignment = self.service.assigner.assign(scope["path"], body_sha256)
        attempt = self._written(body, assignment)
        entry = self.service.log.received(
            client_request_id=request.headers.get("x-client-request-id"),
            body_sha256=body_sha256,
            prompt_sha256=attempt.prompt_sha256,
            attempt=assignment.attempt,
        )
        if assignment.name != "outage":
            attempt = self._limited(attempt)
        try:
            event = await self._send(attempt, scope, receive, send)
        except asyncio.CancelledError:  # the server stops
            self.service.log.ended("broken", entry, billed=attempt.billed)
            raise
        self.service.log.ended(
            event,
            entry,
            billed=attempt.billed,
            fault=None if event == "hung_up" else attempt.name,
            reply=attempt.reply if event == "answered" else None,
        )

    def _written(self, body: bytes, assignment: Assignment) -> _Attempt:
        """Return the attempt of a request with this body, with its faults."""
        fault = assignment.fault
        try:
            request: AnyBody = read_body(self.kind, body, self.service.model)
        except RequestError as error:
            reply = with_fault(error.reply, fault)
            return _Attempt(reply=reply, fault=fault, name=assignment.name)
        data = answer(request, self.write, int(time.time()))
        usage = data["usage"]
        if assignment.content_fault is not None:
            data = with_content_fault(data, assignment.content_fault, request)
            usage = data.get("usage", usage)  # also billed if the reply has no usage
        return _Attempt(
            reply=with_fault(json_reply(200, data), fault),
            billed=usage if assignment.is_billed else {},
            prompt_sha256=digest(*request.texts),
            fault=fault,
            name=assignment.name or assignment.content_fault,
        )

    def _limited(self, attempt: _Attempt) -> _Attempt:
        """Return what the rate limits make of an attempt."""
        buckets = self.service.buckets
        too_early = buckets.take(tokens=attempt.billed.get("total_tokens", 0))
        if too_early is not None:
            attempt = _Attempt(reply=too_early.reply(self.service.model), name=RATE_LIMIT)
        headers = {**(attempt.reply.headers or {}), **buckets.headers()}
        return replace(attempt, reply=replace(attempt.reply, headers=headers))

    async def _send(self, attempt: _Attempt, scope: Scope, receive: Receive, send: Send) -> str:
        """Send a reply after the latency, and return the event for the log."""
        fault = attempt.fault
        low, high = self.service.latency_ms
        # The time of a late reply replaces the latency. Without a wait, the server cannot have noticed that
        # the client left.
        waits = high > 0 and (fault is None or fault.fault != "late")
        # Not seeded: two attempts at the same request need different latencies.
        if waits and await client_leaves(receive, random.uniform(low, high) / 1000):
            return "hung_up"
        if fault is None:
            await attempt.reply.response(scope, receive, send)
            return "answered"
        is_whole = await self.service.transport.send(attempt.reply, fault, scope, receive, send)
        return "answered" if is_whole else "broken"


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
