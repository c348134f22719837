"""Write the log of a run as JSON lines, for `--log-file`.

    {"at":"2026-01-31T23:59:59.000000Z","level":"info","event":"progress","accepted":812,"candidates":1043, …}

`run_log` sends each event to the standard library's logger "selfinstruct". The message is the event's name,
and `extra={"members": {…}}` contains its fields. Other handlers of this logger receive the events too.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from selfinstruct.cli.output import say
from selfinstruct.errors import InputError
from selfinstruct.files import because
from selfinstruct.runner.run_file_names import FILES, owning_run

LOGGER = logging.getLogger("selfinstruct")
# If a logger has no handler, Python prints its warnings and errors to stderr.
LOGGER.addHandler(logging.NullHandler())


class JsonLines(logging.Formatter):
    """Formats a log record as an ASCII JSON object, so that its text cannot control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON line for a log record, without a newline."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        members = getattr(record, "members", {})
        return json.dumps({**line, **members}, default=str, separators=(",", ":"))


class LogFile(logging.Handler):
    """Appends log lines to a file. The first write error is reported; write errors do not stop the run."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._is_torn = _is_torn(path)
        self._has_reported = False
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line for a log record."""
        line = self.format(record).encode() + b"\n"
        view = memoryview(b"\n" + line if self._is_torn else line)
        try:
            while view:
                written = os.write(self._fd, view)
                self._is_torn = written < len(view)
                view = view[written:]
        except OSError as error:
            # Later lines are attempted too, because the disk may have free space again by then.
            if not self._has_reported:
                self._has_reported = True
                say(f"{self._path}: cannot write the log ({error.strerror}); the run continues")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        super().close()


def _is_torn(path: Path) -> bool:
    """Return whether a file's last line is incomplete, for example because the disk was full."""
    with suppress(OSError, ValueError):
        if path.is_file():
            with path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
    return False


def check_log_file(path: Path, directory: Path) -> None:
    """Check that `path` can be used as the log file of the run in `directory`. Creates no files.

    Raises InputError if it cannot.
    """
    if "\0" in str(path):
        raise InputError(path, "contains a NUL character, which a file name cannot contain")
    real = Path(os.path.realpath(path))
    is_in_directory = real.parent == Path(os.path.realpath(directory))
    run = owning_run(path, run=directory)
    if run is None and is_in_directory and real.name.casefold() in FILES:
        run = directory
    if run is not None:
        raise InputError(path, f"is a file of the run in {run}; choose another name for the log")
    try:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if not is_in_directory:  # the run will create its own directory
                _check_folder(real.parent)
            return
        # Do not open other types: opening a named pipe can block until it has a reader.
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError as error:
        raise InputError(path, f"cannot be written {because(error)}") from None


def _check_folder(folder: Path) -> None:
    folder.stat()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied")


@contextmanager
def logging_to(path: Path, *, level: int) -> Iterator[None]:
    """Append log records of at least `level` to a file while the block runs.

    Raises InputError if the file cannot be opened.
    """
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
