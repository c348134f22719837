"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""Names of what somebody has opened already, perhaps to append to it: not ours to replace."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash, sees all of it or what was there before.

    A link is followed; what is no regular file (a pipe, a device) is simply written to. Raises OSError;
    then the old file stands and nothing is left over.
    """
    path = path.absolute()
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    if is_special or str(path).startswith(_OPEN_ALREADY):
        with path.open("ab") as file:
            file.write(data)
        return
    path = Path(os.path.realpath(path))
    if path.exists():
        mode = path.stat().st_mode & 0o777
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a created or renamed file's name durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
