"""Measure a whole night: a run of 52,000 instructions that is killed ten times, continued and exported.

Call `selfinstruct estimate`, `run` and `export` with a simulated endpoint in a separate process. The run is
killed (SIGKILL) after random numbers of sent requests, and continued with the same command. Print

- the total time;
- for each start, the seconds until the run reports that it continues, and until the endpoint receives the
  first request;
- the journal's size;
- the time, rows and memory of the export;
- the peak memory of the run's processes, compared with a run of 5,000 instructions without kills.

The benchmark works on Linux only, because it reads the peak memory from /proc.

    python benchmarks/night.py [--instructions 52000] [--kills 10] [--small 5000] [--seed 0]

For a short test, use `--instructions 400 --kills 2 --small 100`.
"""

import argparse
import json
import random
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rehearsing import COMMAND, Lines, endpoint, journal, peak_mb, run_command, table

_LOOKS_EVERY_S = 0.02


@dataclass
class Life:
    """One process of a run, from its start to its end."""

    accepted_before: int
    seconds: float = 0.0
    said_after_s: float | None = None
    """Seconds from the start until the run reported that it continues; None if it has not."""
    asked_after_s: float | None = None
    """Seconds from the start until the endpoint received the first request; None if it has not."""
    peak: float = 0.0


class Arrivals:
    """Counts the requests that have arrived at an endpoint."""

    def __init__(self, log: Path) -> None:
        self._lines = Lines(log)
        self._count = 0

    def count(self) -> int:
        """Return the number of requests so far."""
        self._count += sum(b'"event": "received"' in line for line in self._lines.raw())
        return self._count


def main() -> None:
    """Make, kill, continue and export the runs, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=52_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--small", type=int, default=5000, help="instructions in the small run")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--latency-ms", default="20:60")
    parser.add_argument("--seed", type=int, default=0, help="seed for the moments of the kills")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    # A run sends at least two requests for each instruction, in addition to the generation requests.
    moments = sorted(
        int(chance.random() * 2 * arguments.instructions) for _ in range(arguments.kills)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "requests.jsonl"
        with endpoint(log, "--latency-ms", arguments.latency_ms) as url:
            estimate(url, arguments)
            flags = ["--max-concurrency", str(arguments.slots)]
            arrivals = Arrivals(log)
            small = grown(folder / "small", url, [*flags, "-n", str(arguments.small)], arrivals, [])
            flags += ["-n", str(arguments.instructions)]
            before = arrivals.count()
            began = time.monotonic()
            lives = grown(folder / "run", url, flags, arrivals, [before + at for at in moments])
            seconds = time.monotonic() - began
            requests = arrivals.count() - before
        report(folder / "run", lives, small, seconds, requests, arguments)
        export(folder / "run", folder / "dataset.json")


def estimate(url: str, arguments: argparse.Namespace) -> None:
    """Print the estimate of the run."""
    began = time.monotonic()
    flags = ["-m", "simulated", "--base-url", url, "-n", str(arguments.instructions), "--free"]
    done = subprocess.run(
        [*COMMAND, "estimate", *flags], capture_output=True, text=True, check=False
    )
    print(f"estimate, {time.monotonic() - began:.1f} s:")
    print((done.stdout or done.stderr).rstrip() + "\n")


def grown(
    directory: Path, url: str, flags: list[str], arrivals: Arrivals, moments: list[int]
) -> list[Life]:
    """Grow a run to its target. Kill and restart it when each number of requests has arrived."""
    lives = []
    for moment in [*moments, None]:
        life = Life(accepted_before=accepted(directory))
        lives.append(life)
        with subprocess.Popen(
            run_command(directory, url, *flags),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            watch(process, life, arrivals, moment)
        if moment is None and process.returncode:
            raise RuntimeError(f"the run ended with {process.returncode}")
    return lives


def watch(
    process: subprocess.Popen[str], life: Life, arrivals: Arrivals, moment: int | None
) -> None:
    """Wait until a process ends, or kill it at `moment`. Record its times and peak memory in `life`."""
    began = time.monotonic()
    before = arrivals.count()
    assert process.stderr is not None
    listener = threading.Thread(target=listen, args=(process.stderr, life, began))
    listener.start()
    while process.poll() is None:
        life.peak = max(life.peak, peak_mb(process.pid))
        count = arrivals.count()
        if life.asked_after_s is None and count > before:
            life.asked_after_s = time.monotonic() - began
        # Each process may send at least one request, even if the count for its kill has passed.
        if moment is not None and count >= moment and life.asked_after_s is not None:
            process.kill()
            break
        time.sleep(_LOOKS_EVERY_S)
    process.wait()
    listener.join()
    life.seconds = time.monotonic() - began


def listen(stderr: IO[str], life: Life, began: float) -> None:
    """Record in `life` when a process reports that it continues the run."""
    for line in stderr:
        if "continuing" in line and life.said_after_s is None:
            life.said_after_s = time.monotonic() - began


def accepted(directory: Path) -> int:
    """Return the number of accepted instructions in a run."""
    return sum(len(commit["accepted"]) for commit in journal(directory, "committed"))


def report(
    directory: Path,
    lives: list[Life],
    small: list[Life],
    seconds: float,
    requests: int,
    arguments: argparse.Namespace,
) -> None:
    """Print the run's times, memory and size."""

    def told(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f} s"

    table(
        ("start", "instructions", "continues after", "first request after", "lived", "peak"),
        (
            (
                str(number),
                f"{life.accepted_before:,}",
                told(life.said_after_s),
                told(life.asked_after_s),
                told(life.seconds),
                f"{life.peak:.0f} MB",
            )
            for number, life in enumerate(lives, 1)
        ),
    )
    total = accepted(directory)
    size = (directory / "journal.jsonl").stat().st_size
    peak, less = max(life.peak for life in lives), max(life.peak for life in small)
    print(
        f"\n{total:,} instructions, {requests:,} requests: {seconds:.0f} s in {len(lives)} processes, "
        f"starts included\n"
        f"journal: {size / 1e6:.1f} MB, {size / total * 1000 / 1e3:,.0f} KB per 1,000 instructions\n"
        f"peak memory: {peak:.0f} MB, with {arguments.small:,} instructions {less:.0f} MB: "
        f"{peak / less:.2f}"
    )


def export(directory: Path, out: Path) -> None:
    """Export the run, and print the time and peak memory of the export."""
    began = time.monotonic()
    peak = 0.0
    command = [*COMMAND, "export", str(directory), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while process.poll() is None:
            peak = max(peak, peak_mb(process.pid))
            time.sleep(_LOOKS_EVERY_S)
        seconds = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(process.stderr.read())
    rows = len(json.loads(out.read_text(encoding="utf-8")))
    print(f"export: {rows:,} rows in {seconds:.2f} s, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
