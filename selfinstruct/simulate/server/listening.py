"""Listening on 127.0.0.1: the simulated endpoint in a thread of this process, or in the foreground.

The web framework is imported when a server starts, not when this module is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.faults.plan import FaultPlan

if TYPE_CHECKING:
    import uvicorn

HOST: Final = "127.0.0.1"
# Longer than HTTP clients keep idle connections, so that the client always closes a connection first
# and no request arrives on a connection that the server is closing.
_KEEP_ALIVE_SECONDS: Final = 75
_SHUTDOWN_SECONDS: Final = 2


class SimulatedEndpoint:
    """The simulated endpoint in a background thread, for the length of a `with` block.

    Args:
        port: Port to listen on; 0 for any free port.
        model: Name of the served model.
        latency_ms: Shortest and longest delay of a reply, in milliseconds.
        log: Path of the request log; None for no log.
        shares: Shares of the author's mistakes; None for the defaults.
        faults: Faults between the author and the client; None for no faults.

    Raises:
        ValueError: The latency is negative or its first number is larger than the second.
        OSError: On entering, if the port is in use or the log cannot be written.
    """

    base_url: str
    """Address for clients, such as "http://127.0.0.1:40123/v1", valid inside the block."""

    def __init__(
        self,
        *,
        port: int = 0,
        model: str = "simulated",
        latency_ms: tuple[float, float] = (0.0, 0.0),
        log: Path | None = None,
        shares: FaultShares | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        _check_latency(latency_ms)
        self._port = port
        self._model = model
        self._latency_ms = latency_ms
        self._log = log
        self._shares = shares
        self._faults = faults
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            listening = opened.enter_context(_bound_socket(self._port))
            server = opened.enter_context(
                _server(
                    model=self._model,
                    latency_ms=self._latency_ms,
                    log=self._log,
                    shares=self._shares,
                    faults=self._faults,
                )
            )
            self.base_url = _base_url(listening)
            thread = threading.Thread(
                target=server.run, args=([listening],), name="simulated-endpoint", daemon=True
            )
            thread.start()
            opened.callback(thread.join)
            opened.callback(_stop, server)
            self._closing = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()


def serve(
    *,
    port: int = 0,
    model: str = "simulated",
    latency_ms: tuple[float, float] = (0.0, 0.0),
    log: Path | None = None,
    shares: FaultShares | None = None,
    faults: FaultPlan | None = None,
    on_ready: Callable[[str], None],
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; call this from the main thread.

    The arguments and errors are the same as for `SimulatedEndpoint`. Calls `on_ready` with the base URL once
    the endpoint accepts connections.
    """
    _check_latency(latency_ms)
    with (
        _bound_socket(port) as listening,
        _server(
            model=model, latency_ms=latency_ms, log=log, shares=shares, faults=faults
        ) as server,
        _stopping_on_signals(server),
    ):
        on_ready(_base_url(listening))
        server.run([listening])


def _check_latency(latency_ms: tuple[float, float]) -> None:
    low, high = latency_ms
    if not 0 <= low <= high:
        raise ValueError(
            f"latency must be from a smaller to a larger time, not {low:g} to {high:g}"
        )


def _bound_socket(port: int) -> socket.socket:
    # asyncio switches off Nagle's algorithm only for sockets that name their protocol. With Nagle's
    # algorithm, every body would wait about 40 ms for the client to acknowledge the head.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this would allow a port in use
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        # From here on the kernel queues connections until the server runs, so the URL is usable.
        bound.listen(2048)
    except BaseException:
        bound.close()
        raise
    return bound


def _base_url(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}/v1"


@contextlib.contextmanager
def _server(
    *,
    model: str,
    latency_ms: tuple[float, float],
    log: Path | None,
    shares: FaultShares | None,
    faults: FaultPlan | None,
) -> Iterator[uvicorn.Server]:
    """Yield a server that is ready to run, with its request log open."""
    import uvicorn

    from selfinstruct.simulate.author.author import Author
    from selfinstruct.simulate.faults.transport import FaultyTransport, Protocol
    from selfinstruct.simulate.server.request_log import RequestLog
    from selfinstruct.simulate.server.routes import application

    transport = FaultyTransport()

    class Server(uvicorn.Server):
        """A server that leaves signals to `_stopping_on_signals`; uvicorn would raise them again."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        def run(self, sockets: list[socket.socket] | None = None) -> None:
            asyncio.run(self.serve(sockets))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # First, because the rest of the shutdown waits for replies in progress.
            transport.close()
            await super().shutdown(sockets)

    author = Author() if shares is None else Author(shares=shares)
    with RequestLog(log) as request_log:
        config = uvicorn.Config(
            application(
                model=model,
                latency_ms=latency_ms,
                log=request_log,
                write=author.write,
                continue_text=author.continue_text,
                faults=faults,
                transport=transport,
            ),
            http="h11" if faults is None else Protocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the calling program configures logging
            log_level="warning",
            access_log=False,
            backlog=2048,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        yield Server(config)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


@contextlib.contextmanager
def _stopping_on_signals(server: uvicorn.Server) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        _stop(server)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
