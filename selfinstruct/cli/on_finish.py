"""How a run ended: its last line, and the command that is told of it (`--on-finish`).

selfinstruct: my-run complete: 52,004 instructions, 81,233 rows, 118,402 requests, 61.2 M tokens, 6 h 12 min
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from selfinstruct.cli.terminal import is_ignored, say
from selfinstruct.errors import LimitReachedError, SelfInstructError, StalledError
from selfinstruct.pipeline.summary import RunSummary
from selfinstruct.text import counted, dollars, duration

Reason = Literal["complete", "interrupted", "limit", "failed"]

_AGAIN_S = 1.0
"""A person who presses Ctrl-C twice means the run, which may have ended in between, not the command."""
_WORTH_SAYING_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one process's work on a run ended."""

    directory: Path
    summary: RunSummary
    is_complete: bool
    failure: Exception | None
    """What ended it; None where it is complete or was interrupted."""
    took_s: float
    """Seconds, of this process."""
    is_continued: bool
    """Whether an earlier process had a part in it."""
    again: str
    """The command that continues it."""

    @property
    def exit_code(self) -> int:
        """What the command exits with."""
        if self.is_complete:
            return 0
        if self.failure is None:
            return 130
        return self.failure.exit_code if isinstance(self.failure, SelfInstructError) else 1

    @property
    def reason(self) -> Reason:
        """In one word."""
        words: dict[int, Reason] = {0: "complete", 3: "limit", 130: "interrupted"}
        return words.get(self.exit_code, "failed")

    @property
    def limit(self) -> str:
        """The setting that ended it; "" where none did."""
        if isinstance(self.failure, LimitReachedError):
            return self.failure.limit
        return "stall_after" if isinstance(self.failure, StalledError) else ""

    @property
    def detail(self) -> str:
        """What ended it, in a sentence; "" where nothing did. Of an error that is not ours, its name."""
        if self.is_complete or self.failure is None:
            return ""
        is_ours = isinstance(self.failure, SelfInstructError)
        return str(self.failure) if is_ours else type(self.failure).__name__

    def as_json(self) -> dict[str, Any]:
        """What `--on-finish` is told."""
        return {
            "directory": str(self.directory.absolute()),
            "reason": self.reason,
            "exit_code": self.exit_code,
            "detail": self.detail,
            "summary": self.summary.as_json(),
        }

    def line(self) -> str:
        """The last line of a run: all that a person looks for in a log the morning after."""
        summary = self.summary
        ended = "complete"
        if not self.is_complete:
            why = {3: f"limit {self.limit}", 4: "the endpoint gave up", 130: "interrupted"}
            ended = f"stopped ({why.get(self.exit_code, 'failed')})"
        tokens = summary.prompt_tokens + summary.completion_tokens
        parts = [
            counted(summary.accepted, "instruction"),
            counted(summary.rows, "row"),
            counted(sum(summary.requests.values()), "request"),
            f"{tokens / 1e6:.1f} M tokens" if tokens >= 1e6 else counted(tokens, "token"),
            costs_said(summary),
            self._time_said(),
        ]
        line = f"selfinstruct: {self.directory} {ended}: {', '.join(filter(None, parts))}"
        if self.is_complete:
            return line
        # Nothing was answered: it may well be a setting that is wrong, and it still may be changed.
        is_fresh = not summary.requests and self.failure is not None
        remark = " (with other settings, if they were wrong)" if is_fresh else ""
        flag = f" --{self.limit.removesuffix('_s').replace('_', '-')} MORE" if self.limit else ""
        return f"{line}. To continue: {self.again}{flag}{remark}"

    def _time_said(self) -> str:
        if self.took_s < _WORTH_SAYING_S:
            return ""
        return duration(self.took_s) + (" this time" if self.is_continued else "")


def costs_said(summary: RunSummary) -> str:
    """What the run has cost, "$38.12"; "" where that is nothing, or not known."""
    return dollars(summary.cost_usd) if summary.cost_usd else ""


def run_on_finish(command: str, ending: Ending) -> int | None:
    """Run a command through the shell, with the ending as JSON on its stdin; wait for it.

    Returns its exit code (negative: the signal that ended it), None where it could not be started. What it
    writes goes to our stderr. Never raises: what was to be told has happened all the same.
    """
    told = json.dumps(ending.as_json(), default=str).encode() + b"\n"
    # Where stderr was closed, its number may be that of any file by now.
    output = subprocess.DEVNULL if sys.stderr is None else 2
    say("running the command of --on-finish (Ctrl-C ends it)")
    try:
        # In a session of its own no Ctrl-C reaches it that was meant for the run, nor does a hangup.
        process = subprocess.Popen(  # noqa: S602 - a person typed it; of what a model wrote nothing is in it
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        say(f"selfinstruct: the command of --on-finish cannot be started ({error})")
        return None
    with _ended_by_signals(process):
        process.communicate(told)
    if process.returncode:
        say(f"selfinstruct: the command of --on-finish failed ({_failed(process.returncode)})")
    return process.returncode


def _failed(code: int) -> str:
    if code > 0:
        return f"exit {code}"
    with suppress(ValueError):
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"


@contextmanager
def _ended_by_signals(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Hand signals on: the first one asks the command to end, the second one ends it."""
    began = time.monotonic()
    is_second = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal is_second
        if number == signal.SIGINT and time.monotonic() - began < _AGAIN_S:
            return
        if process.returncode is not None:
            return
        with suppress(OSError):  # it may be gone
            os.killpg(process.pid, signal.SIGKILL if is_second else signal.SIGTERM)
        is_second = True

    before = {number: signal.getsignal(number) for number in _SIGNALS if not is_ignored(number)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
