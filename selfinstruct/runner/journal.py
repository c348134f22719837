"""A journal: an append-only log of events, one JSON object per line (selfinstruct.runner.journal_line).

`append` returns once the events are on disk. With `durable=False`, they are on disk after the next `sync`.
One sync covers all events of a call. If a write or sync fails, the run ends, because it is then unknown what
is on disk, and the file must be read again.

Every reader checks every line:

- If the last line has no newline or is not JSON, the write was incomplete. `Journal.replay` moves the line to
  `<name>.torn` and counts its bytes in `torn_bytes`.
- If any other line is not JSON, or has a wrong checksum or number, it was changed after it was written. The
  error states the line and byte. The file is not changed, because truncating it would lose a paid reply.
- If a line's checksum is correct but this version does not understand the line, the error is a different one.
  Either a later version of selfinstruct wrote the line, or someone edited it and recomputed its checksum.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Generic, Self

from selfinstruct.errors import JournalCorruptError, JournalError, NewerJournalError
from selfinstruct.files import because, open_regular, sync_directory
from selfinstruct.journal_events import Event
from selfinstruct.runner.journal_line import (
    E,
    Entry,
    Events,
    TornLineError,
    UnknownLineError,
    decode,
    encode,
)
from selfinstruct.runner.run_events import run_events

_HEAD_BYTES = 100
"""Number of bytes at the start of a line that are searched for its event's kind."""
_LONGEST_VERSION = 100
"""Maximum number of characters of a version to show in an error message."""


def _scan(path: Path, events: "Events[E]") -> Iterator[tuple[Entry[E], int]]:
    """Yield each entry with the byte offset of its end in the file. An incomplete last line is left out.

    Raises JournalCorruptError if any other line is invalid.
    """
    number, end = 1, 0

    def corrupt(problem: str) -> JournalCorruptError:
        return JournalCorruptError(path, line=number, offset=end, problem=problem)

    torn: str | None = None
    try:
        with open(path, "rb", opener=open_regular) as file:
            for line in file:
                if torn is not None:
                    raise corrupt(torn)
                if not line.endswith(b"\n"):
                    return  # an incomplete write, or one that another process has not finished yet
                try:
                    entry = decode(line, events, seq=number)
                except UnknownLineError as error:
                    raise _of_another_version(path, number, str(error)) from None
                except TornLineError as error:
                    torn = str(error)
                    continue
                except ValueError as error:
                    raise corrupt(str(error)) from None
                number += 1
                end += len(line)
                yield entry, end
    except FileNotFoundError:
        return  # the run has not started yet
    except IsADirectoryError:
        raise JournalError(path, "is a directory; restore the file from a copy") from None
    except OSError as error:
        raise JournalError(path, f"cannot be read {because(error)}") from error


def _of_another_version(path: Path, line: int, problem: str) -> NewerJournalError:
    """Return the error for a line that this version does not understand."""
    writer = later_writer(path)
    if writer:
        problem = (
            f"was written by selfinstruct {writer}, which is newer than this version; nothing was changed. "
            "Run the same command with that version or a later one."
        )
    else:
        problem += (
            ": a later version wrote it, or it was edited; nothing was changed. Run the same command with "
            "the version that created the run, or restore the file from a copy."
        )
    return NewerJournalError(path, f"line {line} {problem}")


def later_writer(path: Path) -> str:
    """Return the version that last wrote to a journal if it is later than this version, otherwise ""."""
    writer = ""
    with suppress(OSError), open(path, "rb", opener=open_regular) as file:
        for line in file:
            if b'"run_started"' in line[:_HEAD_BYTES]:
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    writer = str(json.loads(line)["versions"]["selfinstruct"])
    try:
        is_later = _parts(writer) > _parts(version("selfinstruct"))
    except PackageNotFoundError:  # selfinstruct is not installed
        return ""
    return writer[:_LONGEST_VERSION] if is_later else ""


def _parts(name: str) -> tuple[int, ...]:
    """Return a version's leading numbers: "1.10.2rc1" → (1, 10, 2)."""
    numbers = re.match(r"\d{1,9}(?:\.\d{1,9}){0,5}", name, re.ASCII)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def read_journal(path: Path) -> Iterator[Entry[Event]]:
    """Read a run's journal without changing it. Another process may be writing to it."""
    return (entry for entry, _ in _scan(path, run_events))


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Journal(Generic[E]):
    """A journal that is open for writing. Call `replay` first. The caller must hold the directory's lock."""

    def __init__(
        self, path: Path, events: "Events[E]", *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self.path = path
        self._events = events
        self._now = now
        self._entries = 0
        self._end = 0
        """Total size of the valid lines, in bytes."""
        self._fd: int | None = None
        self._is_synced = True
        self.torn_bytes = 0
        """Size of the incomplete last line that `replay` removed, in bytes."""

    def replay(self) -> Iterator[Entry[E]]:
        """Yield the existing entries, then repair the journal and open it for appending."""
        for entry, end in _scan(self.path, self._events):
            self._entries, self._end = entry.seq, end
            yield entry
        self._open()

    def _open(self) -> None:
        try:
            is_new = not self.path.exists()
            self._fd = open_regular(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            size = os.fstat(self._fd).st_size
            if size > self._end:
                self._remove_torn_line(self._fd, size)
            if is_new:
                sync_directory(self.path.parent)
        except OSError as error:
            raise JournalError(self.path, f"cannot be opened {because(error)}") from error

    def _remove_torn_line(self, fd: int, size: int) -> None:
        self.torn_bytes = size - self._end
        tail = os.pread(fd, self.torn_bytes, self._end)
        torn = self.path.with_name(f"{self.path.name}.torn")
        with open(torn, "ab", opener=open_regular) as file:
            file.write(tail.rstrip(b"\n") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(fd, self._end)
        os.fsync(fd)

    def append(self, *events: E, durable: bool = True) -> None:
        """Append events in the given order, with one write and one sync.

        With `durable=False`, the events become durable with the next `sync` or durable append. That is enough
        for decisions, because they can be repeated from durable events. Raises JournalError if writing fails;
        the journal cannot be used afterwards.
        """
        at = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        first = self._entries + 1
        data = b"".join(encode(n, at, e, self._events) for n, e in enumerate(events, start=first))
        with self._writing() as fd:
            self._is_synced = False
            _write_all(fd, data)
        self._entries += len(events)
        if durable:
            self.sync()

    def sync(self) -> None:
        """Make all appended events durable. Raises JournalError, like `append`."""
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
        """Close the file. A second call does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
