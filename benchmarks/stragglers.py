"""Measure the share of the possible throughput that a run reaches if 1 % of the replies take ten seconds.

The simulated endpoint is a separate process with a latency of 100 to 300 ms, and 1 % of its replies take ten
seconds. Runs have 32 or 128 requests in flight. The figures are for the middle half of a run's replies:

    achieved    replies per second, from the times in the journal
    possible    the lower of two rates. One is slots ÷ mean latency, from the endpoint's log. The other is
                the rate of a bare loop with the same client and slots, and no latency. The bare loop sends
                a sample of the same requests, and does not parse the replies

    python benchmarks/stragglers.py [--instructions 20000] [--slots 32 128] [--repeats 1]

For a short test, use `--instructions 300 --slots 32 --requests 1000`.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsing import (
    Lines,
    endpoint,
    mean_latency_s,
    middle_half,
    rate,
    received_at,
    stragglers,
    table,
)

HEAD = (
    "in flight",
    "achieved/s",
    "mean latency",
    "as set",
    "slots ÷ latency",
    "bare/s",
    "possible/s",
    "achieved ÷ possible",
    "ms CPU a request",
)


def main() -> None:
    """Measure in separate processes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=20_000)
    parser.add_argument("--slots", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--requests", type=int, default=10_000, help="requests in the bare loop")
    parser.add_argument("--latency-ms", default="100:300")
    parser.add_argument("--share", type=float, default=0.01, help="share of slow replies")
    parser.add_argument("--straggler-s", type=float, default=10.0)
    parser.add_argument("--child", choices=["ours", "bare"])
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.child == "ours":
        print(json.dumps(ours(arguments)))
    elif arguments.child == "bare":
        print(json.dumps(bare(arguments)))
    else:
        table(HEAD, rows(arguments))


def rows(arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Yield a table row for each number of slots and repeat, and a row with the median of the repeats."""
    found: dict[int, list[float]] = {slots: [] for slots in arguments.slots}
    for _, slots in itertools.product(range(arguments.repeats), arguments.slots):
        row, ratio = measured(arguments, slots)
        found[slots].append(ratio)
        print(f"{slots} in flight: {ratio:.2f} of the possible rate", file=sys.stderr)
        yield row
    if arguments.repeats > 1:
        for slots, ratios in found.items():
            told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            yield [f"{slots}, median", "", "", "", "", "", "", told, ""]


def measured(arguments: argparse.Namespace, slots: int) -> tuple[list[str], float]:
    """Make one run, then send its requests in a bare loop. Return a table row and achieved ÷ possible."""
    chances = {
        "latency_ms": arguments.latency_ms,
        "share": arguments.share,
        "seconds": arguments.straggler_s,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "requests.jsonl"
        with endpoint(log, *stragglers(folder, **chances)) as url:
            run = child("ours", url, folder, slots, arguments)
        achieved = rate(middle_half(received_at(folder / "run")))
        latency_s = took_s(log)
        with endpoint(None) as url:
            loop = child("bare", url, folder, slots, arguments)
    possible = min(slots / latency_s, loop["rate"])
    figures = [
        str(slots),
        f"{achieved:.0f}",
        f"{latency_s * 1000:.0f} ms",
        f"{mean_latency_s(**chances) * 1000:.0f} ms",
        f"{slots / latency_s:.0f}",
        f"{loop['rate']:.0f}",
        f"{possible:.0f}",
        f"{achieved / possible:.2f}",
        f"{run['cpu_s'] / run['requests'] * 1000:.2f}",
    ]
    return figures, achieved / possible


def took_s(log: Path) -> float:
    """Return the mean latency of the middle half of the replies, from the endpoint's log."""
    came: dict[int, float] = {}
    took: list[tuple[float, float]] = []
    for line in Lines(log).new():
        if line["event"] == "received":
            came[line["number"]] = line["at"]
        else:
            took.append((line["at"], line["at"] - came[line["number"]]))
    took.sort()
    quarter = len(took) // 4
    return statistics.mean(seconds for _, seconds in took[quarter : len(took) - quarter])


def child(
    kind: str, url: str, folder: Path, slots: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """Measure the run or the bare loop in a separate process."""
    command = [sys.executable, __file__, "--child", kind, "--url", url, "--folder", str(folder)]
    command += ["--slots", str(slots), "--requests", str(arguments.requests)]
    command += ["--instructions", str(arguments.instructions)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    """Run the pipeline, and write a sample of its requests to a file for the bare loop."""
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.llm.online import OnlineBackend, open_backend
    from selfinstruct.llm.request_body import api_path, parameters
    from selfinstruct.records import Completion, Request
    from selfinstruct.runner.directory import open_run
    from selfinstruct.runner.loop import grow

    config = RunConfig(
        model="simulated",
        base_url=arguments.url,
        num_instructions=arguments.instructions,
        max_concurrency=arguments.slots[0],
    )
    every = max(1, 2 * arguments.instructions // arguments.requests)
    sample: list[Request] = []
    number = 0

    class RecordingBackend:
        """Stores every n-th request, so that the sample contains each stage in proportion."""

        def __init__(self, inner: OnlineBackend) -> None:
            self._inner = inner

        async def complete(self, request: Request) -> Completion:
            nonlocal number
            if number % every == 0:
                sample.append(request)
            number += 1
            return await self._inner.complete(request)

    async def grown() -> float:
        with open_run(arguments.folder / "run", config) as opened:
            async with open_backend(config, environ={}) as online:
                cpu = time.process_time()
                await grow(opened, backend=RecordingBackend(online))
                return time.process_time() - cpu

    cpu_s = asyncio.run(grown())
    asked = [(api_path(request), parameters(request)) for request in sample]
    (arguments.folder / "asked.json").write_text(json.dumps(asked))
    return {"cpu_s": cpu_s, "requests": number}


def bare(arguments: argparse.Namespace) -> dict[str, float]:
    """Send the stored requests with the same client in a bare loop, repeating them if there are too few."""
    import httpx2

    from selfinstruct.config.schema import RunConfig
    from selfinstruct.llm.http_client import http_client

    slots = arguments.slots[0]
    config = RunConfig(model="simulated", base_url=arguments.url, max_concurrency=slots)
    asked: list[tuple[str, dict[str, Any]]] = json.loads(
        (arguments.folder / "asked.json").read_text()
    )
    answered: list[float] = []

    async def sent() -> None:
        queue = itertools.islice(itertools.cycle(asked), arguments.requests)
        async with http_client(config, environ={}) as opened:

            async def worker() -> None:
                for path, body in queue:
                    reply = await opened.post(path, cast_to=httpx2.Response, body=body)
                    assert reply.content
                    answered.append(time.perf_counter())

            await asyncio.gather(*[worker() for _ in range(slots)])

    asyncio.run(sent())
    return {"rate": rate(middle_half(answered))}


if __name__ == "__main__":
    main()
