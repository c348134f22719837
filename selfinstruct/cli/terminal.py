"""Messages to the terminal, and its signals."""

import signal
import sys
from contextlib import suppress

from selfinstruct.text import visible


def is_ignored(number: int) -> bool:
    """Whether whoever started us wants a signal to be ignored, as `nohup` does with SIGHUP."""
    return signal.getsignal(number) is signal.SIG_IGN


def speak_any_alphabet() -> None:
    """Let a terminal that knows few characters show the others written out, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Talk: goes to stderr, since stdout is for data. A terminal that is gone must not end a run.

    What could drive the terminal is written out, a line end within a line too: names of files may hold it.
    """
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # it is where the caller closed it
            shown = [visible(line, keep="") for line in lines]
            print(*shown, sep="\n", file=sys.stderr, flush=True)  # noqa: T201
