"""The request log: what arrived, what was handed over and what that costs, as JSON lines without any text.

Two lines per request::

    {"event": "received", "number": 7, "at": 0.125, "client_request_id": "g-7",
     "body_sha256": "…", "prompt_sha256": "…", "attempt": 1}
    {"event": "answered", …the same…, "status": 200, "finish_reasons": ["stop"],
     "prompt_tokens": 812, "completion_tokens": 140,
     "billed_prompt_tokens": 812, "billed_completion_tokens": 140}

With a fault plan the second line names the fault, if there was one. It is another if no whole reply was
handed over, because of a fault, or because the client hung up before it was to be answered::

    {"event": "answered", …the same…, "status": 429, …, "billed_prompt_tokens": 0, …, "fault": "status"}
    {"event": "broken", …the same…, "billed_prompt_tokens": 812, …, "fault": "reset"}
    {"event": "hung_up", …the same…, "billed_prompt_tokens": 812, …}

What is billed is what was written, whether or not anybody got it: the sum over a log is the invoice.

Whoever rehearses a crash compares this log with what the client believes. It holds digests only:
no header but the client's own request id, and no text of prompts or replies.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO


class RequestLog:
    """A request log at `path` (appended to, flushed after each line), or nowhere for None.

    A new file can be read by its owner only. Raises OSError when it cannot be opened for writing.
    """

    def __init__(self, path: Path | None) -> None:
        self._lines = None if path is None else _appending(path)
        self._began = time.monotonic()
        self._arrivals = 0

    @property
    def is_kept(self) -> bool:
        """Whether anything is written."""
        return self._lines is not None

    def received(
        self,
        *,
        client_request_id: str | None,
        body_sha256: str,
        prompt_sha256: str | None,
        attempt: int | None,
    ) -> dict[str, Any]:
        """Notes an arrival and returns its entry, which the note of what became of it wants back.

        `attempt` says how often the same request has arrived by now.
        """
        self._arrivals += 1
        entry = {
            "number": self._arrivals,
            "client_request_id": client_request_id,
            "body_sha256": body_sha256,
            "prompt_sha256": prompt_sha256,
            "attempt": attempt,
        }
        self._write("received", entry)
        return entry

    def answered(
        self,
        entry: dict[str, Any],
        *,
        status: int,
        reply: dict[str, Any],
        billed: Mapping[str, int],
        fault: str | None,
    ) -> None:
        """Notes that `reply` (a completion, an error body, or {}) was handed over for `entry`.

        `billed` is the usage that is to be paid for, here as below; empty where that is nothing.
        """
        usage = reply.get("usage") or {}
        choices = reply.get("choices") or []
        told: dict[str, Any] = {
            "status": status,
            "finish_reasons": [choice["finish_reason"] for choice in choices],
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "completion_tokens": usage.get("completion_tokens", 0),
            **_billed(billed),
        }
        if fault is not None:
            told["fault"] = fault
        self._write("answered", entry | told)

    def broken(
        self, entry: dict[str, Any], *, billed: Mapping[str, int], fault: str | None
    ) -> None:
        """Notes that no whole reply for `entry` was handed over, by `fault` or (None) as the server ended."""
        self._write("broken", {**entry, **_billed(billed), "fault": fault})

    def hung_up(self, entry: dict[str, Any], *, billed: Mapping[str, int]) -> None:
        """Notes that the client was gone before `entry` was to be answered."""
        self._write("hung_up", {**entry, **_billed(billed)})

    def _write(self, event: str, entry: dict[str, Any]) -> None:
        if self._lines is None:
            return
        at = round(time.monotonic() - self._began, 6)
        self._lines.write(json.dumps({"event": event, "at": at, **entry}) + "\n")
        self._lines.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines is not None:
            self._lines.close()


def _billed(usage: Mapping[str, int]) -> dict[str, int]:
    return {
        "billed_prompt_tokens": usage.get("prompt_tokens", 0),
        "billed_completion_tokens": usage.get("completion_tokens", 0),
    }


def _appending(path: Path) -> TextIO:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.fdopen(os.open(path, flags, 0o600), "a", encoding="utf-8")
