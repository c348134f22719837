"""Thousands of instructions with and without faults, from the command line: the same dataset."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfinstruct.journal_events import CompletionReceived, RequestFailed
from selfinstruct.runner.journal import read_journal

TARGET = int(os.environ.get("SELFINSTRUCT_SOAK_TARGET", "2000"))
"""Target of accepted instructions."""
PLAN = Path(__file__).with_name("bad-day.yaml")
AT_MOST = 4
"""Maximum of faulty attempts per request in the plan; one more attempt succeeds."""


@dataclass(frozen=True)
class Day:
    """A finished run, and the request log of the endpoint."""

    directory: Path
    log: Path
    seconds: float

    def export(self) -> bytes:
        out = self.directory / "exports" / "out.json"
        subprocess.run([*COMMAND, "export", str(self.directory), "-o", str(out)], check=True)
        return out.read_bytes()

    def lines(self) -> Iterator[dict[str, object]]:
        with self.log.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


COMMAND = [sys.executable, "-m", "selfinstruct"]


@contextmanager
def endpoint(log: Path, *flags: str) -> Iterator[str]:
    """Run a simulated endpoint in a separate process; yield its address."""
    arguments = ["simulate", "--port", "0", "--log", str(log), *flags]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def day(folder: Path, *flags: str) -> Day:
    """Complete a run against an endpoint with these flags."""
    folder.mkdir()
    log = folder / "requests.jsonl"
    with endpoint(log, *flags) as url:
        began = time.monotonic()
        done = subprocess.run(
            [*COMMAND, "run", "-o", str(folder / "run"), "-m", "simulated", "--base-url", url,
             "-n", str(TARGET), "--max-concurrency", "128", "--request-timeout", "3"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return Day(folder / "run", log, time.monotonic() - began)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return day(tmp_path_factory.mktemp("soak") / "good")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return day(tmp_path_factory.mktemp("soak") / "bad", "--faults", str(PLAN))


def test_faults_do_not_change_the_dataset(good: Day, bad: Day) -> None:
    outcomes = Counter(
        type(entry.event).__name__ for entry in read_journal(bad.directory / "journal.jsonl")
    )
    assert outcomes[RequestFailed.__name__] == 0
    assert good.export() == bad.export()
    print(
        f"\n{TARGET:,} instructions: {good.seconds:.0f} s on a good day, {bad.seconds:.0f} s on a bad one; "
        f"{outcomes[CompletionReceived.__name__]:,} completions"
    )


def test_a_fifth_of_the_attempts_fail(bad: Day) -> None:
    attempts, in_outages = Counter[str](), Counter[str]()
    faults = Counter[str]()
    answered: set[str] = set()
    for line in bad.lines():
        request_id = str(line["client_request_id"])
        if line["event"] == "received":
            # An answered request is never sent again.
            assert request_id not in answered
            attempts[request_id] += 1
            continue
        fault = line.get("fault")
        if fault is None or (fault == "drip" and line["event"] == "answered"):
            answered.add(request_id)
            continue
        faults[str(fault)] += 1
        in_outages[request_id] += fault == "outage"
    share = sum(faults.values()) / attempts.total()
    print(f"\n{attempts.total():,} attempts, {share:.1%} failed: {dict(faults.most_common())}")
    assert share >= 0.2
    kinds = {"status", "hang", "drip", "reset", "drop", "broken_json", "page", "outage"}
    assert faults.keys() >= kinds
    for request_id, times in attempts.items():
        assert times <= AT_MOST + 1 + in_outages[request_id]
