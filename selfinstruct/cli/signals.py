"""A command that writes files is stopped so that nothing is left of them, or not at all."""

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfinstruct.cli.terminal import is_ignored
from selfinstruct.dataset.record_files import format_of

_AGAIN_S = 1.0
"""A person presses Ctrl-C twice: the second one must not stop the tidying up after the first."""

Hold = Callable[[], None]
"""From here on no signal stops the command. Raises KeyboardInterrupt where one came before and was lost."""


@contextmanager
def stopped_by_signals() -> Iterator[Hold]:
    """Let a signal raise KeyboardInterrupt in the block, until that calls what it gets.

    It does so when its files are ready and get their names, which must not stop halfway.
    """
    stopped_at: float | None = None
    is_held = False

    def stop(*_: object) -> None:
        nonlocal stopped_at
        now = time.monotonic()
        if is_held or (stopped_at is not None and now - stopped_at < _AGAIN_S):
            return
        stopped_at = now
        raise KeyboardInterrupt

    def hold() -> None:
        nonlocal is_held
        is_held = True
        # What is raised in a callback, such as that of a weak reference, Python prints and forgets.
        if stopped_at is not None:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers if not is_ignored(number)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield hold
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def load_ahead(names: Iterable[Path | str]) -> None:
    """Load what work on these files needs: an interruption while modules are loaded may be swallowed."""
    import numpy  # noqa: F401
    import rapidfuzz.distance.LCSseq  # noqa: F401

    if sys.stderr is not None and sys.stderr.isatty():
        import rich.progress  # noqa: F401
    if any(format_of(name) == "parquet" for name in names):
        with suppress(ImportError):  # told when the file is opened
            import pyarrow.parquet  # noqa: F401
