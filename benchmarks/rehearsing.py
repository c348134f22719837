"""Functions for benchmarks of whole runs, which start an endpoint and runs in processes and read their files.

The journal and the endpoint's request log are JSON lines files that grow. `Lines` reads their new lines::

    with endpoint(log, "--latency-ms", "100:300") as url:
        subprocess.run(run_command(directory, url, "-n", "1000"))
    rate(middle_half(received_at(directory)))           requests per second in the middle half
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "selfinstruct"]


@contextmanager
def endpoint(log: Path | None, *flags: str) -> Iterator[str]:
    """Start a simulated endpoint in a separate process, and yield its address."""
    noted = [] if log is None else ["--log", str(log)]
    command = [*COMMAND, "simulate", "--port", "0", *noted, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def stragglers(folder: Path, *, latency_ms: str, share: float, seconds: float) -> list[str]:
    """Return the flags for an endpoint of which a share of the replies are slow."""
    plan = folder / "stragglers.yaml"
    plan.write_text(f"per_attempt: [{{fault: late, share: {share}, seconds: {seconds}}}]\n")
    return ["--latency-ms", latency_ms, "--faults", str(plan)]


def mean_latency_s(*, latency_ms: str, share: float, seconds: float) -> float:
    """Return the expected mean latency of an endpoint with slow replies, in seconds."""
    low, _, high = latency_ms.partition(":")
    usual_s = (float(low) + float(high or low)) / 2 / 1000
    return (1 - share) * usual_s + share * seconds


def run_command(directory: Path, url: str, *flags: str) -> list[str]:
    """Return the command that starts or continues a run."""
    told = ["-o", str(directory), "-m", "simulated", "--base-url", url, "--free"]
    return [*COMMAND, "run", *told, *flags]


def done(command: Sequence[str]) -> str:
    """Run a command and return its output. Raises RuntimeError if the command fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


class Lines:
    """Reads the new lines of a JSON lines file that another process is writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def raw(self) -> list[bytes]:
        """Return the complete lines since the last call. An incomplete last line is left for a later call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            found = file.read()
        found = found[: found.rfind(b"\n") + 1]
        self._at += len(found)
        return found.splitlines()

    def new(self) -> list[dict[str, Any]]:
        """Return the objects in the complete lines since the last call."""
        return [json.loads(line) for line in self.raw()]


def journal(directory: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the events of one kind in a run's journal."""
    sought = f'"kind":"{kind}"'.encode()
    for line in Lines(directory / "journal.jsonl").raw():
        if sought in line[:200]:
            yield json.loads(line)


def received_at(directory: Path) -> list[float]:
    """Return when the replies in a run's journal arrived, in seconds since the epoch."""
    lines = journal(directory, "completion_received")
    return [datetime.fromisoformat(line["at"]).timestamp() for line in lines]


def middle_half(times: Iterable[float]) -> list[float]:
    """Return the sorted times without the first and last quarter, to leave out the start and the end."""
    ordered = sorted(times)
    quarter = len(ordered) // 4
    return ordered[quarter : len(ordered) - quarter]


def rate(times: Sequence[float]) -> float:
    """Return the number of events per second between the first and the last time."""
    return (len(times) - 1) / (times[-1] - times[0])


def peak_mb(pid: int) -> float:
    """Return a process's peak memory in MB, or 0 if the process has ended. Works only on Linux."""
    # Do not use ru_maxrss, because it begins with the parent process's peak.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def wait_until(seconds: float, what: str) -> Iterator[None]:
    """Yield repeatedly, with short sleeps in between. Raises TimeoutError after `seconds`."""
    began = time.monotonic()
    while True:
        yield
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} took longer than {seconds:g} s")
        time.sleep(0.005)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with right-aligned columns."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
