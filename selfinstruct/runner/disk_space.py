"""Whether the disk has room for the rest of a run: looked at before it starts, and while it runs.

A journal that cannot be written ends a run in the middle of what it does, so it is stopped a little earlier,
in good order: what is in flight lands, is journaled, and the same command continues.

    watch = DiskWatch(Path("my-run"), max_concurrency=32)
    watch.problem()                    # None, or what is wrong; asks the system every few seconds at most
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

LEAST_FREE = 64_000_000
"""Bytes that must be free for a run to go on …"""
LEAST_FREE_A_REQUEST = 256_000
"""… and for each request that may be in flight: a long reply, and the decisions about it."""

JOURNAL_AN_INSTRUCTION = 3_600
"""Bytes of journal for an accepted instruction, all that led to it included; measured, with either recipe."""
_TELLING = 50
"""So many instructions must be accepted before a run's own bytes for each tell more than that."""
_LOOKED_EVERY_S = 5.0

Free = Callable[[Path], int | None]
"""Bytes that are free where a directory is; None where that is unknown."""


def free_bytes(directory: Path) -> int | None:
    """What the system says is free there for this user. Some file systems do not tell."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None


class DiskWatch:
    """Notices that a run's disk is nearly full."""

    def __init__(
        self,
        directory: Path,
        *,
        max_concurrency: int,
        free: Free = free_bytes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_concurrency` is how many replies may be in flight when it is noticed."""
        self.least_free = max(LEAST_FREE, LEAST_FREE_A_REQUEST * max_concurrency)
        self._directory = directory
        self._free = free
        self._now = now
        self._looked_at = float("-inf")
        self.found: str | None = None
        """What was wrong, once it was: room that is made later comes too late for this process."""

    def problem(self) -> str | None:
        """What is wrong and what helps, once too little is free; None before that."""
        if self.found is None and self._now() - self._looked_at >= _LOOKED_EVERY_S:
            self._looked_at = self._now()
            free = self._free(self._directory)
            if free is not None and free < self.least_free:
                self.found = (
                    f"only {size(free)} are free on its disk, and a run needs {size(self.least_free)} "
                    "so that no reply in flight is lost; make room, then type the same command again"
                )
        return self.found


def warning(
    directory: Path, *, missing: int, accepted: int, journal: int, free: Free = free_bytes
) -> str | None:
    """What to say before a run starts whose journal will probably not fit; None where it will.

    `missing` instructions are still to be accepted, and `journal` bytes tell of those that are.
    """
    each = journal / accepted if accepted >= _TELLING else JOURNAL_AN_INSTRUCTION
    needed = round(missing * each)
    room = free(directory)
    if room is None or room >= needed + LEAST_FREE:
        return None
    return (
        f"{directory}: the rest of the run will probably write {size(needed)}, and {size(room)} are free on "
        "its disk; make room meanwhile. It stops in good order before the disk is full"
    )


def size(number: int) -> str:
    """Bytes as a person reads them: "61 MB", "1.5 GB"."""
    if number < 1_000_000:
        return f"{number / 1_000:.0f} KB"
    if number < 1_000_000_000:
        return f"{number / 1_000_000:.0f} MB"
    return f"{number / 1_000_000_000:.1f} GB"
