"""If a run is stopped, its requests in flight finish; if it is killed, the journal loses nothing."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support import request_log, typed
from waiting import PATIENCE_S, until

from selfinstruct.journal_events import CompletionReceived
from selfinstruct.runner.journal import read_journal
from selfinstruct.simulate.server.listening import SimulatedEndpoint

CONCURRENCY = 8
TARGET = 200
KILLS = 24
ENDLESS = {"num-instructions": 100_000}
"""Settings of a run that is too long to end before the test stops it."""


@dataclass
class Endpoint:
    """A simulated endpoint's address and its request log."""

    url: str
    log: Path

    def received(self) -> list[str]:
        """Return the ids of the received requests, in the order of their arrival."""
        entries = request_log(self.log)
        return [entry["client_request_id"] for entry in entries if entry["event"] == "received"]


@contextmanager
def silent_endpoint(log: Path) -> Iterator[Endpoint]:
    """Start an endpoint that takes an hour to reply, in a process that is killed after the test."""
    arguments = ["simulate", "--port", "0", "--latency-ms", "3600000", "--log", str(log)]
    with subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Endpoint(url=process.stdout.readline().strip(), log=log)
        process.kill()


@pytest.fixture
def slow_endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """Serve an endpoint that replies after 5 to 60 ms, so that requests are always in flight."""
    log = tmp_path / "log.jsonl"
    with SimulatedEndpoint(latency_ms=(5, 60), log=log) as endpoint:
        yield Endpoint(url=endpoint.base_url, log=log)


def flags(directory: Path, endpoint: Endpoint, **changes: Any) -> list[str]:
    settings = {
        "model": "simulated",
        "base-url": endpoint.url,
        "num-instructions": TARGET,
        "max-concurrency": CONCURRENCY,
    } | changes
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["run", "-o", str(directory), *arguments]


def start(directory: Path, endpoint: Endpoint, **changes: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *flags(directory, endpoint, **changes)],
        stderr=subprocess.PIPE,
        text=True,
    )


def export(directory: Path) -> bytes:
    path = directory / "exports" / "out.json"
    done = typed("export", directory, "-o", path)
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def journaled(directory: Path) -> set[str]:
    path = directory / "journal.jsonl"
    if not path.exists():
        return set()
    return {
        entry.event.request_id
        for entry in read_journal(path)
        if isinstance(entry.event, CompletionReceived)
    }


def test_kills_change_no_byte_and_repeat_no_request(
    tmp_path: Path, slow_endpoint: Endpoint, thorough: bool
) -> None:
    kills, target = (KILLS, TARGET) if thorough else (KILLS // 5 + 1, TARGET * 2 // 5)
    changes = {"num-instructions": target}
    reference = tmp_path / "reference"
    done = typed(*flags(reference, slow_endpoint, **changes))
    assert done.returncode == 0, done.stderr
    first = len(slow_endpoint.received())

    directory = tmp_path / "killed"
    rng, killed = Random(20), 0
    for _ in range(kills):
        before, seen = journaled(directory), len(slow_endpoint.received())
        with start(directory, slow_endpoint, **changes) as process:
            # A run changes no files before its first request.
            wait_for_requests(process, slow_endpoint, rng.randint(1, 2 * CONCURRENCY))
            # On a busy machine, the run may have ended already.
            killed += process.poll() is None
            process.kill()
        asked, after = slow_endpoint.received()[seen:], journaled(directory)
        assert before <= after, "an acknowledged line was lost"
        assert not before & set(asked), "a journaled request was sent again"
        assert len(set(asked) - after) <= CONCURRENCY
    assert killed
    done = typed(*flags(directory, slow_endpoint, **changes))
    assert done.returncode == 0, done.stderr

    assert export(directory) == export(reference)
    asked_in_all = Counter(slow_endpoint.received()[first:])
    assert set(asked_in_all) == journaled(directory)
    assert asked_in_all.total() - len(asked_in_all) <= kills * CONCURRENCY


def wait_for_requests(
    process: "subprocess.Popen[str]", endpoint: Endpoint, number: int = 1
) -> None:
    """Wait until the endpoint has received `number` requests, or the process has ended."""
    enough = len(endpoint.received()) + number
    until(lambda: process.poll() is not None or len(endpoint.received()) >= enough)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_waits_for_requests_in_flight(
    tmp_path: Path, slow_endpoint: Endpoint, number: signal.Signals
) -> None:
    with start(tmp_path / "run", slow_endpoint, **ENDLESS) as process:
        wait_for_requests(process, slow_endpoint, 5 * CONCURRENCY)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "after the requests in flight finish" in said
    assert "To continue: selfinstruct run" in said
    assert "Traceback" not in said
    assert set(slow_endpoint.received()) == journaled(tmp_path / "run")


def test_nohup_protects_from_a_hangup(tmp_path: Path, slow_endpoint: Endpoint) -> None:
    """Users run overnight like this, over a connection that may close."""
    arguments = ["-m", "simulated", "--base-url", slow_endpoint.url, "-n", "40"]
    with subprocess.Popen(
        [
            "nohup",
            sys.executable,
            "-m",
            "selfinstruct",
            "run",
            "-o",
            str(tmp_path / "run"),
            *arguments,
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_requests(process, slow_endpoint)
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said


def test_a_closed_stderr_does_not_prevent_stopping(tmp_path: Path, slow_endpoint: Endpoint) -> None:
    process = start(tmp_path / "run", slow_endpoint, **ENDLESS)
    wait_for_requests(process, slow_endpoint)
    assert process.stderr is not None
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 130


def test_the_second_signal_stops_at_once(tmp_path: Path) -> None:
    with (
        silent_endpoint(tmp_path / "log.jsonl") as endpoint,
        start(tmp_path / "run", endpoint) as process,
    ):
        wait_for_requests(process, endpoint)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "after the requests in flight finish" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("made", [".", "run", "run/config.yaml", "run/journal.jsonl"])
def test_a_signal_during_opening_leaves_a_run(
    tmp_path: Path, slow_endpoint: Endpoint, made: str
) -> None:
    with start(tmp_path / "run", slow_endpoint, **ENDLESS) as process:
        until((tmp_path / made).exists)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    # Before selfinstruct is loaded, the signal ends the Python process.
    assert process.returncode in (130, -signal.SIGTERM), said
    assert "Traceback" not in said
    done = typed(*flags(tmp_path / "run", slow_endpoint, **{"num-instructions": 3}))
    assert done.returncode == 0, done.stderr


def test_status_and_export_work_while_a_run_writes(tmp_path: Path, slow_endpoint: Endpoint) -> None:
    directory = tmp_path / "run"
    with start(directory, slow_endpoint, **ENDLESS) as process:
        journal = directory / "journal.jsonl"
        until(lambda: journal.exists() and b"instances_written" in journal.read_bytes())
        done = typed("status", directory, "--json")
        export(directory)
        still_running = process.poll() is None
        process.kill()
    assert still_running
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["condition"], status["pid"]) == ("running", process.pid)
    assert status["candidates"] == status["accepted"] + sum(status["rejected"].values())


def test_concurrency_does_not_change_the_dataset(
    tmp_path: Path, slow_endpoint: Endpoint, thorough: bool
) -> None:
    exports = set()
    for concurrency in (1, 8, 64):
        directory = tmp_path / f"run-{concurrency}"
        changes = {"num-instructions": 25 if thorough else 12, "max-concurrency": concurrency}
        done = typed(*flags(directory, slow_endpoint, **changes))
        assert done.returncode == 0, done.stderr
        exports.add(export(directory))
    assert len(exports) == 1
