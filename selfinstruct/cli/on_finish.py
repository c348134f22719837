"""Report the end of a run: print its last line, and run the `--on-finish` command.

selfinstruct: my-run complete: 52,004 instructions, 81,233 rows, 118,402 requests, 61.2 M tokens, 6 h 12 min
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.cli.options import flag
from selfinstruct.cli.output import say
from selfinstruct.cli.signals import INTERRUPTED, forwarded_to
from selfinstruct.display import counted, dollars, duration
from selfinstruct.errors import LimitReachedError, SelfInstructError, StalledError
from selfinstruct.pipeline.summary import RunSummary

_SHORTEST_SHOWN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one process's work on a run ended."""

    directory: Path
    summary: RunSummary
    is_complete: bool
    failure: Exception | None
    """The error that stopped the run; None if the run is complete or was interrupted."""
    took_s: float
    """How long this process worked on the run, in seconds."""
    is_continued: bool
    """True if an earlier process already worked on the run."""
    again: str
    """The command that continues the run."""

    @property
    def exit_code(self) -> int:
        """The exit code of the `run` command."""
        if self.is_complete:
            return 0
        if self.failure is None:
            return INTERRUPTED
        return self.failure.exit_code if isinstance(self.failure, SelfInstructError) else 1

    @property
    def reason(self) -> str:
        """The exit code as a word: "complete", "limit", "interrupted" or "failed"."""
        words = {0: "complete", 3: "limit", INTERRUPTED: "interrupted"}
        return words.get(self.exit_code, "failed")

    @property
    def limit(self) -> str:
        """Name of the limit setting that stopped the run; "" if no limit stopped it."""
        if isinstance(self.failure, LimitReachedError):
            return self.failure.limit
        return "stall_after" if isinstance(self.failure, StalledError) else ""

    @property
    def detail(self) -> str:
        """The error message; "" if there was no error. For an unexpected error, only its type."""
        if self.is_complete or self.failure is None:
            return ""
        is_expected = isinstance(self.failure, SelfInstructError)
        return str(self.failure) if is_expected else type(self.failure).__name__

    def as_json(self) -> dict[str, Any]:
        """Return the ending as the `--on-finish` command receives it."""
        return {
            "directory": str(self.directory.absolute()),
            "reason": self.reason,
            "exit_code": self.exit_code,
            "detail": self.detail,
            "summary": self.summary.as_json(),
        }

    def line(self) -> str:
        """Return the last line of the output: result, counts, cost, duration, and how to continue."""
        summary = self.summary
        tokens = summary.prompt_tokens + summary.completion_tokens
        parts = [
            counted(summary.accepted, "instruction"),
            counted(summary.rows, "row"),
            counted(sum(summary.requests.values()), "request"),
            f"{tokens / 1e6:.1f} M tokens" if tokens >= 1e6 else counted(tokens, "token"),
        ]
        if summary.cost_usd:
            parts.append(dollars(summary.cost_usd))
        if self.took_s >= _SHORTEST_SHOWN_S:
            parts.append(duration(self.took_s) + (" this time" if self.is_continued else ""))
        status = "complete"
        if not self.is_complete:
            causes = {3: f"limit {self.limit}", 4: "gave up on the endpoint", 130: "interrupted"}
            status = f"stopped ({causes.get(self.exit_code, 'failed')})"
        line = f"selfinstruct: {self.directory} {status}: {', '.join(parts)}"
        if self.is_complete:
            return line
        line += f". To continue: {self.again}"
        if self.limit:
            line += f" {flag(self.limit, 'MORE')}"
        # The settings of a run that has received no reply may be wrong, and can still be changed.
        is_fresh = not summary.requests and self.failure is not None
        return line + (" (with other settings, if these were wrong)" if is_fresh else "")


def run_on_finish(command: str, ending: Ending) -> int | None:
    """Run a shell command with the ending as JSON on its stdin, and wait until it exits.

    Returns the exit code, or None if the command did not start. A negative code is the number of the signal
    that ended the command. The command's output goes to this process's stderr. Never raises.
    """
    report = json.dumps(ending.as_json(), default=str).encode() + b"\n"
    # If stderr was closed at startup, file descriptor 2 may belong to another file.
    output = subprocess.DEVNULL if sys.stderr is None else 2
    say("running the --on-finish command (Ctrl-C stops the command)")
    try:
        # In its own session, the command does not receive a Ctrl-C or hangup that is meant for the run.
        process = subprocess.Popen(  # noqa: S602 - the user typed the command; it contains no model output
            command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        say(f"selfinstruct: the --on-finish command did not start ({error})")
        return None
    with forwarded_to(process):
        process.communicate(report)
    if process.returncode:
        say(f"selfinstruct: the --on-finish command failed ({_cause(process.returncode)})")
    return process.returncode


def _cause(code: int) -> str:
    if code > 0:
        return f"exit {code}"
    with suppress(ValueError):
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"
