"""Request bodies that are too large are refused, even if their headers state a smaller size."""

import itertools
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from simulate.connection import Connection

from selfinstruct.simulate import FaultPlan, SimulatedEndpoint
from selfinstruct.simulate.server.routes import MAX_BODY_BYTES

CHAT = b'{"model": "simulated", "messages": [{"role": "user", "content": "Hello."}]}'
CHUNKED = "Transfer-Encoding: chunked"
PIECE = b" " * 65536


@pytest.fixture(scope="module", params=[None, FaultPlan()], ids=["plain", "faulty"])
def served(request: pytest.FixtureRequest) -> Iterator[SimulatedEndpoint]:
    """Yield an endpoint, once with uvicorn's HTTP protocol and once with the faulty subclass."""
    with SimulatedEndpoint(faults=request.param) as endpoint:
        yield endpoint


def send_chunks(connection: Connection, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        connection.socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))


def too_many() -> Iterator[bytes]:
    """Yield pieces that together exceed the maximum, but only with the last piece."""
    return itertools.repeat(PIECE, MAX_BODY_BYTES // len(PIECE) + 1)


def status(connection: Connection) -> int:
    return int(connection.read()[0].split()[1])


def assert_too_large(connection: Connection) -> None:
    head, body = connection.read()
    assert head.startswith("HTTP/1.1 413 ")
    assert json.loads(body) == {
        "error": {
            "message": "The request body is larger than 8388608 bytes. Send a shorter prompt.",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_too_large",
        }
    }


def test_a_stated_length_is_refused_unread(served: SimulatedEndpoint) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        for length in (MAX_BODY_BYTES + 1, 10**15):
            with Connection(served) as connection:
                connection.send_head(f"Content-Length: {length}", path=path)
                assert_too_large(connection)  # No byte of the body was sent.


def test_chunks_are_counted_whatever_the_length(served: SimulatedEndpoint) -> None:
    for headers in ([CHUNKED], [CHUNKED, "Content-Length: 2"], ["Content-Length: 2", CHUNKED]):
        with Connection(served) as connection:
            connection.send_head(*headers)
            send_chunks(connection, too_many())
            assert_too_large(connection)  # The body has not ended yet.


def test_an_endless_body_fills_no_memory(served: SimulatedEndpoint) -> None:
    with Connection(served) as connection:
        connection.send_head(CHUNKED)
        tracemalloc.start()
        try:
            for _ in range(8):
                send_chunks(connection, too_many())
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert_too_large(connection)
        assert most < 3 * MAX_BODY_BYTES


def test_the_connection_survives_a_refused_body(served: SimulatedEndpoint) -> None:
    with Connection(served) as connection:
        for _ in range(2):
            connection.send_head(CHUNKED)
            send_chunks(connection, too_many())
            connection.socket.sendall(b"0\r\n\r\n")
            assert_too_large(connection)
            connection.send(CHAT)
            assert status(connection) == 200


def test_the_largest_allowed_body_is_answered(served: SimulatedEndpoint) -> None:
    body = CHAT.ljust(MAX_BODY_BYTES)
    with Connection(served) as connection:
        connection.send_head(CHUNKED)
        send_chunks(connection, iter([body, b""]))
        assert status(connection) == 200
        connection.send(body)
        assert status(connection) == 200


def test_an_understated_length_ends_the_body(served: SimulatedEndpoint) -> None:
    for stated in (5, len(CHAT) - 1):
        with Connection(served) as connection:
            connection.send_head(f"Content-Length: {stated}")
            connection.socket.sendall(CHAT + PIECE)
            assert status(connection) == 400
