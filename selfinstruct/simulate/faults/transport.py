"""Transport: handing over a reply, or failing to, in the ways that connections fail.

Knows connections, bytes and time. The web server keeps connections to itself, so this module has a
variant of its protocol that puts each one where the application finds it. Nothing of this comes into
play without a fault plan::

    hang      nothing is sent
    late      the reply is sent as it is, when its time has come
    drip      the reply comes a few bytes at a time
    reset     half of it comes, and the connection is reset
    drop      the connection is closed at once
    others    the reply is sent as it is; the fault was in what it says

A fault that takes its time ends when the client leaves, and when the server does.
"""

import asyncio
import socket
import struct
from typing import Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from selfinstruct.simulate.faults.plan import AttemptFault, Drip, Drop, Hang, Late, Reset, Status
from selfinstruct.simulate.protocol.replies import Reply

_CONNECTION: Final = "selfinstruct.connection"
_BETWEEN_DRIPS_S: Final = 0.05
# Close at once and throw away what is unsent, which is what makes a connection "reset by peer".
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """HTTP/1.1, with the connection in the state that every request brings along."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remembers the connection for the requests that come on it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _CONNECTION: transport}


async def left_within(receive: Receive, seconds: float | None) -> bool:
    """Waits so long, or without end; True, at once, if the client hangs up meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


class FaultyTransport:
    """Hands over replies as faults would have it; one for all connections of a server."""

    def __init__(self) -> None:
        self._held: set[asyncio.Transport] = set()
        self._is_over = False

    def end(self) -> None:
        """Closes all connections on which a fault is taking its time, now and from now on."""
        self._is_over = True
        for connection in tuple(self._held):
            connection.abort()

    async def hand_over(
        self, reply: Reply, fault: AttemptFault, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Does with `reply` what `fault` wants; whether all of it has been sent."""
        connection: asyncio.Transport = scope["state"][_CONNECTION]
        self._held.add(connection)
        if self._is_over and isinstance(fault, Hang | Late | Drip):
            connection.abort()
        try:
            match fault:
                case Hang():
                    if not await left_within(receive, fault.seconds):
                        connection.close()
                case Late():
                    if await left_within(receive, fault.seconds):
                        return False
                    await reply.response(scope, receive, send)
                    return True
                case Drip():
                    return await _drip(reply, fault.seconds, receive, send)
                case Reset():
                    await _send_half(reply, send)
                    _reset(connection)
                case Drop():
                    connection.close()
                case _:
                    await reply.response(scope, receive, send)
                    if isinstance(fault, Status) and fault.then_close:
                        connection.close()
                    return True
            # The web server takes a request without a reply for a mistake of ours, unless it knows
            # by then that the connection is gone.
            await left_within(receive, None)
        finally:
            self._held.discard(connection)
        return False


async def _drip(reply: Reply, seconds: float, receive: Receive, send: Send) -> bool:
    """Sends the head at once and the body evenly over so many seconds; False if the client leaves."""
    await _send_head(reply, send)
    clock = asyncio.get_running_loop()
    began = clock.time()
    pieces = max(1, min(len(reply.body), round(seconds / _BETWEEN_DRIPS_S)))
    sent = 0
    for number in range(1, pieces + 1):
        if await left_within(receive, began + seconds * number / pieces - clock.time()):
            return False
        end = len(reply.body) * number // pieces
        body = reply.body[sent:end]
        sent = end
        await send({"type": "http.response.body", "body": body, "more_body": number < pieces})
    return True


async def _send_half(reply: Reply, send: Send) -> None:
    await _send_head(reply, send)
    body = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send_head(reply: Reply, send: Send) -> None:
    response = reply.response
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **head})


def _reset(connection: asyncio.Transport) -> None:
    opened = connection.get_extra_info("socket")
    if opened is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    connection.abort()
