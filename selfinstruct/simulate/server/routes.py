"""The endpoint's routes: chat completions, text completions and models.

Every reply has an `x-request-id` header. Unknown paths get status 404, unsupported methods get 405, and
request bodies larger than `MAX_BODY_BYTES` get 413, each with an OpenAI error body.
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
from selfinstruct.simulate.faults.rate_limits import RATE_LIMIT, Buckets
from selfinstruct.simulate.faults.transport import FaultyTransport, client_leaves
from selfinstruct.simulate.protocol.completions import Write, answer
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
    """Configuration and shared state of one endpoint."""

    model: str
    latency_ms: tuple[float, float]
    """The shortest and the longest delay before a completion, in milliseconds."""
    log: RequestLog
    author: Author
    faults: FaultPlan
    transport: FaultyTransport
    """Sends replies with connection faults."""

    def __post_init__(self) -> None:
        self.assigner = Assigner(self.faults)
        self.buckets = Buckets(self.faults.rate_limits, now=time.monotonic)


def application(service: Service) -> ASGIApp:
    """Return the ASGI application with all routes."""
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
    """The reply to one attempt, and the fault that affects this attempt."""

    reply: Reply
    billed: Mapping[str, int] = field(default_factory=dict)
    """The billed usage; empty if nothing is billed."""
    prompt_sha256: str | None = None
    fault: AttemptFault | None = None
    name: str | None = None
    """The fault's name in the request log; None if there is no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completions:
    """Handles the requests of one completion API.

    This is an ASGI application instead of a Starlette endpoint function, because such a function returns
    before the reply is sent. The log must say "answered" only after the server has sent the reply.
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
        except asyncio.CancelledError:  # The server is shutting down.
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
        """Return the attempt for a request with this body, with its assigned faults applied."""
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
            usage = data.get("usage", usage)  # Billed even if not reported.
        return _Attempt(
            reply=with_fault(json_reply(200, data), fault),
            billed=usage if assignment.is_billed else {},
            prompt_sha256=digest(*request.texts),
            fault=fault,
            name=assignment.name or assignment.content_fault,
        )

    def _limited(self, attempt: _Attempt) -> _Attempt:
        """Apply the rate limits: return the attempt, or a refusal, with rate limit headers added."""
        buckets = self.service.buckets
        too_early = buckets.take(tokens=attempt.billed.get("total_tokens", 0))
        if too_early is not None:
            attempt = _Attempt(reply=too_early.reply(self.service.model), name=RATE_LIMIT)
        headers = {**(attempt.reply.headers or {}), **buckets.headers()}
        return replace(attempt, reply=replace(attempt.reply, headers=headers))

    async def _send(self, attempt: _Attempt, scope: Scope, receive: Receive, send: Send) -> str:
        """Send the attempt's reply after the simulated latency. Returns the event to log."""
        fault = attempt.fault
        low, high = self.service.latency_ms
        # A late reply has its own delay, which replaces the latency. Without any delay, the server cannot
        # have noticed a disconnect, so there is no need to check for one.
        waits = high > 0 and (fault is None or fault.fault != "late")
        # This random number is not seeded: two attempts at a request should have different latencies.
        if waits and await client_leaves(receive, random.uniform(low, high) / 1000):
            return "hung_up"
        if fault is None:
            await attempt.reply.response(scope, receive, send)
            return "answered"
        is_whole = await self.service.transport.send(attempt.reply, fault, scope, receive, send)
        return "answered" if is_whole else "broken"


async def _body(request: Request) -> bytes:
    """Return the complete body. Raises RequestError (413) as soon as the body is known to be too large."""
    message = f"The request body is larger than {MAX_BODY_BYTES} bytes. Send a shorter prompt."
    too_large = RequestError(413, message, code="request_too_large")
    # The web server rejects a content length that is not a number, and ignores it for a chunked body.
    if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise too_large
    return bytes(body)
