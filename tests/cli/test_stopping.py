"""Stopping a run, gently and not: what is in flight lands, and a kill loses nothing that was journaled."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfinstruct.events import CompletionReceived
from selfinstruct.journal import read_journal

CONCURRENCY = 8
TARGET = 200
KILLS = 24


@dataclass
class Endpoint:
    """A simulated endpoint in a process of its own, with its log."""

    url: str
    log: Path

    def received(self) -> list[str]:
        """Ids of the requests it got, in order."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line["client_request_id"] for line in lines if line["event"] == "received"]


@contextmanager
def simulated(log: Path, *, latency_ms: str) -> Iterator[Endpoint]:
    arguments = ["simulate", "--port", "0", "--latency-ms", latency_ms, "--log", str(log)]
    with subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Endpoint(url=process.stdout.readline().strip(), log=log)
        process.kill()


@pytest.fixture
def slow_endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """Replies take 5 to 60 ms, so that there is always something in flight."""
    with simulated(tmp_path / "log.jsonl", latency_ms="5:60") as endpoint:
        yield endpoint


def start(directory: Path, endpoint: Endpoint, **changes: Any) -> "subprocess.Popen[str]":
    flags = {
        "model": "simulated",
        "base-url": endpoint.url,
        "num-instructions": TARGET,
        "max-concurrency": CONCURRENCY,
    } | changes
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "run", "-o", str(directory), *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


def export(directory: Path) -> bytes:
    path = directory / "exports" / "out.json"
    arguments = ["export", str(directory), "-o", str(path)]
    subprocess.run([sys.executable, "-m", "selfinstruct", *arguments], check=True)
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


def test_a_run_killed_at_random_moments_gives_the_same_bytes_and_asks_nothing_again(
    tmp_path: Path, slow_endpoint: Endpoint, thorough: bool
) -> None:
    kills = KILLS if thorough else KILLS // 4
    reference = tmp_path / "reference"
    with start(reference, slow_endpoint) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    first = len(slow_endpoint.received())

    directory = tmp_path / "killed"
    rng = Random(20)
    for _ in range(kills):
        before, seen = journaled(directory), len(slow_endpoint.received())
        with start(directory, slow_endpoint) as process:
            # Starting up changes nothing; moments are drawn from the first request on.
            wait_for_first_request(process, slow_endpoint)
            time.sleep(rng.random() * 0.06)
            assert process.poll() is None, "the run was over too soon to be killed so often"
            process.kill()
        asked, after = slow_endpoint.received()[seen:], journaled(directory)
        assert before <= after, "an acknowledged line was lost"
        assert not before & set(asked), "a journaled request was asked again"
        assert len(set(asked) - after) <= CONCURRENCY
    with start(directory, slow_endpoint) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said

    assert export(directory) == export(reference)
    asked_in_all = Counter(slow_endpoint.received()[first:])
    assert set(asked_in_all) == journaled(directory)
    assert asked_in_all.total() - len(asked_in_all) <= kills * CONCURRENCY


def wait_for_first_request(process: "subprocess.Popen[str]", endpoint: Endpoint) -> None:
    """Until this process has sent something, or has ended."""
    before = len(endpoint.received())
    while process.poll() is None and len(endpoint.received()) == before:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_what_is_in_flight_land(
    tmp_path: Path, slow_endpoint: Endpoint, number: signal.Signals
) -> None:
    with start(tmp_path / "run", slow_endpoint) as process:
        wait_for_first_request(process, slow_endpoint)
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "once the requests in flight have finished" in said
    assert "To continue: selfinstruct run" in said
    assert "Traceback" not in said
    assert set(slow_endpoint.received()) == journaled(tmp_path / "run")


def test_nohup_protects_from_a_hangup(tmp_path: Path, slow_endpoint: Endpoint) -> None:
    """The commonest way to run overnight over a connection that will be cut."""
    arguments = ["-m", "simulated", "--base-url", slow_endpoint.url, "-n", "60"]
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
        wait_for_first_request(process, slow_endpoint)
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_a_run_stops_when_asked_to_even_if_nobody_hears_it_say_so(
    tmp_path: Path, slow_endpoint: Endpoint
) -> None:
    process = start(tmp_path / "run", slow_endpoint)
    wait_for_first_request(process, slow_endpoint)
    assert process.stderr is not None
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 130


def test_the_second_signal_stops_at_once(tmp_path: Path) -> None:
    with (
        simulated(tmp_path / "log.jsonl", latency_ms="30000") as endpoint,
        start(tmp_path / "run", endpoint) as process,
    ):
        wait_for_first_request(process, endpoint)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in said


@pytest.mark.parametrize("pause_s", [0.2, 0.4, 0.6])
def test_a_signal_while_the_run_is_being_opened_leaves_one_that_can_go_on(
    tmp_path: Path, slow_endpoint: Endpoint, pause_s: float
) -> None:
    with start(tmp_path / "run", slow_endpoint) as process:
        time.sleep(pause_s)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    # Before any code of ours is loaded, Python itself ends with the signal's number.
    assert process.returncode in (130, -signal.SIGTERM), said
    assert "Traceback" not in said
    with start(tmp_path / "run", slow_endpoint, **{"num-instructions": 3}) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_status_and_export_work_while_a_run_writes(tmp_path: Path, slow_endpoint: Endpoint) -> None:
    directory = tmp_path / "run"
    with start(directory, slow_endpoint) as process:
        wait_for_first_request(process, slow_endpoint)
        time.sleep(0.5)
        done = subprocess.run(
            [sys.executable, "-m", "selfinstruct", "status", str(directory), "--json"],
            capture_output=True,
            text=True,
        )
        export(directory)
        still_running = process.poll() is None
        process.kill()
    assert still_running
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["condition"], status["pid"]) == ("running", process.pid)
    assert status["candidates"] == status["accepted"] + sum(status["rejected"].values())


def test_the_same_dataset_at_any_concurrency_over_the_network(
    tmp_path: Path, slow_endpoint: Endpoint
) -> None:
    exports = set()
    for concurrency in (1, 8, 64):
        directory = tmp_path / f"run-{concurrency}"
        changes = {"num-instructions": 25, "max-concurrency": concurrency}
        with start(directory, slow_endpoint, **changes) as process:
            _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        exports.add(export(directory))
    assert len(exports) == 1
