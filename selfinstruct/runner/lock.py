"""Ensures that only one process writes to a run, with an advisory lock on the file `run.lock`.

The file contains the id of the process that holds the lock. The operating system releases the lock when the
process ends, so a crash leaves no stale lock.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfinstruct.errors import RunDirectoryError, RunLockedError
from selfinstruct.files import open_regular
from selfinstruct.runner.run_file_names import LOCK, system_error

# `holder` takes a shared lock for a moment, so a writer tries several times.
_ATTEMPTS = 5
_PAUSE_S = 0.05

_MAX_BYTES = 32
"""Maximum size of a lock file, which contains only a process id, in bytes."""


@contextmanager
def locked(directory: Path, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold a run's lock within the `with` block. Create the run's directory if necessary.

    Raises RunLockedError if another process holds the lock, and RunDirectoryError if the directory or the
    lock file cannot be used.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise system_error(directory, "made", error) from None
    try:
        fd = open_regular(directory / LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise system_error(directory, "written", error) from None
    try:
        try:
            _acquire(fd, directory, sleep)
            is_lock_file = _is_lock_file(fd)
        except OSError as error:
            raise system_error(directory, "locked", error) from None
        if not is_lock_file:
            problem = (
                f"{LOCK} contains something other than a process id; move it to another directory"
            )
            raise RunDirectoryError(directory, problem)
        _write(fd, f"{os.getpid()}\n")
        try:
            yield
        finally:
            _write(fd, "")
    finally:
        os.close(fd)


def _acquire(fd: int, directory: Path, sleep: Callable[[float], None]) -> None:
    for left in reversed(range(_ATTEMPTS)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise RunLockedError(directory, _pid(fd)) from None
            sleep(_PAUSE_S)
        else:
            return


def _is_lock_file(fd: int) -> bool:
    """Return whether the file is empty or contains a process id. A power failure may leave NUL characters."""
    text = os.pread(fd, _MAX_BYTES, 0).strip(b"\0\n")
    return os.fstat(fd).st_size <= _MAX_BYTES and (not text or text.isdigit())


def _write(fd: int, text: str) -> None:
    """Replace the file's text. Errors such as a full disk are ignored, because the lock works without it."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)


def holder(directory: Path) -> int | None:
    """Return the id of the process that writes to a run; None if there is none or its id is unknown."""
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
    text = os.pread(fd, _MAX_BYTES, 0).strip()
    return int(text) if text.isdigit() else None
