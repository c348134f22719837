"""The journal: an append-only log of events, one JSON object per line (selfinstruct.runner.journal_line).

`append` returns once the bytes are written and, unless the caller puts that off to `sync`, on the disk; one
sync covers a whole call. A failed write or sync ends the run: what is on the disk is then unknown, and the
file must be read again.

Every reader checks every line:

- A last line that has no newline, or is not JSON, is a write that was cut. `Journal.replay` moves the line
  to `<name>.torn` and counts its bytes in `set_aside`.
- Any other line that is not JSON, or has a wrong checksum or number, was changed after it was written. That
  is an error with line and byte, and the file stays as it is: cutting the line off would lose a paid reply.
- A line with the right checksum that this version does not understand is an error of its own: a later version
  of selfinstruct wrote the line, or somebody edited it and computed the checksum again.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Self

from selfinstruct.errors import JournalCorruptError, JournalError, NewerJournalError
from selfinstruct.events import Event
from selfinstruct.files import because, open_regular, sync_directory
from selfinstruct.runner.journal_line import Entry, TornLineError, UnknownLineError, decode, encode


@dataclass(slots=True)
class _Scan:
    """Where reading got to."""

    entries: int = 0
    end: int = 0
    """Bytes of good lines."""


def _scan(path: Path, scan: _Scan) -> Iterator[Entry]:
    """Yield the good entries up to a torn last line. Raises JournalCorruptError for any other bad one."""

    def corrupt(problem: str) -> JournalCorruptError:
        line = scan.entries + 1
        return JournalCorruptError(path, line=line, offset=scan.end, problem=problem)

    torn: str | None = None
    try:
        with open(path, "rb", opener=open_regular) as file:
            for line in file:
                if torn is not None:
                    raise corrupt(torn)
                if not line.endswith(b"\n"):
                    return  # the end: of a write that was cut, or of one that is going on just now
                try:
                    entry = decode(line, seq=scan.entries + 1)
                except UnknownLineError as error:
                    raise _of_another_version(path, scan.entries + 1, str(error)) from None
                except TornLineError as error:
                    torn = str(error)
                    continue
                except ValueError as error:
                    raise corrupt(str(error)) from None
                scan.entries += 1
                scan.end += len(line)
                yield entry
    except FileNotFoundError:
        return  # of a run that has not begun: nothing has happened yet
    except IsADirectoryError:
        raise JournalError(path, "is a directory; restore the file from a copy") from None
    except OSError as error:
        raise JournalError(path, f"cannot be read {because(error)}") from error


def _of_another_version(path: Path, line: int, problem: str) -> NewerJournalError:
    """Say where a line comes from that this version cannot understand."""
    writer = later_writer(path)
    if writer:
        problem = (
            f"was written by selfinstruct {writer}, which is newer than the one that reads it; nothing was "
            "changed. Type the same command with that version, or with a later one."
        )
    else:
        problem += (
            ": a later one wrote it, or it was edited; nothing was changed. Type the same command with the "
            "version that made the run, or restore the file from a copy."
        )
    return NewerJournalError(path, f"line {line} {problem}")


def later_writer(path: Path) -> str:
    """The version of selfinstruct that wrote to a journal last, where it is later than this one; else ""."""
    writer = ""
    with suppress(OSError), open(path, "rb", opener=open_regular) as file:
        for line in file:
            if b'"run_started"' in line[:_KIND_ENDS]:
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    writer = str(json.loads(line)["versions"]["selfinstruct"])
    try:
        is_later = _parts(writer) > _parts(version("selfinstruct"))
    except PackageNotFoundError:  # used from its folder, without an installation
        return ""
    return writer[:_KIND_ENDS] if is_later else ""


_KIND_ENDS = 100
"""The first bytes of a line, which hold its kind."""


def _parts(name: str) -> tuple[int, ...]:
    """The numbers that a version begins with: "1.10.2rc1" → (1, 10, 2)."""
    numbers = re.match(r"\d{1,9}(?:\.\d{1,9}){0,5}", name, re.ASCII)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def read_journal(path: Path) -> Iterator[Entry]:
    """Read a journal without touching it, also while a run writes it."""
    return _scan(path, _Scan())


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """A journal open for writing. Replay it, then append; the caller holds the lock of the run."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.path = path
        self._now = now
        self._scan = _Scan()
        self._fd: int | None = None
        self._is_synced = True
        self.heard: Callable[[Event], None] = lambda _: None
        """Told of every event that was appended."""
        self.set_aside = 0
        """Bytes of a torn last line that were set aside on opening."""

    def replay(self) -> Iterator[Entry]:
        """Yield what is there; at its end the journal has been repaired and is open for appending."""
        yield from _scan(self.path, self._scan)
        self._open()

    def _open(self) -> None:
        try:
            is_new = not self.path.exists()
            self._fd = open_regular(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            size = os.fstat(self._fd).st_size
            if size > self._scan.end:
                self._set_torn_tail_aside(self._fd, size)
            if is_new:
                sync_directory(self.path.parent)
        except OSError as error:
            raise JournalError(self.path, f"cannot be opened {because(error)}") from error

    def _set_torn_tail_aside(self, fd: int, size: int) -> None:
        self.set_aside = size - self._scan.end
        tail = os.pread(fd, self.set_aside, self._scan.end)
        torn = self.path.with_name(f"{self.path.name}.torn")
        with open(torn, "ab", opener=open_regular) as file:
            file.write(tail.rstrip(b"\n") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(fd, self._scan.end)
        os.fsync(fd)

    def append(self, *events: Event, durable: bool = True) -> None:
        """Append events in order, in one write and one sync.

        With `durable=False` the sync is left to `sync` or to the next durable append: enough for decisions,
        which follow from what is durable already. Raises JournalError; the journal is unusable afterwards.
        """
        at = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        first = self._scan.entries + 1
        data = b"".join(encode(seq, at, event) for seq, event in enumerate(events, start=first))
        with self._writing() as fd:
            self._is_synced = False
            _write_all(fd, data)
        self._scan.entries += len(events)
        if durable:
            self.sync()
        for event in events:
            self.heard(event)

    def sync(self) -> None:
        """Make everything appended durable. Raises JournalError, as `append` does."""
        with self._writing() as fd:
            if not self._is_synced:
                os.fsync(fd)
                self._is_synced = True

    @contextmanager
    def _writing(self) -> Iterator[int]:
        if self._fd is None:
            raise JournalError(self.path, "is not open for writing")
        try:
            yield self._fd
        except OSError as error:
            self.close()
            raise JournalError(self.path, f"cannot be written {because(error)}") from error

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
