"""Connection faults: replies that are late, slow, cut off, or never sent.

The web server does not expose the connection to the application. Therefore this module subclasses the
server's protocol, and stores each connection in the state of its requests. Only endpoints with a fault plan
use this subclass. A fault that takes time ends early if the client disconnects or the server stops.
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
# Value for SO_LINGER: closing the socket discards unsent data and resets the connection.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """The HTTP/1.1 protocol, with the connection in the state of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Store the connection in the state that its requests receive."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _CONNECTION: transport}


async def client_leaves(receive: Receive, within_s: float | None) -> bool:
    """Wait up to `within_s` seconds (None for no limit), and return whether the client disconnected."""
    try:
        async with asyncio.timeout(within_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


class FaultyTransport:
    """Sends replies with connection faults, on all of a server's connections."""

    def __init__(self) -> None:
        self._active: set[asyncio.Transport] = set()
        self._is_closed = False

    def close(self) -> None:
        """Abort all connections that wait for a fault to end. Later ones are aborted immediately."""
        self._is_closed = True
        for connection in tuple(self._active):
            connection.abort()

    async def send(
        self, reply: Reply, fault: AttemptFault, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Send `reply` with `fault`, and return whether the complete reply was sent."""
        connection: asyncio.Transport = scope["state"][_CONNECTION]
        self._active.add(connection)
        if self._is_closed and isinstance(fault, Hang | Timed):
            connection.abort()
        try:
            match fault:
                case Hang():
                    if not await client_leaves(receive, fault.seconds):
                        connection.close()
                case Timed(fault="drip"):
                    return await _drip(reply, fault.seconds, receive, send)
                case Timed() if await client_leaves(receive, fault.seconds):
                    return False
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
            # If a request ends without a reply while its connection is open, the web server logs an error.
            await client_leaves(receive, None)
        finally:
            self._active.discard(connection)
        return False


async def _drip(reply: Reply, seconds: float, receive: Receive, send: Send) -> bool:
    """Send the head immediately and the body evenly over `seconds`. Returns False on a disconnect."""
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
