"""One writer for a run: an advisory lock on `run.lock`, which also names the holder.

The operating system releases the lock when the holder ends, however it ends, so a crash leaves no stale lock.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfinstruct.errors import RunLockedError

LOCK_FILE = "run.lock"

# `holder` takes a shared lock for an instant; a writer that starts at that instant tries again.
_TRIES = 5
_PAUSE_S = 0.05


@contextmanager
def locked(directory: Path, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the run's lock. Raises RunLockedError with the holder's process id, and OSError."""
    fd = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise RunLockedError(directory, _pid(fd)) from None
                sleep(_PAUSE_S)
        _write(fd, f"{os.getpid()}\n")
        try:
            yield
        finally:
            _write(fd, "")
    finally:
        os.close(fd)


def _write(fd: int, text: str) -> None:
    """Say who holds the lock. It holds without a word: a full disk is for others to complain about."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)


def holder(directory: Path) -> int | None:
    """Process id of the run's writer; None where nobody writes."""
    try:
        fd = os.open(directory / LOCK_FILE, os.O_RDONLY)
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
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
