"""A raw connection to a simulated endpoint, for requests that no HTTP client would send."""

import socket
from typing import Self
from urllib.parse import urlsplit

from waiting import PATIENCE_S

from selfinstruct.simulate import SimulatedEndpoint


class Connection:
    """A TCP connection to an endpoint."""

    def __init__(self, endpoint: SimulatedEndpoint) -> None:
        port = urlsplit(endpoint.base_url).port or 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send_head(self, *headers: str, path: str = "/v1/chat/completions") -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def send(self, body: bytes) -> None:
        self.send_head(f"Content-Length: {len(body)}")
        self.socket.sendall(body)

    def read(self) -> tuple[str, bytes]:
        """Return the head and the body of the next reply."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.socket.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        while len(body) < length_in(head.decode()):
            body += self.socket.recv(65536)
        return head.decode(), body


def length_in(head: str) -> int:
    """Return the content length from the head of a reply."""
    return int(head.lower().split("content-length: ")[1].split("\r\n")[0])
