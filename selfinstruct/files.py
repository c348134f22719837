"""Files that are written whole or not at all, and what to say where one cannot be used."""

import errno
import os
from collections.abc import Mapping
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


def because(error: OSError) -> str:
    """What the operating system says, in brackets, and what helps: "(Is a directory); name a file"."""
    said = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno) if error.errno is not None else None
    return f"({said}); {remedy}" if remedy else f"({said})"


def is_of_the_machine(error: OSError) -> bool:
    """Whether the machine is to blame, as for a full disk, and not the name that was given."""
    return error.errno in _OF_THE_MACHINE


def read_at_most(path: Path, size: int) -> bytes:
    """The bytes of a file that holds no more than `size`. Raises OSError, ValueError.

    Who names a device or a dump by mistake is told so, and does not wait until memory is full.
    """
    try:
        with path.open("rb") as file:
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
    write_together({path: data}, mode=mode)


def write_together(files: Mapping[Path, bytes], *, mode: int = 0o644) -> None:
    """Write several files as `write_whole` does one: each is on the disk before the first gets its name.

    They get their names in the order given. Raises OSError; then the old files stand, unless it was in the
    renaming, which needs no room on the disk.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        for name, data in files.items():
            path = Path(os.path.realpath(name))
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
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


_OF_A_RUN = frozenset(
    {"config.yaml", "journal.jsonl", "journal.jsonl.torn", "seed_tasks.jsonl", "run.lock"}
)
"""Files of a run directory; those in its folder `prompts` are, too."""
_SIGNS_OF_A_RUN = ("config.yaml", "journal.jsonl", "run.lock")


def run_that_consists_of(path: Path) -> Path | None:
    """The run directory that would be spoiled if this file were written; links are followed."""
    real = Path(os.path.realpath(path))
    folder = real.parent
    if folder.name == "prompts":
        folder = folder.parent
    elif real.name not in _OF_A_RUN:
        return None
    # Two of them: a person's own config.yaml, say, makes no run of the folder that it is in.
    is_run = sum((folder / name).exists() for name in _SIGNS_OF_A_RUN) > 1
    return folder if is_run else None
