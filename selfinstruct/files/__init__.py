"""Atomic writes, safe opening of run files, and remedies for errors of the operating system."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""Files that are open already, perhaps for appending, and so must not be replaced."""

_AGAIN = "then run the same command again"
_REMEDIES = {
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a part of that path is a file; check the name",
    errno.EEXIST: "a file is in its way; choose another name",
    errno.ELOOP: "it is a link that leads back to itself; name the file itself",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: f"make room, {_AGAIN}",
    errno.EDQUOT: f"make room, {_AGAIN}",
    errno.EFBIG: f"raise the limit on the size of files (ulimit -f), {_AGAIN}",
    errno.EMFILE: f"raise the limit on open files (ulimit -n), {_AGAIN}",
    errno.ENFILE: f"close some programs, {_AGAIN}",
    errno.ENOMEM: f"close some programs, {_AGAIN}",
    errno.EIO: f"the disk may be failing: copy its files to another disk, {_AGAIN}",
}
"""Remedies by error of the operating system. After an error of the machine the same command can work."""


class IrregularFileError(OSError):
    """A file of a run directory is a link, a pipe or a device, or has a second name."""


def because(error: OSError) -> str:
    """Return the message of the operating system and the remedy: "(Is a directory); name a file"."""
    message = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno) if error.errno is not None else None
    if isinstance(error, IrregularFileError):
        remedy = "replace it with a copy of the file"
    return f"({message}); {remedy}" if remedy else f"({message})"


def is_of_the_machine(error: OSError) -> bool:
    """Return whether the machine caused the error, as with a full disk, and not the file name."""
    return _REMEDIES.get(error.errno or 0, "").endswith(_AGAIN)


Opener = Callable[[str, int], int]
"""Opens a path with flags and returns a file descriptor; the `opener` argument of `open`."""

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open a file of a run directory and return its descriptor; an `opener` for `open`.

    The directory may come from a stranger: a link would lead to another file, a pipe would block, and a
    device would have no end. Raises OSError.
    """
    is_written = flags & os.O_ACCMODE != os.O_RDONLY
    require_regular(Path(path), is_written=is_written)
    # The file may have been replaced since: O_NOFOLLOW refuses a link, O_NONBLOCK does not wait for a pipe.
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    try:
        _require_kind(os.fstat(fd), stat.S_IFREG, is_written=is_written)
    except OSError:
        os.close(fd)
        raise
    return fd


def require_regular(path: Path, *, kind: int = stat.S_IFREG, is_written: bool = False) -> None:
    """Raise IrregularFileError if the path exists and has another type than `kind`; do not follow links.

    A file that is written in place must not have a second name, since a hard link may be any file of the
    user. Raises IsADirectoryError for a directory in place of a file, and OSError.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        _require_kind(path.lstat(), kind, is_written=is_written)


def _require_kind(status: os.stat_result, expected: int, *, is_written: bool) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR != expected:
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if kind != expected:
        raise IrregularFileError(f"is {_KINDS.get(kind, 'a device')}, not {_KINDS[expected]}")
    if is_written and status.st_nlink > 1:
        raise IrregularFileError("has a second name (hard link), so another file would change")


def read_at_most(path: Path, size: int, *, opener: Opener | None = None) -> bytes:
    """Return the bytes of a file of at most `size` bytes. Raises OSError, ValueError.

    The maximum protects the memory if a user names a device or a dump by mistake.
    """
    try:
        with open(path, "rb", opener=opener) as file:
            data = file.read(size + 1)
    except ValueError:  # a NUL character
        raise ValueError("is no name of a file") from None
    if len(data) > size:
        raise ValueError(f"holds more than {size:,} bytes, so it must be something else")
    return data


def is_stream(path: Path) -> bool:
    """Return whether the path is a pipe, a device, or open already, and so cannot be replaced."""
    with suppress(OSError, ValueError):
        if path.exists() and not path.is_file() and not path.is_dir():
            return True
    return str(path.absolute()).startswith(_OPEN_ALREADY)


def write_together(files: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Write several files atomically: a reader, or a crash, sees a whole new file or the old one.

    All are on the disk before the first is renamed, in the given order. A link is replaced, not followed.
    Raises OSError; the old files are unchanged then, unless a rename failed, which needs no disk space.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            temporary = temporary_beside(path)
            ready.append((temporary, path))
            _write_synced(temporary, data, path.stat().st_mode & 0o777 if path.exists() else mode)
        for temporary, path in ready:
            temporary.replace(path)
    except BaseException:  # Ctrl-C too
        for temporary, _ in ready:
            with suppress(OSError):
                temporary.unlink()
        raise
    for folder in dict.fromkeys(path.parent for _, path in ready):
        sync_directory(folder)


def temporary_beside(path: Path) -> Path:
    """Return an unpredictable, unused name in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def create(path: Path, mode: int) -> int:
    """Create a file and return its descriptor, open for writing. Raises FileExistsError, OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(create(path, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names of created or renamed files durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
