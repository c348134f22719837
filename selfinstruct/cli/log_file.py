"""The log of a run as JSON lines, for programs and for the morning after: `--log-file`.

    {"at":"2026-01-31T23:59:59.000000Z","level":"info","event":"progress","accepted":812,"candidates":1043, …}

What is said is `run_log`'s business. It goes to the logger "selfinstruct" of the standard library, as a
message (the event) with `extra={"members": {…}}`, so that other handlers get it too.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from selfinstruct.cli.terminal import say
from selfinstruct.errors import InputError
from selfinstruct.files import because
from selfinstruct.runner.run_files import FILES, owning_run

LOGGER = logging.getLogger("selfinstruct")
# Without any handler, Python itself would print what is a warning or worse to stderr.
LOGGER.addHandler(logging.NullHandler())


class JsonLines(logging.Formatter):
    """A record as one JSON object. What is no ASCII is escaped, so that nothing in it drives a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        members = getattr(record, "members", {})
        return json.dumps({**told, **members}, default=str, separators=(",", ":"))


class LogFile(logging.Handler):
    """Appends lines to a file. One that cannot be written is said so once, and must not end a run."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._is_cut = _ends_within_a_line(path)
        self._is_said = False
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        line = self.format(record).encode() + b"\n"
        view = memoryview(b"\n" + line if self._is_cut else line)
        try:
            while view:
                written = os.write(self._fd, view)
                self._is_cut = written < len(view)
                view = view[written:]
        except OSError as error:
            # The next one is tried again: there may be room by then.
            if not self._is_said:
                self._is_said = True
                say(
                    f"{self._path}: the log cannot be written ({error.strerror}); the run goes on without it"
                )

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        super().close()


def _ends_within_a_line(path: Path) -> bool:
    """Whether a file was cut in the middle of a line, by a full disk, say."""
    with suppress(OSError, ValueError):
        if path.is_file():
            with path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
    return False


def check_log_file(path: Path, directory: Path) -> None:
    """Raise InputError for a file that cannot hold the log of the run in a directory. Makes nothing."""
    if "\0" in str(path):
        raise InputError(path, "is no name of a file")
    real = _real(path)
    is_in_directory = real.parent == _real(directory)
    run = owning_run(path, run=directory)
    if run is None and is_in_directory and real.name.casefold() in FILES:
        run = directory
    if run is not None:
        raise InputError(
            path, f"is a part of the run in {run} and no log is written to it; choose another name"
        )
    try:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if not is_in_directory:  # which is made with the run
                _check_that_it_can_be_made(path)
            return
        # What is no regular file may wait for its reader on opening.
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError as error:
        raise InputError(path, f"cannot be written {because(error)}") from None


def _check_that_it_can_be_made(path: Path) -> None:
    folder = _real(path).parent
    folder.stat()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def logging_to(path: Path, *, level: int) -> Iterator[None]:
    """Append what is logged in the block to a file. Raises InputError."""
    try:
        handler = LogFile(path)
    except OSError as error:
        raise InputError(path, f"cannot be written {because(error)}") from None
    handler.setLevel(level)
    before = LOGGER.level
    LOGGER.setLevel(min(level, before or level))
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
        handler.close()
