"""If the disk fails at any point, nothing that was reported as stored is lost."""

import errno
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bad_input import NEW, Typed, everything
from support import ScriptedBackend
from waiting import PATIENCE_S

from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.api import export_run, run
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.export.export_options import ExportOptions
from selfinstruct.dataset.export.writing import writing
from selfinstruct.dataset.rows import provenance_rows, select
from selfinstruct.errors import SelfInstructError
from selfinstruct.journal_events import Committed, Outcome
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal


class Disk:
    """Counts disk operations. Operation `first` fails; if `for_good`, all later operations fail too."""

    def __init__(self, number: int, *, first: int | None = None, for_good: bool = False) -> None:
        self.done = 0
        self._number = number
        self._first = first
        self._for_good = for_good

    def touch(self, *_: object) -> None:
        self.done += 1
        if self._first is None or self.done < self._first:
            return
        if self._for_good or self.done == self._first:
            raise OSError(self._number, os.strerror(self._number))

    @contextmanager
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator["Disk"]:
        """Intercept every write, sync, file creation and renaming in this process."""
        disk = self
        real_open, real_fdopen = os.open, os.fdopen

        def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_CREAT:
                disk.touch()
            return real_open(path, flags, *rest, **more)

        class File(io.BufferedWriter):
            def write(self, data: Any) -> int:
                disk.touch()
                return super().write(data)

        def fdopened(fd: int, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if mode == "wb":
                return File(io.FileIO(fd, "w"))
            return real_fdopen(fd, mode, *rest, **more)

        def watched(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                disk.touch()
                return real(*arguments, **more)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", opened)
            patch.setattr(os, "fdopen", fdopened)
            for name in ("write", "pwrite", "fsync", "replace", "mkdir", "ftruncate"):
                patch.setattr(os, name, watched(getattr(os, name)))
            yield disk


@pytest.fixture
def small(seeds_file: Path) -> RunConfig:
    """Carry out a run with a few replies."""
    return RunConfig(model="scripted", num_instructions=3, seed_tasks=seeds_file)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_failing_disk_loses_no_acknowledged_reply(
    tmp_path: Path,
    small: RunConfig,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    thorough: bool,
) -> None:
    """This covers all writes, syncs and renamings: lock, templates, seed tasks, settings and journal."""
    with Disk(number).in_use(monkeypatch) as disk:
        run(tmp_path / "whole", small, backend=ScriptedBackend())
    export_run(tmp_path / "whole", tmp_path / "whole.json")
    expected = (tmp_path / "whole.json").read_bytes()
    points = range(1, disk.done + 1)
    assert len(points) > 50
    tried = points if thorough else points[::5]
    failures: list[SelfInstructError] = []
    for first in tried:
        directory = tmp_path / f"failed-{first}"
        try:
            with Disk(number, first=first, for_good=number == errno.ENOSPC).in_use(monkeypatch):
                run(directory, small, backend=ScriptedBackend())
        except SelfInstructError as error:
            failures.append(error)
        kept = {
            entry.event.request_id
            for entry in read_journal(directory / "journal.jsonl")
            if isinstance(entry.event, Outcome)
        }
        assert not list(directory.rglob("*.tmp"))
        again = ScriptedBackend()
        run(directory, small, backend=again)
        assert not kept & set(again.asked)
        export_run(directory, tmp_path / "out.json")
        assert (tmp_path / "out.json").read_bytes() == expected
        shutil.rmtree(directory)
    assert len(failures) > 0.9 * len(tried) - 2  # the process id in the lock file may be missing
    for failure in failures:
        assert failure.exit_code == 1
        assert str(failure).startswith(str(tmp_path / "failed-"))
        assert f"({os.strerror(number)}); " in str(failure)
        assert str(failure).endswith("then run the same command again")


def test_a_failed_refilter_can_be_repeated(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "run"
    run(source, small, backend=ScriptedBackend())
    before = everything(source)
    with Disk(errno.ENOSPC).in_use(monkeypatch) as disk:
        refilter_run(source, tmp_path / "whole", {})
    failures = 0
    for first in range(1, disk.done + 1, 3):
        new = tmp_path / f"failed-{first}"
        with (
            Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
            suppress(SelfInstructError),
        ):
            refilter_run(source, new, {})
        failures += not (new / "config.yaml").exists()
        if not (new / "config.yaml").exists():
            refilter_run(source, new, {})
        assert read_run(new).state.accepted == read_run(source).state.accepted
        assert not list(new.rglob("*.tmp"))
    assert failures > 5
    assert everything(source) == before


def test_failed_replacement_keeps_the_old_settings(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a reply was paid for, a run accepts other settings, but it must not store only some of them."""
    with open_run(tmp_path / "run", small):
        pass
    for first in range(1, 12):  # until all new files are on the disk and renamed
        with (
            Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
            pytest.raises(SelfInstructError, match="make room") as caught,
            open_run(tmp_path / "run", {"recipe": "alpaca"}),
        ):
            pass
        assert caught.value.exit_code == 1
        assert read_run(tmp_path / "run").config.recipe == "self-instruct"
        assert not list((tmp_path / "run").rglob("*.tmp"))
    with open_run(tmp_path / "run", {"recipe": "alpaca"}) as opened:
        assert opened.config.recipe == "alpaca"


def test_a_failed_repair_loses_no_line(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "run", small, backend=ScriptedBackend())
    path = tmp_path / "run/journal.jsonl"
    whole, torn = path.read_bytes(), b'{"seq":99,"at":"2026'
    path.write_bytes(whole + torn)
    failures = 0
    for first in range(4, 99):  # the operations after the lock was taken
        try:
            with (
                Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
                open_run(tmp_path / "run"),
            ):
                break
        except SelfInstructError:
            failures += 1
            kept = path.with_name("journal.jsonl.torn")
            assert path.read_bytes() == whole + torn or torn in kept.read_bytes()
            assert path.read_bytes().startswith(whole)
    assert failures >= 4
    with open_run(tmp_path / "run"):
        assert path.read_bytes() == whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_failed_export_keeps_the_old_file(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run(tmp_path / "run", small, backend=ScriptedBackend())
    rows = [*provenance_rows(select(read_run(tmp_path / "run").state.pool))]
    target = tmp_path / "out" / "data.json"
    target.parent.mkdir()

    def write() -> None:
        target.write_bytes(b"old")
        with writing(target, ExportOptions()) as export:
            export.write(rows)

    with Disk(number).in_use(monkeypatch) as disk:
        write()
    data = target.read_bytes()
    assert disk.done >= 4
    for first in range(1, disk.done + 1):
        with (
            Disk(number, first=first).in_use(monkeypatch),
            pytest.raises(SelfInstructError, match=re.escape(os.strerror(number))) as caught,
        ):
            write()
        assert caught.value.exit_code == 1
        assert str(caught.value).startswith(str(target))
        # The last operation is the sync of the directory, when the new file already has its final name.
        assert target.read_bytes() == (data if first == disk.done else b"old")
        assert [path.name for path in target.parent.iterdir()] == ["data.json"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "choose a place that is writable"),
        (errno.EACCES, "change its permissions, or choose another place"),
    ],
)
def test_an_unwritable_directory_is_named(
    here: Path,
    finished: Path,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    remedy: str,
) -> None:
    before = everything(here)
    for arguments, name in (
        ((*NEW, "--seed-tasks", "seeds.jsonl"), "new: cannot be made"),
        (("run", finished, "-n", "99"), "run: cannot be written"),
    ):
        with Disk(number, first=1, for_good=True).in_use(monkeypatch):
            ended = typed(*arguments)
        assert ended.code == 2
        assert ended.sentence == f"{name} ({os.strerror(number)}); {remedy}"
        assert everything(here) == before
    assert typed("status", finished).code == 0


def with_little_room(size: int) -> Callable[[], None]:
    """Return a function for a child process that makes writes beyond a file size fail, without a signal."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_file_size_limit_stops_the_run(
    here: Path,
) -> None:
    code = (
        "import sys; from support import ScriptedBackend; from selfinstruct import run\n"
        "from selfinstruct.errors import SelfInstructError\n"
        "try: run('new', {'model': 'm', 'num_instructions': 9, 'seed_tasks': 'seeds.jsonl'}, "
        "backend=ScriptedBackend())\n"
        "except SelfInstructError as error: print(error, file=sys.stderr); sys.exit(error.exit_code)"
    )
    where = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = []
    for size in (1_000, 9_000, None):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(where)},
            preexec_fn=with_little_room(size) if size else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        ended.append((done.returncode, done.stderr.strip()))
    remedy = "(File too large); raise the file size limit (ulimit -f), then run the same command"
    assert [code for code, _ in ended] == [1, 1, 0]
    assert ended[0][1].startswith(f"new: cannot be written {remedy}")
    assert ended[1][1].startswith(f"new/journal.jsonl: cannot be written {remedy}")
    commits = [
        e for e in read_journal(here / "new/journal.jsonl") if isinstance(e.event, Committed)
    ]
    assert [e.event.number for e in commits if isinstance(e.event, Committed)] == list(
        range(1, len(commits) + 1)
    )
