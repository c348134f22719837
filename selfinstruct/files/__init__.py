"""Write files atomically, open a run's files safely, and suggest remedies for operating system errors."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""Prefixes of paths to files that are already open, perhaps for appending, and must not be replaced."""

_AGAIN = "then run the same command again"
_REMEDIES = {
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that is writable",
    errno.ENOENT: "check the name",
    errno.EISDIR: "choose a file",
    errno.ENOTDIR: "part of the path is a file, not a directory; check the name",
    errno.EEXIST: "a file with this name exists; choose another name",
    errno.ELOOP: "it is a symbolic link that leads back to itself; choose another file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: f"make room, {_AGAIN}",
    errno.EDQUOT: f"make room, {_AGAIN}",
    errno.EFBIG: f"raise the file size limit (ulimit -f), {_AGAIN}",
    errno.EMFILE: f"raise the limit on open files (ulimit -n), {_AGAIN}",
    errno.ENFILE: f"close some programs, {_AGAIN}",
    errno.ENOMEM: f"close some programs, {_AGAIN}",
    errno.EIO: f"the disk may be failing: copy its files to another disk, {_AGAIN}",
}
"""Remedies by error number. If the machine caused the error, the same command can work later."""


class IrregularFileError(OSError):
    """A file in a run directory is a symbolic link, a pipe or a device, or has another hard link."""


def because(error: OSError) -> str:
    """Return the operating system's message with a remedy, such as "(Is a directory); choose a file"."""
    message = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno) if error.errno is not None else None
    if isinstance(error, IrregularFileError):
        remedy = "replace it with a copy of the file"
    return f"({message}); {remedy}" if remedy else f"({message})"


def is_of_the_machine(error: OSError) -> bool:
    """Return whether the machine caused the error, such as a full disk, rather than the file's path."""
    return _REMEDIES.get(error.errno or 0, "").endswith(_AGAIN)


Opener = Callable[[str, int], int]
"""A function that opens a path with flags and returns a file descriptor, for the `opener` argument of
`open`."""

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open a regular file in a run directory and return its descriptor. Can be used as an `opener` of `open`.

    The directory may come from an untrusted source: a symbolic link could lead to any file, opening a pipe
    could block, and a device could be endless. Raises OSError, including IrregularFileError.
    """
    is_written = flags & os.O_ACCMODE != os.O_RDONLY
    require_regular(Path(path), is_written=is_written)
    # The file may have been replaced after the check. O_NOFOLLOW refuses a link, and O_NONBLOCK does not wait
    # for a pipe.
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    try:
        _require_kind(os.fstat(fd), stat.S_IFREG, is_written=is_written)
    except OSError:
        os.close(fd)
        raise
    return fd


def require_regular(path: Path, *, kind: int = stat.S_IFREG, is_written: bool = False) -> None:
    """Raise IrregularFileError if the path exists and is not of type `kind`. Symbolic links are not followed.

    If the file `is_written` in place, it must have no other hard link, which could be any file of the user.
    Raises IsADirectoryError if the path is a directory instead, and OSError if it cannot be examined.
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
    """Return the contents of a file of at most `size` bytes.

    The limit protects the memory if a user specifies a device or a huge file by mistake. Raises OSError if
    the file cannot be read, and ValueError if it is larger or its name is invalid.
    """
    try:
        with open(path, "rb", opener=opener) as file:
            data = file.read(size + 1)
    except ValueError:  # the path contains a NUL character
        raise ValueError("is not a valid file name") from None
    if len(data) > size:
        raise ValueError(f"is larger than {size:,} bytes")
    return data


def is_stream(path: Path) -> bool:
    """Return whether the path cannot be replaced, because it is a pipe, a device or an open file."""
    with suppress(OSError, ValueError):
        if path.exists() and not path.is_file() and not path.is_dir():
            return True
    return str(path.absolute()).startswith(_OPEN_ALREADY)


def write_together(files: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Write several files, each atomically: even after a crash, a file is either the old or the new one.

    All contents are on disk before the first file is renamed. Files are renamed in the given order. A
    symbolic link is replaced, not followed. Raises OSError. In that case, the old files are unchanged, unless
    a rename failed, which is unlikely because it needs no disk space.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            temporary = temporary_beside(path)
            ready.append((temporary, path))
            _write_synced(temporary, data, path.stat().st_mode & 0o777 if path.exists() else mode)
        for temporary, path in ready:
            temporary.replace(path)
    except BaseException:  # includes Ctrl-C
        for temporary, _ in ready:
            with suppress(OSError):
                temporary.unlink()
        raise
    for folder in dict.fromkeys(path.parent for _, path in ready):
        sync_directory(folder)


def temporary_beside(path: Path) -> Path:
    """Return a random, unused path in the same directory as `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def create(path: Path, mode: int) -> int:
    """Create a file and return its descriptor, open for writing.

    Raises FileExistsError if the file exists, and OSError if it cannot be created.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(create(path, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the creation and renaming of files in a directory durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
