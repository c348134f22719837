"""Functions for benchmarks of whole runs: start an endpoint and runs as processes, and read their files.

The journal and the endpoint's request log are growing files of JSON lines; `Lines` reads new lines::

    with endpoint(log, "--latency-ms", "100:300") as url:
        subprocess.run(run_command(directory, url, "-n", "1000"))
    rate(middle_half(received_at(directory)))           requests per second without start and tail
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
    """Return the flags of an endpoint with a share of slow replies."""
    plan = folder / "stragglers.yaml"
    plan.write_text(f"per_attempt: [{{fault: late, share: {share}, seconds: {seconds}}}]\n")
    return ["--latency-ms", latency_ms, "--faults", str(plan)]


def mean_latency_s(*, latency_ms: str, share: float, seconds: float) -> float:
    """Return the mean latency of an endpoint with stragglers, in seconds."""
    low, _, high = latency_ms.partition(":")
    usual_s = (float(low) + float(high or low)) / 2 / 1000
    return (1 - share) * usual_s + share * seconds


def run_command(directory: Path, url: str, *flags: str) -> list[str]:
    """Return the command that starts or continues a run."""
    told = ["-o", str(directory), "-m", "simulated", "--base-url", url, "--free"]
    return [*COMMAND, "run", *told, *flags]


def done(command: Sequence[str]) -> str:
    """Return the output of a command. Raises RuntimeError with its error message."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


class Lines:
    """A file of JSON lines that another process still writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def raw(self) -> list[bytes]:
        """Return the complete new lines. Skip a partial line until it is complete or cut."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            found = file.read()
        found = found[: found.rfind(b"\n") + 1]
        self._at += len(found)
        return found.splitlines()

    def new(self) -> list[dict[str, Any]]:
        """Return the new lines, parsed."""
        return [json.loads(line) for line in self.raw()]


def journal(directory: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of one kind in the journal of a run."""
    sought = f'"kind":"{kind}"'.encode()
    for line in Lines(directory / "journal.jsonl").raw():
        if sought in line[:200]:
            yield json.loads(line)


def received_at(directory: Path) -> list[float]:
    """Return the times of the replies in a journal, in seconds."""
    lines = journal(directory, "completion_received")
    return [datetime.fromisoformat(line["at"]).timestamp() for line in lines]


def middle_half(times: Iterable[float]) -> list[float]:
    """Return the times without the first and last quarter, which contain start and tail."""
    ordered = sorted(times)
    quarter = len(ordered) // 4
    return ordered[quarter : len(ordered) - quarter]


def rate(times: Sequence[float]) -> float:
    """Return the events per second from first to last."""
    return (len(times) - 1) / (times[-1] - times[0])


def peak_mb(pid: int) -> float:
    """Return the peak memory of a process; 0 if the process has ended. Linux only."""
    # Do not use ru_maxrss: it starts from the peak of the parent process.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def wait_until(seconds: float, what: str) -> Iterator[None]:
    """Yield once per round of a loop, with short sleeps. Raises TimeoutError after `seconds`."""
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
