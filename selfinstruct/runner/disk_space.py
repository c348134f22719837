"""Free disk space: checked before a run starts, and while the run works.

A journal that cannot be written ends a run abruptly. So the run stops a little earlier: the replies in flight
arrive and are journaled, and the same command continues the run later.

    watch = DiskWatch(Path("my-run"), max_concurrency=32)
    watch.problem()                    # None, or the problem; asks the system every 5 seconds at most
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from selfinstruct.text import byte_size

LEAST_FREE = 64_000_000
"""Minimum free space of a running run, in bytes."""
LEAST_FREE_PER_REQUEST = 256_000
"""The same for each request in flight, in bytes: a long reply and the decisions about it."""

JOURNAL_PER_INSTRUCTION = 3_600
"""Journal size per accepted instruction, in bytes; measured, and similar for both recipes."""
_ENOUGH_TO_MEASURE = 50
"""Accepted instructions from which a run's own journal size per instruction is used."""
_CHECK_EVERY_S = 5.0

FreeBytes = Callable[[Path], int | None]
"""Returns the free bytes on the disk of a directory, or None where the number is unknown."""


def free_bytes(directory: Path) -> int | None:
    """Return the bytes that this user can still write; None where the file system does not report it."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None


class DiskWatch:
    """Detects that the disk of a run is nearly full."""

    def __init__(
        self,
        directory: Path,
        *,
        max_concurrency: int,
        free: FreeBytes = free_bytes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.least_free = max(LEAST_FREE, LEAST_FREE_PER_REQUEST * max_concurrency)
        self._directory = directory
        self._free = free
        self._now = now
        self._checked_at = float("-inf")
        self.shortage: str | None = None
        """The first problem. It is final: space that is freed later does not help this process."""

    def problem(self) -> str | None:
        """Return the problem and the remedy once too little space is free; None before that."""
        if self.shortage is None and self._now() - self._checked_at >= _CHECK_EVERY_S:
            self._checked_at = self._now()
            free = self._free(self._directory)
            if free is not None and free < self.least_free:
                self.shortage = (
                    f"only {byte_size(free)} free on the disk of the run, which needs "
                    f"{byte_size(self.least_free)} to store the replies in flight; free some space, then "
                    "run the same command again"
                )
        return self.shortage


def warning(
    directory: Path, *, missing: int, accepted: int, journal: int, free: FreeBytes = free_bytes
) -> str | None:
    """Return a warning where the journal of the rest of the run will probably not fit, else None.

    `missing` and `accepted` are numbers of instructions; `journal` is the present size in bytes.
    """
    per_instruction = (
        journal / accepted if accepted >= _ENOUGH_TO_MEASURE else JOURNAL_PER_INSTRUCTION
    )
    needed = round(missing * per_instruction)
    room = free(directory)
    if room is None or room >= needed + LEAST_FREE:
        return None
    return (
        f"{directory}: the rest of the run needs about {byte_size(needed)}, and the disk has "
        f"{byte_size(room)} free; free some space meanwhile. The run stops before the disk is full, and "
        "loses nothing"
    )
