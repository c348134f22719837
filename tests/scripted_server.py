"""A server on loopback that sends scripted bytes, one entry of the script per request."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, overload

from waiting import PATIENCE_S

HANG = b"<hang>"
RESET = b"<reset>"
CUT = b"<cut>"
DRIP = b"<drip>"


def reply(
    status: int = 200,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> bytes:
    """Return a complete HTTP reply; a body other than bytes is encoded as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} Scripted",
        f"content-type: {content_type}",
        f"content-length: {len(data)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def chat(content: object = "9. Name a river.", **changes: Any) -> dict[str, Any]:
    """Return the body of a chat completion; `...` removes a member."""
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "named-by-server",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


@dataclass
class Script:
    """Replies in order, the last one repeated; and a record of the requests."""

    replies: Sequence[bytes]
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(
                    line.decode().lower().split(": ", 1) for line in head.split(b"\r\n")[1:] if line
                )
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                self.headers.append(fields)
                self.paths.append(head.split(b" ")[1].decode())
                self.asked.append(json.loads(body) if body else {})
                answer = self.replies[min(len(self.asked), len(self.replies)) - 1]
                if answer == HANG:
                    await asyncio.sleep(3600)
                if answer == RESET:
                    break
                if answer.startswith(CUT):
                    whole = answer.removeprefix(CUT)
                    writer.write(whole[: len(whole) - 20])
                    break
                if answer.startswith(DRIP):
                    for byte in answer.removeprefix(DRIP):
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(100)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*replies: bytes) -> AsyncIterator[Script]:
    """Serve the script on a free port of loopback."""
    script = Script(replies)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(script.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield script
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@contextmanager
def scripted_aside(*replies: bytes) -> Iterator[Script]:
    """Serve the script in a thread, for callers without an event loop."""
    begun: Future[tuple[Script, Callable[[], object]]] = Future()

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with scripted(*replies) as script:
            begun.set_result((script, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    script, end = begun.result(timeout=PATIENCE_S)
    try:
        yield script
    finally:
        end()
        thread.join()


Server = Callable[[str, dict[str, Any]], bytes]
"""Returns the reply to a path and a body."""


class ByRequest(Sequence[bytes]):
    """The replies of a script, computed for each request."""

    def __init__(self, script: Script, server: Server) -> None:
        self._script = script
        self._server = server

    def __len__(self) -> int:
        return sys.maxsize

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        return self._server(self._script.paths[-1], self._script.asked[-1])
