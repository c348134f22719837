"""Requests that are too large: refused over a real socket, whatever their headers say of the size."""

import itertools
import json
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

import pytest
from waiting import PATIENCE_S

from selfinstruct.simulate import FaultPlan, SimulatedEndpoint
from selfinstruct.simulate.server.routes import MOST_BODY_BYTES

CHAT = b'{"model": "simulated", "messages": [{"role": "user", "content": "Hello."}]}'
PATHS = ("/v1/chat/completions", "/v1/completions")
PIECE = b" " * 65536


@pytest.fixture(scope="module", params=[None, FaultPlan()], ids=["plain", "faulty"])
def served(request: pytest.FixtureRequest) -> Iterator[SimulatedEndpoint]:
    """An endpoint for each of the two protocols that it may speak through."""
    with SimulatedEndpoint(faults=request.param) as endpoint:
        yield endpoint


class Connection:
    """A connection on which requests are written by hand."""

    def __init__(self, endpoint: SimulatedEndpoint) -> None:
        port = urlsplit(endpoint.base_url).port or 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.read = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.read.close()
        self.socket.close()

    def begin(self, *headers: str, path: str = PATHS[0]) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def chunks(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self.socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))

    def reply(self) -> tuple[int, dict[str, object]]:
        """The status and the JSON of the next reply."""
        status = int(self.read.readline().split()[1])
        headers = dict(
            line.decode().lower().split(":", 1) for line in iter(self.read.readline, b"\r\n")
        )
        return status, json.loads(self.read.read(int(headers["content-length"])))


def assert_too_large(reply: tuple[int, dict[str, object]]) -> None:
    assert reply == (
        413,
        {
            "error": {
                "message": "The body of the request is larger than 8388608 bytes. Send a shorter prompt.",
                "type": "invalid_request_error",
                "param": None,
                "code": "request_too_large",
            }
        },
    )


def too_many() -> Iterator[bytes]:
    """Pieces of which the last one goes over the limit."""
    return itertools.repeat(PIECE, MOST_BODY_BYTES // len(PIECE) + 1)


@pytest.mark.parametrize("length", [MOST_BODY_BYTES + 1, 2 * MOST_BODY_BYTES, 10**15])
@pytest.mark.parametrize("path", PATHS)
def test_stated_length_is_refused_unread(served: SimulatedEndpoint, path: str, length: int) -> None:
    """No byte of the body is sent, so the answer cannot have waited for one."""
    with Connection(served) as connection:
        connection.begin(f"Content-Length: {length}", path=path)
        assert_too_large(connection.reply())


@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 2"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
    ],
)
def test_chunks_are_counted_whatever_the_length(
    served: SimulatedEndpoint, headers: list[str]
) -> None:
    with Connection(served) as connection:
        connection.begin(*headers)
        connection.chunks(too_many())
        assert_too_large(connection.reply())  # the body has not ended


def test_an_endless_body_fills_no_memory(served: SimulatedEndpoint) -> None:
    with Connection(served) as connection:
        connection.begin("Transfer-Encoding: chunked")
        tracemalloc.start()
        try:
            for _ in range(8):
                connection.chunks(too_many())
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert_too_large(connection.reply())
        assert most < 3 * MOST_BODY_BYTES


def test_connection_serves_on_after_refused_body(served: SimulatedEndpoint) -> None:
    with Connection(served) as connection:
        for _ in range(2):
            connection.begin("Transfer-Encoding: chunked")
            connection.chunks(too_many())
            connection.socket.sendall(b"0\r\n\r\n")
            assert_too_large(connection.reply())
            connection.begin(f"Content-Length: {len(CHAT)}")
            connection.socket.sendall(CHAT)
            assert connection.reply()[0] == 200


@pytest.mark.parametrize("is_chunked", [True, False])
def test_largest_allowed_body_is_answered(served: SimulatedEndpoint, is_chunked: bool) -> None:
    body = CHAT.ljust(MOST_BODY_BYTES)
    with Connection(served) as connection:
        if is_chunked:
            connection.begin("Transfer-Encoding: chunked")
            connection.chunks(iter([body, b""]))
        else:
            connection.begin(f"Content-Length: {len(body)}")
            connection.socket.sendall(body)
        assert connection.reply()[0] == 200


@pytest.mark.parametrize("stated", [5, len(CHAT) - 1])
def test_understated_length_ends_the_body(served: SimulatedEndpoint, stated: int) -> None:
    """The rest is no request, and no body either."""
    with Connection(served) as connection:
        connection.begin(f"Content-Length: {stated}")
        connection.socket.sendall(CHAT + PIECE)
        assert connection.reply()[0] == 400
