"""Runs the simulated endpoint on 127.0.0.1, in a background thread or in the foreground.

The web framework is imported only when a server starts, to keep the import of this module fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.faults.plan import FaultPlan
from selfinstruct.simulate.server.request_log import RequestLog

if TYPE_CHECKING:
    import uvicorn

HOST: Final = "127.0.0.1"
# HTTP clients close idle connections sooner than this, so the client always closes a connection first.
# Otherwise a request might arrive on a connection that the server is closing.
_KEEP_ALIVE_SECONDS: Final = 75
_LAST_STEPS: Final = 5
"""Number of steps of the event loop after the shutdown."""
_SHUTDOWN_SECONDS: Final = 2


@dataclass(kw_only=True)
class SimulatedEndpoint:
    """The simulated endpoint. It runs in a background thread during a `with` block, or in `serve`.

    Raises ValueError if the latency is negative, or if its first number is larger than its second. Entering
    the `with` block raises OSError if the port is in use or the log cannot be written.
    """

    port: int = 0
    """The port to listen on; 0 for any free port."""
    model: str = "simulated"
    """The name of the model that the endpoint serves."""
    latency_ms: tuple[float, float] = (0.0, 0.0)
    """The shortest and the longest delay before a reply, in milliseconds."""
    log: Path | None = None
    """The request log's path; None to write no log."""
    shares: FaultShares = field(default_factory=FaultShares)
    """How often the author makes each mistake."""
    faults: FaultPlan | None = None
    """The plan for deliberate faults; None for no faults and no rate limits."""
    base_url: str = field(init=False)
    """The base URL for clients, such as "http://127.0.0.1:40123/v1". It is set when the endpoint starts."""

    def __post_init__(self) -> None:
        low, high = self.latency_ms
        if not 0 <= low <= high:
            raise ValueError(
                f"latency must be from a smaller to a larger time, not {low:g} to {high:g}"
            )

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            listening = opened.enter_context(self._bound_socket())
            log = opened.enter_context(contextlib.closing(RequestLog(self.log)))
            server = self._server(log)
            thread = threading.Thread(
                target=server.run, args=([listening],), name="simulated-endpoint", daemon=True
            )
            thread.start()
            opened.callback(thread.join)
            opened.callback(_stop, server)
            self._closing = opened.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    def serve(self, on_ready: Callable[[str], None]) -> None:
        """Serve in the foreground until SIGINT or SIGTERM arrives. Call this from the main thread.

        `on_ready` is called once, with the base URL, as soon as the endpoint accepts connections. Raises
        OSError if the port is in use or the log cannot be written.
        """
        # A signal handler may safely call `SimpleQueue.put` at any moment, unlike `Event.set`.
        stopped = queue.SimpleQueue[int]()
        before = {
            number: signal.signal(number, lambda number, _frame: stopped.put(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            with self:
                on_ready(self.base_url)
                stopped.get()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _bound_socket(self) -> Iterator[socket.socket]:
        # asyncio disables Nagle's algorithm only if the socket's protocol is explicitly TCP. With Nagle's
        # algorithm, each body would be delayed by about 40 ms, until the client acknowledges the head.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
            if os.name == "posix":  # On Windows, a port in use would be accepted.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((HOST, self.port))
            # From here on, the kernel queues connections until the server runs, so the URL already works.
            bound.listen(2048)
            self.base_url = f"http://{HOST}:{bound.getsockname()[1]}/v1"
            yield bound

    def _server(self, log: RequestLog) -> uvicorn.Server:
        """Return a server that is configured but not started."""
        import uvicorn

        from selfinstruct.simulate.author.author import Author
        from selfinstruct.simulate.faults.transport import FaultyTransport, Protocol
        from selfinstruct.simulate.server.routes import Service, application

        transport = FaultyTransport()

        class Server(uvicorn.Server):
            """A server whose shutdown ends slow faults before it waits for replies in progress."""

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                transport.close()
                await super().shutdown(sockets)
                # A connection that arrived during the shutdown needs a few steps of the event loop to
                # open and to close. Without these steps, its socket would stay open.
                for _ in range(_LAST_STEPS):
                    for connection in [*self.server_state.connections]:
                        connection.shutdown()
                    await asyncio.sleep(0)

        service = Service(
            model=self.model,
            latency_ms=self.latency_ms,
            log=log,
            author=Author(shares=self.shares),
            faults=self.faults or FaultPlan(),
            transport=transport,
        )
        config = uvicorn.Config(
            application(service),
            loop="asyncio",
            http="h11" if self.faults is None else Protocol,
            ws="none",
            lifespan="off",
            log_config=None,  # The calling program configures logging.
            log_level="warning",
            access_log=False,
            backlog=2048,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        return Server(config)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True
