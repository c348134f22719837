"""Measure how many requests per second the simulated endpoint answers.

The endpoint runs in a separate process, and answers prompts that were made with the package's templates. The
client uses a few keep-alive connections. Every request is different. The figures are medians of the repeats::

    $ python benchmarks/simulated_endpoint.py --repeats 3 --requests 4000
    generate  3,120 bytes  2,345 requests/s  (2,301 to 2,377)
    classify  …
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import jinja2

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from selfinstruct.simulate import SimulatedEndpoint  # noqa: E402 - only importable after the line above
from selfinstruct.simulate.author.instructions import compose  # noqa: E402
from selfinstruct.simulate.seeded_random import SeededRandom  # noqa: E402


def prompts(kind: str, number: int, *, salt: int) -> Iterator[str]:
    """Yield `number` different prompts of one kind, "generate" or "classify"."""
    text = (REPOSITORY / "prompts" / "self-instruct" / f"{kind}.txt").read_text(encoding="utf-8")
    template = jinja2.Template(text)
    for at in range(number):
        tasks = [compose(SeededRandom(f"{salt}/{at}/{task}")) for task in range(8)]
        yield template.render(
            demonstrations=[{"instruction": task, "input": ""} for task in tasks],
            first_number=9,
            last_number=16,
            instruction=tasks[0],
        )


def request(prompt: str) -> bytes:
    """Return a complete HTTP request with `prompt` as its message."""
    messages = [{"role": "user", "content": prompt}]
    body = json.dumps({"model": "simulated", "messages": messages, "temperature": 0.7}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer unused\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(port: int, requests: list[bytes], connections: int) -> float:
    """Send requests over several connections, and return the seconds until the last reply."""
    waiting = iter(requests)

    async def send_some() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for one in waiting:
            writer.write(one)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(send_some() for _ in range(connections)))
    return time.perf_counter() - began


def serve_endpoint(ready: Connection) -> None:
    """Run the endpoint, and send its base URL through the pipe when it is ready."""
    SimulatedEndpoint().serve(on_ready=ready.send)


def main() -> None:
    """Measure both kinds of prompts, and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=4000, help="requests per repeat")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    endpoint = context.Process(target=serve_endpoint, args=(sending,))
    endpoint.start()
    try:
        port = urlsplit(receiving.recv()).port or 0
        for kind in ("generate", "classify"):
            rates = []
            size = 0.0
            for salt in range(options.repeats):
                sent = [request(text) for text in prompts(kind, options.requests, salt=salt)]
                size = statistics.mean(map(len, sent))
                seconds = asyncio.run(send_all(port, sent, options.connections))
                rates.append(options.requests / seconds)
            print(
                f"{kind:9} {size:6,.0f} bytes {statistics.median(rates):7,.0f} requests/s"
                f"  ({min(rates):,.0f} to {max(rates):,.0f})"
            )
    finally:
        endpoint.terminate()
        endpoint.join()


if __name__ == "__main__":
    main()
