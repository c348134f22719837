"""What the benchmarks of whole runs share: an endpoint and runs in processes of their own, and their files.

Both the journal and the endpoint's request log are JSON lines that grow; `Lines` reads on where it stopped::

    with endpoint(log, "--latency-ms", "100:300") as url:
        subprocess.run(run_command(directory, url, "-n", "1000"))
    rate(middle_half(received_at(directory)))           requests a second, start and tail left out
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
    """A simulated endpoint in a process of its own; yields its address."""
    noted = [] if log is None else ["--log", str(log)]
    command = [*COMMAND, "simulate", "--port", "0", *noted, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def stragglers(folder: Path, *, latency_ms: str, share: float, seconds: float) -> list[str]:
    """The flags of an endpoint of which a share of the replies takes so many seconds."""
    plan = folder / "stragglers.yaml"
    plan.write_text(f"per_attempt: [{{fault: late, share: {share}, seconds: {seconds}}}]\n")
    return ["--latency-ms", latency_ms, "--faults", str(plan)]


def mean_latency_s(*, latency_ms: str, share: float, seconds: float) -> float:
    """What such an endpoint was told to take for a reply, on average."""
    low, _, high = latency_ms.partition(":")
    usual_s = (float(low) + float(high or low)) / 2 / 1000
    return (1 - share) * usual_s + share * seconds


def run_command(directory: Path, url: str, *flags: str) -> list[str]:
    """The command that begins or continues a run."""
    told = ["-o", str(directory), "-m", "simulated", "--base-url", url, "--free"]
    return [*COMMAND, "run", *told, *flags]


def done(command: Sequence[str]) -> str:
    """What a command prints; an error with what it says of its failure."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


class Lines:
    """A file of JSON lines that something is still writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def raw(self) -> list[bytes]:
        """The whole lines since the last time; half a line waits until it is whole, or cut off."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            found = file.read()
        found = found[: found.rfind(b"\n") + 1]
        self._at += len(found)
        return found.splitlines()

    def new(self) -> list[dict[str, Any]]:
        """The same, read."""
        return [json.loads(line) for line in self.raw()]


def journal(directory: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The lines of one kind in the journal of a run."""
    sought = f'"kind":"{kind}"'.encode()
    for line in Lines(directory / "journal.jsonl").raw():
        if sought in line[:200]:
            yield json.loads(line)


def received_at(directory: Path) -> list[float]:
    """When the replies of a run were journaled, in seconds."""
    lines = journal(directory, "completion_received")
    return [datetime.fromisoformat(line["at"]).timestamp() for line in lines]


def middle_half(times: Iterable[float]) -> list[float]:
    """Without the first and the last quarter: no start, and no waiting for the last stragglers."""
    ordered = sorted(times)
    quarter = len(ordered) // 4
    return ordered[quarter : len(ordered) - quarter]


def rate(times: Sequence[float]) -> float:
    """Events a second, from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0])


def peak_mb(pid: int) -> float:
    """The largest memory of a process so far; 0 if it is gone. Linux only."""
    # Not ru_maxrss: that starts from the peak of the process that started this one.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def wait_until(seconds: float, what: str) -> Iterator[None]:
    """Ends a loop with an error when it has taken too long; sleeps a little between its rounds."""
    began = time.monotonic()
    while True:
        yield
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} took longer than {seconds:g} s")
        time.sleep(0.005)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, figures to the right."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
