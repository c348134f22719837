"""Runs against a server, over the real command line, and the account that each must give of itself."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from servers.serving import Server

from selfinstruct.journal_events import CompletionReceived, RequestFailed
from selfinstruct.runner.journal import read_journal

DONE, STALLED, GAVE_UP, INTERRUPTED = 0, 3, 4, 130

SMALL = {
    "num_instructions": 3,
    "generate_max_tokens": 160,
    "classify_max_tokens": 8,
    "instances_max_tokens": 200,
    "stall_after": 5,
    "max_concurrency": 4,
}
"""Settings of a run that is over in seconds."""


def selfinstruct(*arguments: object) -> "subprocess.Popen[str]":
    """Start the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
    )


def start(directory: Path, server: Server, **settings: object) -> "subprocess.Popen[str]":
    """Start or continue a small run with these settings on top."""
    given: dict[str, object] = {**SMALL, "model": server.model, "base_url": server.base_url}
    given |= settings
    flags = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    return selfinstruct("run", "-o", directory, *flags)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and stderr of a process, which must not print a traceback."""
    with process:
        printed, said = process.communicate(timeout=300)
    assert "Traceback" not in printed + said
    return process.returncode, said


def carry_out(directory: Path, server: Server, **settings: object) -> tuple[int, str]:
    """Complete a small run, and return the exit code and stderr."""
    return finish(start(directory, server, **settings))


def outcomes(directory: Path) -> list[CompletionReceived | RequestFailed]:
    """Return the outcome of each request in journal order; nothing for a run without a journal."""
    path = directory / "journal.jsonl"
    if not path.exists():
        return []
    return [
        entry.event
        for entry in read_journal(path)
        if isinstance(entry.event, CompletionReceived | RequestFailed)
    ]


def completions(directory: Path) -> list[CompletionReceived]:
    """Return the replies."""
    return [one for one in outcomes(directory) if isinstance(one, CompletionReceived)]


def accounted_for(directory: Path) -> dict[str, Any]:
    """Check that the run accounts for all that it asked and got; return its status."""
    with selfinstruct("status", directory, "--json") as process:
        printed, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    status: dict[str, Any] = json.loads(printed)
    assert status["candidates"] == status["accepted"] + sum(status["rejected"].values())

    found = outcomes(directory)
    assert max(Counter(one.request_id for one in found).values()) == 1
    assert Counter(one.stage for one in found) == Counter(status["requests"])
    replies = completions(directory)
    assert len(found) - len(replies) == sum(status["failed"].values())

    limits = {
        stage: SMALL[f"{stage}_max_tokens"] for stage in ("generate", "classify", "instances")
    }
    for reply in replies:
        completion, usage = reply.completion, reply.completion.usage
        assert usage is not None, reply
        assert usage.prompt_tokens > 0
        assert usage.completion_tokens <= limits[reply.stage]
        # Both servers say "length" exactly where the limit is reached, unless a stop is met there.
        if completion.finish_reason == "length":
            assert usage.completion_tokens == limits[reply.stage]
        else:
            assert completion.finish_reason == "stop", reply
    for name in ("prompt_tokens", "completion_tokens"):
        assert status[name] == sum(getattr(one.completion.usage, name) for one in replies)

    with selfinstruct("verify", directory) as process:
        told, said = process.communicate(timeout=60)
    assert process.returncode == 0, told + said
    return status
