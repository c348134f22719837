"""Files that are written whole or not at all, and what to say where one cannot be used."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""Names of what somebody has opened already, perhaps to append to it: not ours to replace."""

_AGAIN = "then type the same command again"
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
    errno.EIO: f"the disk may be failing: copy what is there to another one, {_AGAIN}",
}
"""What helps against an error of the operating system."""

_OF_THE_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EIO,
    }
)


class IrregularFileError(OSError):
    """A file of a run directory is a link, a pipe or a device, or has a second name."""


def because(error: OSError) -> str:
    """What the operating system says, in brackets, and what helps: "(Is a directory); name a file"."""
    said = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno) if error.errno is not None else None
    if isinstance(error, IrregularFileError):
        remedy = "replace it with a copy of the file"
    return f"({said}); {remedy}" if remedy else f"({said})"


def is_of_the_machine(error: OSError) -> bool:
    """Whether the machine is to blame, as for a full disk, and not the name that was given."""
    return error.errno in _OF_THE_MACHINE


Opener = Callable[[str, int], int]
"""Opens a path with flags, and returns the number of the open file: what `open` takes as `opener`."""

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open a file of a run directory and return its number; `open` takes this function as `opener`.

    The directory may come from a stranger. A link would lead to another file, a pipe would block, and a
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
    """Raise IrregularFileError unless a file of that kind, or nothing, is at the path. Follow no link.

    A file that is written in place must have one name only: a hard link may be anybody's file.
    Raises IsADirectoryError for a directory in place of a file, and OSError.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        _require_kind(path.lstat(), kind, is_written=is_written)


def _require_kind(found: os.stat_result, wanted: int, *, is_written: bool) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR != wanted:
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if kind != wanted:
        raise IrregularFileError(f"is {_KINDS.get(kind, 'a device')}, not {_KINDS[wanted]}")
    if is_written and found.st_nlink > 1:
        raise IrregularFileError("has a second name (hard link), so another file would change")


def read_at_most(path: Path, size: int, *, opener: Opener | None = None) -> bytes:
    """Return the bytes of a file that holds no more than `size`. Raises OSError, ValueError.

    Who names a device or a dump by mistake is told so, and does not wait until memory is full.
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
    """Whether it is simply written to: a pipe, a device, or what somebody has opened already."""
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    return is_special or str(path.absolute()).startswith(_OPEN_ALREADY)


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash, sees all of it or what was there before.

    A link is followed; what is no regular file (a pipe, a device) is simply written to. Raises OSError;
    then the old file stands and nothing is left over.
    """
    path = path.absolute()
    if is_stream(path):
        with path.open("ab") as file:
            file.write(data)
        return
    write_together({Path(os.path.realpath(path)): data}, mode=mode)


def write_together(files: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Write several files as `write_whole` does one: each is on the disk before the first gets its name.

    They get their names in the order given. A link is replaced and not followed. Raises OSError; then the
    old files stand, unless it was in the renaming, which needs no room on the disk.
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
    """Return a name in the same folder that nobody can foresee, and that no killed process has left."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def create(path: Path, mode: int) -> int:
    """Create a file and return its number, open for writing. Raises FileExistsError, OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(create(path, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make a created or renamed file's name durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
