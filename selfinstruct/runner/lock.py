"""One writer for a run: an advisory lock on `run.lock`, which also names the holder.

The operating system releases the lock when the holder ends, however it ends, so a crash leaves no stale lock.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfinstruct.errors import RunDirectoryError, RunLockedError
from selfinstruct.files import open_regular
from selfinstruct.runner.run_files import LOCK

# `holder` takes a shared lock for an instant; a writer that starts at that instant tries again.
_TRIES = 5
_PAUSE_S = 0.05

_LARGEST = 32
"""Bytes of a file that holds a process id."""


@contextmanager
def locked(directory: Path, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the run's lock. Raises RunLockedError with the holder's process id, RunDirectoryError, OSError."""
    fd = open_regular(directory / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise RunLockedError(directory, _pid(fd)) from None
                sleep(_PAUSE_S)
        if not _may_be_replaced(fd):
            problem = f"{LOCK} holds something other than a process id; move it to another folder"
            raise RunDirectoryError(directory, problem)
        _write(fd, f"{os.getpid()}\n")
        try:
            yield
        finally:
            _write(fd, "")
    finally:
        os.close(fd)


def _may_be_replaced(fd: int) -> bool:
    """Return whether the file is empty or names a process; a power failure may leave NUL characters."""
    text = os.pread(fd, _LARGEST, 0).strip(b"\0\n")
    return os.fstat(fd).st_size <= _LARGEST and (not text or text.isdigit())


def _write(fd: int, text: str) -> None:
    """Say who holds the lock. It holds without a word: a full disk is for others to complain about."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)


def holder(directory: Path) -> int | None:
    """Process id of the run's writer; None where nobody writes."""
    try:
        fd = open_regular(directory / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid(fd)
    else:
        return None
    finally:
        os.close(fd)


def _pid(fd: int) -> int | None:
    text = os.pread(fd, _LARGEST, 0).strip()
    return int(text) if text.isdigit() else None
