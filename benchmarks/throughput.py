"""Measure the pipeline's overhead over a bare client loop.

Two programs run alternately against one simulated endpoint, with 50 ms latency and 32 requests in flight:

    bare    a bare loop with the same openai client, which sends a run's requests and ignores the replies
    ours    `selfinstruct.grow`: planning, journaling, parsing, filtering, novelty

Print the median requests per second and CPU time per request of both programs, and the median of the ratios
in each repeat. The endpoint and each program run in separate processes. Imports and startup are not timed.

    python benchmarks/throughput.py [--instructions 3000] [--repeats 5]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONCURRENCY = 32
LATENCY_MS = 50


def main() -> None:
    """Measure both programs in separate processes, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", choices=["ours", "bare"])
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        measure = ours if arguments.child == "ours" else bare
        print(json.dumps(measure(arguments.url, arguments.folder, arguments.instructions)))
        return
    endpoint = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "selfinstruct",
            "simulate",
            "--port",
            "0",
            "--latency-ms",
            str(LATENCY_MS),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert endpoint.stdout is not None
    url = endpoint.stdout.readline().strip()
    results: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    try:
        for repeat in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                for kind in ("ours", "bare"):
                    command = [sys.executable, __file__, "--child", kind, "--url", url]
                    command += ["--folder", folder, "--instructions", str(arguments.instructions)]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    results[kind].append(json.loads(done.stdout.splitlines()[-1]))
                    rate = results[kind][-1]["requests"] / results[kind][-1]["wall_s"]
                    print(f"repeat {repeat + 1}, {kind}: {rate:.0f} requests/s", file=sys.stderr)
    finally:
        endpoint.terminate()
    report(results)


def report(results: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians and ranges of both programs, and their ratios."""
    rates = {k: [r["requests"] / r["wall_s"] for r in v] for k, v in results.items()}
    costs = {k: [r["cpu_s"] / r["requests"] * 1e3 for r in v] for k, v in results.items()}
    for kind in ("bare", "ours"):
        print(
            f"{kind}: {statistics.median(rates[kind]):.0f} requests/s "
            f"({min(rates[kind]):.0f} to {max(rates[kind]):.0f}), "
            f"{statistics.median(costs[kind]):.2f} ms CPU a request "
            f"({min(costs[kind]):.2f} to {max(costs[kind]):.2f})"
        )
    for name, values in (("throughput", rates), ("CPU per request", costs)):
        ratios = [o / b for o, b in zip(values["ours"], values["bare"], strict=True)]
        print(
            f"{name}, ours ÷ bare: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} repeats)"
        )


def ours(url: str, folder: Path, instructions: int) -> dict[str, float]:
    """Run the pipeline, and write its requests to a file for the bare loop."""
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.llm.online import OnlineBackend, open_backend
    from selfinstruct.llm.request_body import parameters
    from selfinstruct.records import Completion, Request
    from selfinstruct.runner.directory import open_run
    from selfinstruct.runner.loop import grow

    config = RunConfig(
        model="simulated",
        base_url=url,
        num_instructions=instructions,
        max_concurrency=CONCURRENCY,
    )
    asked: list[Request] = []

    class RecordingBackend:
        """Stores each request in a list, which costs almost no time."""

        def __init__(self, inner: OnlineBackend) -> None:
            self._inner = inner

        async def complete(self, request: Request) -> Completion:
            asked.append(request)
            return await self._inner.complete(request)

    async def grown() -> dict[str, float]:
        with open_run(folder / "run", config) as opened:
            async with open_backend(config, environ={}) as online:
                wall, cpu = time.perf_counter(), time.process_time()
                await grow(opened, backend=RecordingBackend(online))
                return {
                    "wall_s": time.perf_counter() - wall,
                    "cpu_s": time.process_time() - cpu,
                    "requests": len(asked),
                }

    result = asyncio.run(grown())
    (folder / "asked.json").write_text(json.dumps([parameters(request) for request in asked]))
    return result


def bare(url: str, folder: Path, instructions: int) -> dict[str, float]:  # noqa: ARG001
    """Send the stored requests with the same client in a bare loop."""
    import httpx2
    import openai

    asked = json.loads((folder / "asked.json").read_text())

    async def sent() -> dict[str, float]:
        limits = httpx2.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        client = openai.AsyncOpenAI(
            api_key="none",
            base_url=url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpx2Client(limits=limits),
        )
        queue = iter(asked)

        async def worker() -> None:
            for body in queue:
                reply = await client.chat.completions.create(**body)
                assert reply.choices[0].message.content is not None

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*[worker() for _ in range(CONCURRENCY)])
        return {
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "requests": len(asked),
        }

    return asyncio.run(sent())


if __name__ == "__main__":
    main()
