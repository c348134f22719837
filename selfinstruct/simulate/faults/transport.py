"""Faults of the connection: replies that are late, slow, cut, or never sent.

The web server does not give an application its connection. This module has a variant of the protocol of
the server that stores each connection in the state of its requests. Only an endpoint with a fault plan
uses the variant. A fault that takes time ends when the client leaves or the server stops.
"""

import asyncio
import socket
import struct
from typing import Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from selfinstruct.simulate.faults.plan import AttemptFault, Hang, Plain, Status, Timed
from selfinstruct.simulate.protocol.replies import Reply

_CONNECTION: Final = "selfinstruct.connection"
_BETWEEN_DRIPS_S: Final = 0.05
# Closing a socket with this option discards unsent data, which resets the connection.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """HTTP/1.1 with the connection in the state of every request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Store the connection for its requests."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _CONNECTION: transport}


async def client_leaves(receive: Receive, within_s: float | None) -> bool:
    """Wait for `within_s` seconds (None: without end); return True as soon as the client leaves."""
    try:
        async with asyncio.timeout(within_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


class FaultyTransport:
    """Sends replies with faults on all connections of a server."""

    def __init__(self) -> None:
        self._active: set[asyncio.Transport] = set()
        self._is_closed = False

    def close(self) -> None:
        """Close all connections that wait for a fault, and all later ones that would."""
        self._is_closed = True
        for connection in tuple(self._active):
            connection.abort()

    async def send(
        self, reply: Reply, fault: AttemptFault, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Send `reply` with `fault`; return whether all of the reply was sent."""
        connection: asyncio.Transport = scope["state"][_CONNECTION]
        self._active.add(connection)
        if self._is_closed and isinstance(fault, Hang | Timed):
            connection.abort()
        try:
            match fault:
                case Hang():
                    if not await client_leaves(receive, fault.seconds):
                        connection.close()
                case Timed(fault="late"):
                    if await client_leaves(receive, fault.seconds):
                        return False
                    await reply.response(scope, receive, send)
                    return True
                case Timed():
                    return await _drip(reply, fault.seconds, receive, send)
                case Plain(fault="reset"):
                    await _send_head(reply, send)
                    half = reply.body[: len(reply.body) // 2]
                    await send({"type": "http.response.body", "body": half, "more_body": True})
                    _reset(connection)
                case Plain(fault="drop"):
                    connection.close()
                case _:
                    await reply.response(scope, receive, send)
                    if isinstance(fault, Status) and fault.then_close:
                        connection.close()
                    return True
            # The web server reports a request without a reply as a bug, unless the connection is gone.
            await client_leaves(receive, None)
        finally:
            self._active.discard(connection)
        return False


async def _drip(reply: Reply, seconds: float, receive: Receive, send: Send) -> bool:
    """Send the head at once and the body evenly over `seconds`; return False if the client leaves."""
    await _send_head(reply, send)
    clock = asyncio.get_running_loop()
    began = clock.time()
    pieces = max(1, min(len(reply.body), round(seconds / _BETWEEN_DRIPS_S)))
    sent = 0
    for number in range(1, pieces + 1):
        if await client_leaves(receive, began + seconds * number / pieces - clock.time()):
            return False
        end = len(reply.body) * number // pieces
        body = reply.body[sent:end]
        sent = end
        await send({"type": "http.response.body", "body": body, "more_body": number < pieces})
    return True


async def _send_head(reply: Reply, send: Send) -> None:
    response = reply.response
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **head})


def _reset(connection: asyncio.Transport) -> None:
    opened = connection.get_extra_info("socket")
    if opened is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    connection.abort()
