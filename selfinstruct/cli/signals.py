"""Handle SIGINT, SIGTERM and SIGHUP. Their effect depends on what a command is doing.

    startup                  exit at once                                  exit_at_once
    a command writes files   KeyboardInterrupt, until the files are ready  stopped_by_signals
    a run                    finish the requests in flight, then stop      stopping
    a run ends               no effect                                     stopping, restored
    --on-finish              the signal is sent to the command             forwarded_to

If the parent process ignores a signal, as `nohup` ignores SIGHUP, this process ignores it too.
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

from selfinstruct.cli.output import is_terminal

if TYPE_CHECKING:
    import asyncio
    import subprocess

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""Exit code of an interrupted command."""

_SAME_KEY_PRESS_S = 1.0
"""If a second Ctrl-C follows within this many seconds, it counts as part of the first."""

Hold = Callable[[], None]
"""Ignores all later signals when called. Raises KeyboardInterrupt if an earlier one had no effect."""


def _handled() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def exit_at_once() -> None:
    """Exit with 130 on a signal, until a command installs other handlers."""

    def leave(*_: object) -> NoReturn:
        # Do not raise an exception: inside an import callback, Python would only print it.
        os._exit(INTERRUPTED)

    for number in _handled():
        signal.signal(number, leave)


@contextmanager
def restored(handler: Callable[[int, FrameType | None], None] | None = None) -> Iterator[None]:
    """Restore the signal handlers after the block. Inside it, `handler`, if given, handles signals."""
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
    """On a signal, raise KeyboardInterrupt in the block. Yields a function that turns this off.

    A command calls that function when its files are complete, before it renames them to their final names,
    because that must not be interrupted.
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
        # An earlier KeyboardInterrupt may be lost: Python only prints exceptions from some callbacks.
        if stopped_at is not None:
            raise KeyboardInterrupt

    with restored(stop):
        yield hold


@contextmanager
def stopping(
    stop: "asyncio.Event", on_signal: Callable[[signal.Signals, bool], None]
) -> Iterator[None]:
    """On the first signal, set `stop`. On later signals, cancel the current task.

    `on_signal` is called with the signal, and with whether it is a later one. After the block, signals have
    no effect.
    """
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_second = False

    def handle(number: signal.Signals) -> None:
        nonlocal is_second
        stop.set()  # before the message, which may fail if the terminal is gone
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
            # Another Ctrl-C must not interrupt the final report of the run.
            signal.signal(number, lambda *_: None)


@contextmanager
def forwarded_to(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """On the first signal, send SIGTERM to the process group of `process`; on later ones, SIGKILL."""
    began = time.monotonic()
    is_second = False

    def forward(number: int, _: FrameType | None) -> None:
        nonlocal is_second
        # A Ctrl-C right after the start was meant for the run, which has just ended.
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
    """Import the modules needed for these files in advance.

    During an import, Python may ignore a KeyboardInterrupt.
    """
    import numpy  # noqa: F401
    import rapidfuzz.distance.LCSseq  # noqa: F401

    from selfinstruct.dataset.record_files import format_of

    if is_terminal(sys.stderr):
        import rich.progress  # noqa: F401
    if any(format_of(name) == "parquet" for name in names):
        with suppress(ImportError):  # reported later, when the file is opened
            import pyarrow.parquet  # noqa: F401
