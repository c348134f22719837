"""The request log: arrivals, replies and the bill, as JSON lines without text.

Each request has two lines, "received" and a second one::

    {"event": "received", "at": 0.125, "number": 7, "client_request_id": "g-7",
     "body_sha256": "…", "prompt_sha256": "…", "attempt": 1}
    {"event": "answered", …the same…, "status": 200, "finish_reasons": ["stop"],
     "prompt_tokens": 812, "completion_tokens": 140,
     "billed_prompt_tokens": 812, "billed_completion_tokens": 140}

The second event is "broken" if a fault or the end of the server prevented a whole reply, and "hung_up" if
the client left before the reply. A key "fault" names the fault. The billed tokens are the tokens of the
written reply, even if the client did not receive the reply. Their sum is the bill. The log holds the
request id of the client and digests, but no other header and no text.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RequestLog:
    """A log that appends to `path` and flushes each line; None discards all lines.

    A new file is readable by its owner only. Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._lines = None
        if path is not None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._lines = os.fdopen(os.open(path, flags, 0o600), "a", encoding="utf-8")
        self._began = time.monotonic()
        self._arrivals = 0

    @property
    def is_open(self) -> bool:
        """True if the log writes lines."""
        return self._lines is not None

    def received(self, **values: str | int | None) -> dict[str, Any]:
        """Write an arrival and return its entry, which the second line needs."""
        self._arrivals += 1
        entry = {"number": self._arrivals, **values}
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
        """Write that the client got `reply`: a completion, an error body, or {} for anything else.

        `billed` is the billed usage, empty for nothing.
        """
        usage = reply.get("usage") or {}
        choices = reply.get("choices") or []
        result: dict[str, Any] = {
            "status": status,
            "finish_reasons": [choice["finish_reason"] for choice in choices],
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "completion_tokens": usage.get("completion_tokens", 0),
            **_billed(billed),
        }
        if fault is not None:
            result["fault"] = fault
        self._write("answered", entry | result)

    def broken(
        self, entry: dict[str, Any], *, billed: Mapping[str, int], fault: str | None
    ) -> None:
        """Write that the client got no whole reply, because of `fault` or (None) the end of the server."""
        self._write("broken", {**entry, **_billed(billed), "fault": fault})

    def hung_up(self, entry: dict[str, Any], *, billed: Mapping[str, int]) -> None:
        """Write that the client left before the reply."""
        self._write("hung_up", {**entry, **_billed(billed)})

    def _write(self, event: str, entry: dict[str, Any]) -> None:
        if self._lines is None:
            return
        at = round(time.monotonic() - self._began, 6)
        self._lines.write(json.dumps({"event": event, "at": at, **entry}) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()


def _billed(usage: Mapping[str, int]) -> dict[str, int]:
    return {
        "billed_prompt_tokens": usage.get("prompt_tokens", 0),
        "billed_completion_tokens": usage.get("completion_tokens", 0),
    }
