"""What SIGINT, SIGTERM and SIGHUP do in each phase of a command.

    start-up                 exit at once                                  exit_at_once
    a command writes files   KeyboardInterrupt, until the files are ready  stopped_by_signals
    a run                    finish the requests in flight, then stop      stopping
    a run ends               nothing                                       stopping, restored
    --on-finish              the signal goes to the command                forwarded_to

A signal that the parent process ignores, as `nohup` does with SIGHUP, stays ignored.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from selfinstruct.cli.terminal import is_terminal

if TYPE_CHECKING:
    import asyncio
    import subprocess

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""Exit code of an interrupted command."""

_SAME_KEY_PRESS_S = 1.0
"""Seconds in which a second Ctrl-C counts as part of the first."""

Hold = Callable[[], None]
"""Ignore signals from now on. Raises KeyboardInterrupt if an earlier signal was swallowed."""


def _handled() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def exit_at_once() -> None:
    """Exit with 130 on a signal, until a command installs other handlers."""

    def leave(*_: object) -> NoReturn:
        # Not an exception: Python prints and swallows what is raised inside an import callback.
        os._exit(INTERRUPTED)

    for number in _handled():
        signal.signal(number, leave)


@contextmanager
def restored(handler: Callable[[int, FrameType | None], None] | None = None) -> Iterator[None]:
    """Restore the signal handlers after the block; handle signals with `handler` until then."""
    before = {number: signal.getsignal(number) for number in _handled()}
    if handler is not None:
        for number in before:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def stopped_by_signals() -> Iterator[Hold]:
    """Raise KeyboardInterrupt in the block on a signal, until the block calls `hold`.

    A command calls `hold` when its files are complete and get their names, which must not stop halfway.
    """
    stopped_at: float | None = None
    is_held = False

    def stop(*_: object) -> None:
        nonlocal stopped_at
        now = time.monotonic()
        if is_held or (stopped_at is not None and now - stopped_at < _SAME_KEY_PRESS_S):
            return
        stopped_at = now
        raise KeyboardInterrupt

    def hold() -> None:
        nonlocal is_held
        is_held = True
        # Python prints and swallows what is raised inside a callback, such as that of a weak reference.
        if stopped_at is not None:
            raise KeyboardInterrupt

    with restored(stop):
        yield hold


@contextmanager
def stopping(
    stop: "asyncio.Event", on_signal: Callable[[signal.Signals, bool], None]
) -> Iterator[None]:
    """Set `stop` on the first signal; cancel the current task on later ones.

    `on_signal` gets the signal and whether an earlier one came. Signals do nothing after the block.
    """
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_second = False

    def handle(number: signal.Signals) -> None:
        nonlocal is_second
        stop.set()  # before the message: the terminal may be gone
        if is_second:
            task.cancel()
        on_signal(number, is_second)
        is_second = True

    numbers = _handled()
    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            # Another Ctrl-C must not interrupt the last messages of the run.
            signal.signal(number, lambda *_: None)


@contextmanager
def forwarded_to(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Send the first signal to a process group as SIGTERM, later ones as SIGKILL."""
    began = time.monotonic()
    is_second = False

    def forward(number: int, _: FrameType | None) -> None:
        nonlocal is_second
        # A second Ctrl-C is meant for the run, which may have ended in between.
        if number == signal.SIGINT and time.monotonic() - began < _SAME_KEY_PRESS_S:
            return
        if process.returncode is not None:
            return
        with suppress(OSError):  # the process may be gone
            os.killpg(process.pid, signal.SIGKILL if is_second else signal.SIGTERM)
        is_second = True

    with restored(forward):
        yield


def load_ahead(names: Iterable[Path | str]) -> None:
    """Import what work on these files needs: Python may swallow an interruption during an import."""
    import numpy  # noqa: F401
    import rapidfuzz.distance.LCSseq  # noqa: F401

    from selfinstruct.dataset.record_files import format_of

    if is_terminal(sys.stderr):
        import rich.progress  # noqa: F401
    if any(format_of(name) == "parquet" for name in names):
        with suppress(ImportError):  # opening the file reports this
            import pyarrow.parquet  # noqa: F401
