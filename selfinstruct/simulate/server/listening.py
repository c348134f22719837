"""Listening: the simulated endpoint in a thread of this process, or in the foreground.

Knows sockets, threads and signals, and nothing of what is served. Only 127.0.0.1 is ever bound::

    with SimulatedEndpoint(latency_ms=(20, 80)) as endpoint:
        endpoint.base_url                    # "http://127.0.0.1:40123/v1"

The web framework is imported when a server starts, not when this module is.
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
# Longer than the idle time that HTTP clients grant pooled connections, so that it is always the
# client that closes them and no request ever meets a connection that is just being dropped.
_KEEP_ALIVE_SECONDS: Final = 75
_SHUTDOWN_SECONDS: Final = 2


class SimulatedEndpoint:
    """The simulated endpoint in a background thread, for the length of a `with` block.

    `port` 0 takes any free port; `latency_ms` are the shortest and the longest delay of a reply, in
    milliseconds; `log` is the path of the request log (see `request_log`); `shares` say how often the
    author goes wrong (None: as often as `FaultShares()` says); `faults` is what goes wrong between
    the author and the client (None: nothing).

    Entering raises OSError when the port is taken or the log cannot be written, and ValueError is
    raised at once for a latency that is negative or upside down.
    """

    base_url: str
    """What clients are given, such as "http://127.0.0.1:40123/v1"; valid inside the block."""

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
            opened.callback(_end, server)
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
    """Serves in the foreground until SIGINT or SIGTERM; to be called from the main thread.

    The parameters are those of `SimulatedEndpoint`; `on_ready` is called once, with the base URL,
    when connections are accepted. Raises OSError when the port is taken or the log cannot be
    written, and ValueError for an impossible latency.
    """
    _check_latency(latency_ms)
    with (
        _bound_socket(port) as listening,
        _server(
            model=model, latency_ms=latency_ms, log=log, shares=shares, faults=faults
        ) as server,
        _ending_on_signals(server),
    ):
        on_ready(_base_url(listening))
        server.run([listening])


def _check_latency(latency_ms: tuple[float, float]) -> None:
    low, high = latency_ms
    if not 0 <= low <= high:
        raise ValueError(f"a latency runs from a lower to a higher time, not {low:g} to {high:g}")


def _bound_socket(port: int) -> socket.socket:
    # asyncio switches off Nagle's algorithm only for sockets that name their protocol; without
    # that every reply, sent as head and body, waits some 40 ms for the client's acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this would allow a port that somebody else is using
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        # From here on the kernel takes connections and keeps them until the server is running:
        # the URL can be given away already.
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
    """A server that is ready to run, with its request log open."""
    import uvicorn

    from selfinstruct.simulate.author.author import Author
    from selfinstruct.simulate.faults.transport import FaultyTransport, Protocol
    from selfinstruct.simulate.server.request_log import RequestLog
    from selfinstruct.simulate.server.routes import application

    transport = FaultyTransport()

    class Server(uvicorn.Server):
        """Runs without touching signals, which uvicorn would raise again after its shutdown.

        In a thread they are nobody's business, and elsewhere `_ending_on_signals` sees to them.
        """

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        def run(self, sockets: list[socket.socket] | None = None) -> None:
            asyncio.run(self.serve(sockets))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Ahead of everything else, which waits for replies that are under way.
            transport.end()
            await super().shutdown(sockets)

    author = Author() if shares is None else Author(shares=shares)
    with RequestLog(log) as request_log:
        config = uvicorn.Config(
            application(
                model=model,
                latency_ms=latency_ms,
                log=request_log,
                write=author.write,
                go_on=author.go_on,
                faults=faults,
                transport=transport,
            ),
            http="h11" if faults is None else Protocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the program that starts the endpoint decides how logging looks
            log_level="warning",
            access_log=False,
            backlog=2048,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        yield Server(config)


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True


@contextlib.contextmanager
def _ending_on_signals(server: uvicorn.Server) -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        _end(server)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
