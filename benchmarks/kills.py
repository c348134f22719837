"""Requests that a kill repeats.

Kill (SIGKILL) a run with 32 requests in flight a hundred times, each time at a random moment after the first
request of the process. The same command continues the run. The simulated endpoint is a separate process with
a latency of 50 to 150 ms. The endpoint's log and the journal after each kill give

    in flight      requests sent and not in the journal: at most 32, the most that a kill may cost
    sent again     requests in flight that arrive at the endpoint again

A repeated request that was in the journal, or was not in flight, is an error. The benchmark also compares the
endpoint's bill with the journal.

    python benchmarks/kills.py [--kills 100] [--slots 32] [--seed 0]

A quick look: `--kills 5`.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rehearsing import Lines, endpoint, run_command, table, wait_until


@dataclass
class Kill:
    """Requests that one kill affected."""

    in_flight: set[str] = field(default_factory=set)
    sent_again: set[str] = field(default_factory=set)


class Witness:
    """Requests of each process, by the endpoint and by the journal."""

    def __init__(self, log: Path, journal: Path) -> None:
        self._log = Lines(log)
        self._journal = Lines(journal)
        self.kills: list[Kill] = []
        self.sent = Counter[str]()
        self.billed = 0
        self.received = 0
        """Tokens in the journal."""
        self._last_sent: dict[str, int] = {}
        """Number of kills before each request was sent."""
        self._journaled: set[str] = set()
        self._open = 0
        """Requests without an outcome in the log."""

    def look(self) -> int:
        """Read the new lines of the log. Return the number of new requests."""
        arrived = 0
        for line in self._log.new():
            if line["event"] != "received":
                self._open -= 1
                self.billed += line["billed_prompt_tokens"] + line["billed_completion_tokens"]
                continue
            self._open += 1
            arrived += 1
            self._arrived(line["client_request_id"])
        return arrived

    def killed(self) -> None:
        """Compare log and journal after the end of a process."""
        for _ in wait_until(10, "the endpoint's noticing that its client is gone"):
            self.look()
            if not self._open:
                break
        for line in self._journal.new():
            if line["kind"] == "completion_received":
                self._journaled.add(line["request_id"])
                usage = line["completion"]["usage"]
                self.received += usage["prompt_tokens"] + usage["completion_tokens"]
        number = len(self.kills)
        in_flight = {name for name, at in self._last_sent.items() if at == number}
        self.kills.append(Kill(in_flight=in_flight - self._journaled))

    def _arrived(self, name: str) -> None:
        self.sent[name] += 1
        before = self._last_sent.get(name)
        self._last_sent[name] = len(self.kills)
        if before is None:
            return
        if name in self._journaled:
            raise AssertionError(f"{name} was in the journal and is sent again")
        if before == len(self.kills):
            raise AssertionError(f"{name} is sent again by the same process")
        kill = self.kills[before]
        if name not in kill.in_flight:
            raise AssertionError(f"{name} is sent again but was not in flight at kill {before}")
        kill.sent_again.add(name)


def main() -> None:
    """Kill and continue a run, and count repeated requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    parser.add_argument(
        "--within-s", type=float, default=1.5, help="latest moment of a kill, in seconds"
    )
    parser.add_argument("--latency-ms", default="50:150")
    parser.add_argument("--instructions", type=int, default=200_000, help="target; never reached")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, directory = folder / "requests.jsonl", folder / "run"
        with endpoint(log, "--latency-ms", arguments.latency_ms) as url:
            flags = ["-n", str(arguments.instructions), "--max-concurrency", str(arguments.slots)]
            command = run_command(directory, url, *flags)
            witness = Witness(log, directory / "journal.jsonl")
            # One more process repeats the requests of the last kill, and is stopped cleanly.
            for number in range(arguments.kills + 1):
                is_last = number == arguments.kills
                one_life(command, witness, chance.random() * arguments.within_s, gently=is_last)
                print(f"\r{number} of {arguments.kills} kills", end="", file=sys.stderr)
    print(file=sys.stderr)
    report(witness, arguments.slots)


def one_life(command: list[str], witness: Witness, seconds: float, *, gently: bool) -> None:
    """Start a process, and end it some seconds after its first request."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for _ in wait_until(120, "the start of the run"):
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read().decode())
            if witness.look():
                break
        if gently:
            time.sleep(2)
            process.terminate()
        else:
            time.sleep(seconds)
            process.kill()
        process.communicate()
    witness.killed()


def report(witness: Witness, slots: int) -> None:
    """Print the cost of the kills, and check the upper bound."""
    kills = witness.kills[:-1]
    rows = []
    for name, counts in (
        ("in flight", [len(kill.in_flight) for kill in kills]),
        ("sent again", [len(kill.sent_again) for kill in kills]),
    ):
        rows.append(
            (
                name,
                f"{statistics.mean(counts):.1f}",
                f"{statistics.median(counts):g}",
                str(min(counts)),
                str(max(counts)),
                str(slots),
            )
        )
    table((f"{len(kills)} kills", "mean", "median", "least", "most", "bound"), rows)
    again = witness.sent.total() - len(witness.sent)
    print(
        f"{len(witness.sent):,} requests, {again:,} of them sent again: "
        f"{again / len(witness.sent):.1%}; billed ÷ journaled tokens: "
        f"{witness.billed / witness.received:.3f}"
    )
    assert all(len(kill.in_flight) <= slots for kill in kills)
    assert all(kill.sent_again <= kill.in_flight for kill in kills)


if __name__ == "__main__":
    main()
