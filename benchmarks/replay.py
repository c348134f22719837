"""Measure the time and memory for opening a run of 10,000 instructions.

Make the run with a backend that answers at once, without an endpoint. Then open the run for reading in
separate processes. Two baselines are measured in the same way: reading the journal line by line with
`json.loads`, and only importing the modules. The benchmark works on Linux
only, because it reads the peak memory from /proc.

    python benchmarks/replay.py [--instructions 10000] [--repeats 5]
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
from random import Random

from selfinstruct.config.schema import RunConfig
from selfinstruct.records import Completion, Request, Usage
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.loop import grow

CHILDREN = {
    "imports alone": "n = 0",
    "json.loads of every line": (
        "import json\nn = sum(1 for line in open(path + '/journal.jsonl', 'rb') if json.loads(line))"
    ),
    "read_run": (
        "from selfinstruct.runner.directory import read_run\nn = read_run(path).state.accepted"
    ),
}


class Prolific:
    """A backend that answers at once, with eight novel instructions, a no, or one instance."""

    async def complete(self, request: Request) -> Completion:
        """Return a reply of random words."""
        rng = Random(request.id)

        def words(count: int) -> str:
            return " ".join(f"w{int(rng.random() * 40_000)}" for _ in range(count))

        if request.stage == "generate":
            text = "\n".join(f"{n}. Describe {words(14)}." for n in range(9, 17))
        elif request.stage == "classify":
            text = "No"
        else:
            text = f"Input: {words(40)}\nOutput: {words(80)}"
        usage = Usage(prompt_tokens=900, completion_tokens=len(text) // 4)
        return Completion(text=text, finish_reason="stop", model="prolific", usage=usage)


def main() -> None:
    """Make a run, then measure how long opening it takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        make(directory, arguments.instructions)
        path = directory / "journal.jsonl"
        events = sum(1 for _ in path.open("rb"))
        accepted = read_run(directory).state.accepted
        print(
            f"journal: {events:,} events, {accepted:,} instructions, {path.stat().st_size / 1e6:.1f} MB"
        )
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in CHILDREN}
        for _ in range(arguments.repeats):
            for name, body in CHILDREN.items():
                results[name].append(measure(directory, body))
    for name, values in results.items():
        times = [seconds for seconds, _ in values]
        print(
            f"{name}: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f}), "
            f"peak memory {max(memory for _, memory in values):.0f} MB"
        )
    read, loads = (
        statistics.median(seconds for seconds, _ in results[name])
        for name in ("read_run", "json.loads of every line")
    )
    print(f"read_run ÷ json.loads: {read / loads:.1f}")


def make(directory: Path, instructions: int) -> None:
    """Make a complete run in a directory."""
    began = time.perf_counter()
    config = RunConfig(model="prolific", num_instructions=instructions)
    with open_run(directory, config) as opened:
        asyncio.run(grow(opened, backend=Prolific()))
    print(f"made in {time.perf_counter() - began:.1f} s", file=sys.stderr)


def measure(directory: Path, body: str) -> tuple[float, float]:
    """Run code in a process. Return its seconds without imports, and the process's peak memory in MB."""
    code = (
        "import json, sys, time\n"
        "import selfinstruct.runner.directory\n"
        "import pydantic, rapidfuzz.process, rapidfuzz.distance, yaml, jinja2\n"
        "path = sys.argv[1]\nbegan = time.perf_counter()\n"
        + body
        + "\nseconds = time.perf_counter() - began\n"
        # Do not use ru_maxrss, because it begins with the parent process's peak.
        "status = open('/proc/self/status').read()\n"
        "print(json.dumps([seconds, int(status.split('VmHWM:')[1].split()[0]) / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], check=True, capture_output=True, text=True
    )
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


if __name__ == "__main__":
    main()
