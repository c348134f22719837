"""Checks the free disk space before a run starts and while it is running.

If the journal cannot be written, a run ends abruptly. Therefore the run stops a little earlier: the replies
to requests in flight are still received and journaled, and the same command continues the run later.

    watch = DiskWatch(Path("my-run"), max_concurrency=32)
    watch.problem()                    # None or a message; checks the disk at most every 5 seconds
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from selfinstruct.display import byte_size

LEAST_FREE = 64_000_000
"""Minimum free disk space for a run to keep running, in bytes."""
LEAST_FREE_PER_REQUEST = 256_000
"""Minimum free disk space per request in flight, in bytes: for a long reply and the decisions about it."""

JOURNAL_PER_INSTRUCTION = 3_600
"""Measured journal size per accepted instruction, in bytes. It is similar for both recipes."""
_ENOUGH_TO_MEASURE = 50
"""Minimum number of accepted instructions for an estimate from the run's own journal size."""
_CHECK_EVERY_S = 5.0

FreeBytes = Callable[[Path], int | None]
"""Returns the free space on a directory's disk in bytes, or None if it is unknown."""


def free_bytes(directory: Path) -> int | None:
    """Return the number of bytes this user can still write; None if the file system does not report it."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None


class DiskWatch:
    """Detects when a run's disk is nearly full."""

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
        """Message that the disk is nearly full, or None. Once set, it is kept even if space is freed."""

    def problem(self) -> str | None:
        """Return a message with the problem and the remedy if too little space is free, otherwise None."""
        if self.shortage is None and self._now() - self._checked_at >= _CHECK_EVERY_S:
            self._checked_at = self._now()
            free = self._free(self._directory)
            if free is not None and free < self.least_free:
                self.shortage = (
                    f"only {byte_size(free)} free on the run's disk, but storing the replies in flight needs "
                    f"{byte_size(self.least_free)}; free some space, then run the same command again"
                )
        return self.shortage


def warning(
    directory: Path, *, missing: int, accepted: int, journal: int, free: FreeBytes = free_bytes
) -> str | None:
    """Return a warning if the disk probably has too little space to complete the run, otherwise None.

    `missing` and `accepted` are numbers of instructions. `journal` is the journal's current size in bytes.
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
        f"{byte_size(room)} free; free some space meanwhile. The run will stop before the disk is full, and "
        "no data will be lost"
    )
