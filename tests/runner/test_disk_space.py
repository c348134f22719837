"""Test that a run warns about a small disk before it starts, and stops before the disk is full."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from selfinstruct import cli
from selfinstruct.display import byte_size
from selfinstruct.journal_events import CompletionReceived
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.disk_space import LEAST_FREE, DiskWatch, free_bytes, warning
from selfinstruct.runner.journal import read_journal
from selfinstruct.simulate.server.listening import SimulatedEndpoint

HERE = Path("my-run")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Usage(NamedTuple):
    """The result of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


class Disk:
    """A fake disk that reports a fixed number of free bytes, and counts how often it is asked."""

    def __init__(self, free: int | None) -> None:
        self.free = free
        self.checks = 0

    def __call__(self, _: Path) -> int | None:
        self.checks += 1
        return self.free


def test_free_space_is_checked_every_few_seconds() -> None:
    clock, disk = [0.0], Disk(LEAST_FREE)
    watch = DiskWatch(HERE, max_concurrency=1, free=disk, now=lambda: clock[0])
    for _ in range(100):
        assert watch.problem() is None
    assert disk.checks == 1
    clock[0] = 6.0
    assert watch.problem() is None
    assert disk.checks == 2


def test_a_nearly_full_disk_is_reported() -> None:
    clock, disk = [0.0], Disk(LEAST_FREE)
    watch = DiskWatch(HERE, max_concurrency=32, free=disk, now=lambda: clock[0])
    assert watch.problem() is None
    disk.free = 12_345_678
    assert watch.problem() is None  # the disk is not checked again yet
    clock[0] = 6.0
    message = watch.problem()
    assert message is not None
    assert message.startswith(
        "only 12 MB free on the run's disk, but storing the replies in flight needs 64 MB"
    )
    # The problem is still reported, because the run is already stopping.
    clock[0], disk.free = 60.0, 10 * LEAST_FREE
    assert watch.problem() == message == watch.shortage


def test_more_requests_in_flight_need_more_space() -> None:
    disk = Disk(LEAST_FREE + 1)
    assert DiskWatch(HERE, max_concurrency=250, free=disk).problem() is None
    message = DiskWatch(HERE, max_concurrency=1000, free=disk).problem()
    assert message is not None
    assert "needs 256 MB" in message


def test_unknown_free_space_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DiskWatch(HERE, max_concurrency=1, free=Disk(None)).problem() is None
    assert warning(HERE, missing=10**9, accepted=0, journal=0, free=Disk(None)) is None
    assert free_bytes(tmp_path / "gone") is None
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    assert free_bytes(tmp_path) is None


def test_a_new_run_needs_3600_bytes_per_instruction() -> None:
    fits = 50_000 * 3_600 + LEAST_FREE
    assert warning(HERE, missing=50_000, accepted=0, journal=0, free=Disk(fits)) is None
    message = warning(HERE, missing=50_000, accepted=0, journal=0, free=Disk(fits - 1))
    assert message is not None
    assert message.startswith(
        "my-run: the rest of the run needs about 180 MB, and the disk has 244 MB free"
    )
    # Two instructions are too few for an estimate from the journal's size.
    assert warning(HERE, missing=50_000, accepted=2, journal=10**6, free=Disk(fits)) is None


def test_a_continued_run_needs_its_measured_bytes() -> None:
    room = Disk(10_000 * 20_000 + LEAST_FREE)
    assert warning(HERE, missing=10_000, accepted=100, journal=2_000_000, free=room) is None
    assert warning(HERE, missing=10_000, accepted=100, journal=2_100_000, free=room) is not None


def test_sizes_use_decimal_units() -> None:
    assert [byte_size(n) for n in (0, 12_345, 61_400_000, 1_540_000_000)] == [
        "0 KB", "12 KB", "61 MB", "1.5 GB",
    ]  # fmt: skip


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run `selfinstruct run …` in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["selfinstruct", "run", *map(str, arguments)])
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with pytest.raises(SystemExit) as left:
            cli.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return left.value.code


def test_a_run_stops_before_the_disk_is_full(
    tmp_path: Path,
    endpoint: SimulatedEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory, log = tmp_path / "run", tmp_path / "night.jsonl"
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 40, "--max-concurrency", 4]
    checks = []

    def disk_usage(_: Path) -> Usage:
        checks.append(1)
        # At first there is too little space for the whole run. From the third check on, no request fits.
        return Usage(10**9, 0, LEAST_FREE + 1 if len(checks) < 3 else 5_000_000)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", disk_usage)
        patch.setattr("selfinstruct.runner.disk_space._CHECK_EVERY_S", 0.0)
        code = run("-o", directory, *flags, "--log-file", log, monkeypatch=monkeypatch)
        message = capsys.readouterr().err
        assert code == 1
        assert "the rest of the run needs about 144 KB, and the disk has 64 MB free" in message
        assert f"selfinstruct: {directory}: only 5 MB free on the run's disk" in message
        assert message.splitlines()[-1].startswith(f"selfinstruct: {directory} stopped (failed): ")
        assert message.endswith(f"To continue: selfinstruct run {directory}\n")
        # The replies to the requests in flight were journaled.
        received = [
            entry.event.request_id
            for entry in read_journal(directory / "journal.jsonl")
            if isinstance(entry.event, CompletionReceived)
        ]
        assert 1 <= len(received) <= 4
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert events == ["disk_may_be_too_small", "run_started", "finished"]

        # The disk is still nearly full, so no request is sent.
        assert run(directory, monkeypatch=monkeypatch) == 1
        assert "only 5 MB free" in capsys.readouterr().err
        assert read_run(directory).state.counts.requests.total() == len(received)
    assert run(directory, monkeypatch=monkeypatch) == 0
    assert read_run(directory).state.accepted >= 40
