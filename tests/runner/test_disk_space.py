"""Room on the disk: a run says before it starts that there is too little, and stops before it is full."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from selfinstruct import cli
from selfinstruct.events import CompletionReceived
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.disk_space import LEAST_FREE, DiskWatch, free_bytes, size, warning
from selfinstruct.runner.journal import read_journal
from selfinstruct.simulate.server.listening import SimulatedEndpoint

HERE = Path("my-run")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Usage(NamedTuple):
    """As `shutil.disk_usage` gives it."""

    total: int
    used: int
    free: int


class Disk:
    """Free bytes, and how often somebody looked."""

    def __init__(self, free: int | None) -> None:
        self.free = free
        self.looked = 0

    def __call__(self, _: Path) -> int | None:
        self.looked += 1
        return self.free


def test_a_disk_with_room_is_looked_at_every_few_seconds_only() -> None:
    clock, disk = [0.0], Disk(LEAST_FREE)
    watch = DiskWatch(HERE, max_concurrency=1, free=disk, now=lambda: clock[0])
    for _ in range(100):
        assert watch.problem() is None
    assert disk.looked == 1
    clock[0] = 6.0
    assert watch.problem() is None
    assert disk.looked == 2


def test_a_disk_that_is_nearly_full_is_told_with_what_is_free_and_what_is_needed() -> None:
    clock, disk = [0.0], Disk(LEAST_FREE)
    watch = DiskWatch(HERE, max_concurrency=32, free=disk, now=lambda: clock[0])
    assert watch.problem() is None
    disk.free = 12_345_678
    assert watch.problem() is None  # not looked at again yet
    clock[0] = 6.0
    said = watch.problem()
    assert said is not None
    assert said.startswith("only 12 MB are free on its disk, and a run needs 64 MB")
    # It stays so: the run is being stopped for it.
    clock[0], disk.free = 60.0, 10 * LEAST_FREE
    assert watch.problem() == said == watch.found


def test_more_requests_in_flight_need_more_room() -> None:
    disk = Disk(LEAST_FREE + 1)
    assert DiskWatch(HERE, max_concurrency=250, free=disk).problem() is None
    said = DiskWatch(HERE, max_concurrency=1000, free=disk).problem()
    assert said is not None
    assert "needs 256 MB" in said


def test_a_file_system_that_does_not_tell_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DiskWatch(HERE, max_concurrency=1, free=Disk(None)).problem() is None
    assert warning(HERE, missing=10**9, accepted=0, journal=0, free=Disk(None)) is None
    assert free_bytes(tmp_path / "gone") is None
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    assert free_bytes(tmp_path) is None


def test_the_journal_of_a_new_run_is_reckoned_with_3600_bytes_an_instruction() -> None:
    fits = 50_000 * 3_600 + LEAST_FREE
    assert warning(HERE, missing=50_000, accepted=0, journal=0, free=Disk(fits)) is None
    said = warning(HERE, missing=50_000, accepted=0, journal=0, free=Disk(fits - 1))
    assert said is not None
    assert said.startswith("my-run: the rest of the run will probably write 180 MB, and 244 MB are")
    # A few say little about the rest.
    assert warning(HERE, missing=50_000, accepted=2, journal=10**6, free=Disk(fits)) is None


def test_a_run_that_goes_on_is_reckoned_with_its_own_bytes() -> None:
    room = Disk(10_000 * 20_000 + LEAST_FREE)
    assert warning(HERE, missing=10_000, accepted=100, journal=2_000_000, free=room) is None
    assert warning(HERE, missing=10_000, accepted=100, journal=2_100_000, free=room) is not None


def test_sizes_are_said_in_units_of_a_thousand() -> None:
    assert [size(n) for n in (0, 12_345, 61_400_000, 1_540_000_000)] == [
        "0 KB", "12 KB", "61 MB", "1.5 GB",
    ]  # fmt: skip


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """Type `selfinstruct run …` in this process; gives the exit code."""
    monkeypatch.setattr(sys, "argv", ["selfinstruct", "run", *map(str, arguments)])
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with pytest.raises(SystemExit) as left:
            cli.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return left.value.code


def test_a_run_stops_in_good_order_before_the_disk_is_full_and_goes_on_when_there_is_room(
    tmp_path: Path,
    endpoint: SimulatedEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory, log = tmp_path / "run", tmp_path / "night.jsonl"
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 40, "--max-concurrency", 4]
    looks = []

    def disk_usage(_: Path) -> Usage:
        looks.append(1)
        # Too little for the whole run from the beginning; and at the third look, for anything.
        return Usage(10**9, 0, LEAST_FREE + 1 if len(looks) < 3 else 5_000_000)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", disk_usage)
        patch.setattr("selfinstruct.runner.disk_space._LOOKED_EVERY_S", 0.0)
        code = run("-o", directory, *flags, "--log-file", log, monkeypatch=monkeypatch)
        said = capsys.readouterr().err
        assert code == 1
        assert "the rest of the run will probably write 144 KB, and 64 MB are free" in said
        assert f"selfinstruct: {directory}: only 5 MB are free on its disk" in said
        assert said.splitlines()[-1].startswith(f"selfinstruct: {directory} stopped (failed): ")
        assert said.endswith(f"To continue: selfinstruct run {directory}\n")
        # What was in flight has landed.
        received = [
            entry.event.request_id
            for entry in read_journal(directory / "journal.jsonl")
            if isinstance(entry.event, CompletionReceived)
        ]
        assert 1 <= len(received) <= 4
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert events == ["disk_may_be_too_small", "run_started", "finished"]

        # Still full: nothing is asked at all.
        assert run(directory, monkeypatch=monkeypatch) == 1
        assert "only 5 MB are free" in capsys.readouterr().err
        assert read_run(directory).state.counts.requests.total() == len(received)
    assert run(directory, monkeypatch=monkeypatch) == 0
    assert read_run(directory).state.accepted >= 40
