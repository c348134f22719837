"""Measure how many requests a run repeats after a kill.

Kill (SIGKILL) a run with 32 requests in flight a hundred times, each time at a random moment after the first
request of the process. Continue the run with the same command. The simulated endpoint is a separate process
with a latency of 50 to 150 ms. After each kill, count in the endpoint's log and in the journal

    in flight      requests that were sent but are not in the journal; at most 32 are allowed
    sent again     requests that were in flight, and that arrive at the endpoint again

It is an error if a repeated request was in the journal, or was not in flight. The benchmark also compares the
tokens that the endpoint billed with the tokens in the journal.

    python benchmarks/kills.py [--kills 100] [--slots 32] [--seed 0]

For a short test, use `--kills 5`.
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
    """The ids of the requests that one kill affected."""

    in_flight: set[str] = field(default_factory=set)
    sent_again: set[str] = field(default_factory=set)


class Witness:
    """Counts the requests of each process in the endpoint's log and in the journal."""

    def __init__(self, log: Path, journal: Path) -> None:
        self._log = Lines(log)
        self._journal = Lines(journal)
        self.kills: list[Kill] = []
        self.sent = Counter[str]()
        self.billed = 0
        self.received = 0
        """Number of tokens that the journal records."""
        self._last_sent: dict[str, int] = {}
        """Number of kills before a request was last sent, by request id."""
        self._journaled: set[str] = set()
        self._open = 0
        """Number of requests whose outcome is not in the log yet."""

    def look(self) -> int:
        """Read the new lines of the log, and return how many requests arrived."""
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
        """Record a kill, with the requests that are in the log but not in the journal."""
        for _ in wait_until(10, "the endpoint's detection of the closed connections"):
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
    """Kill and continue a run several times, and count the repeated requests."""
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
            # The last process repeats the requests that the last kill lost. It is stopped cleanly.
            for number in range(arguments.kills + 1):
                is_last = number == arguments.kills
                one_life(command, witness, chance.random() * arguments.within_s, gently=is_last)
                print(f"\r{number} of {arguments.kills} kills", end="", file=sys.stderr)
    print(file=sys.stderr)
    report(witness, arguments.slots)


def one_life(command: list[str], witness: Witness, seconds: float, *, gently: bool) -> None:
    """Start a process, and stop or kill it some seconds after its first request."""
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
    """Print how many requests were repeated. Raises AssertionError if a kill cost more than `slots`."""
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
