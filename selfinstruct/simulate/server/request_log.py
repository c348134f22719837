"""The request log: JSON lines about requests, replies and billed tokens, without any prompt or reply text.

Each request has two lines. The first is "received", and the second tells how the request ended::

    {"event": "received", "at": 0.125, "number": 7, "client_request_id": "g-7",
     "body_sha256": "…", "prompt_sha256": "…", "attempt": 1}
    {"event": "answered", …the same…, "status": 200, "finish_reasons": ["stop"],
     "prompt_tokens": 812, "completion_tokens": 140,
     "billed_prompt_tokens": 812, "billed_completion_tokens": 140}

The second event is "broken" if a fault or a server shutdown prevented a complete reply, and "hung_up" if the
client disconnected before the reply. If a fault affected the request, the key "fault" contains the fault's
name. The billed tokens are those that a provider would charge for, even if the client did not receive the
reply. Of the request and the reply, the log contains only the client's request id and hashes.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from selfinstruct.simulate.protocol.replies import Reply

_TOKENS: Final = ("prompt_tokens", "completion_tokens")


class RequestLog:
    """A log that appends to the file `path` and flushes each line. If `path` is None, lines are discarded.

    Only the owner can read a newly created file. Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        opened = os.open(path or os.devnull, flags, 0o600)
        self._lines = os.fdopen(opened, "a", encoding="utf-8")
        self._began = time.monotonic()
        self._arrivals = 0

    def received(self, **values: str | int | None) -> dict[str, Any]:
        """Write a request's "received" line. Returns the request's entry, which `ended` needs."""
        self._arrivals += 1
        entry = {"number": self._arrivals, **values}
        self._write("received", entry)
        return entry

    def ended(
        self,
        event: str,
        entry: dict[str, Any],
        *,
        billed: Mapping[str, int],
        fault: str | None = None,
        reply: "Reply | None" = None,
    ) -> None:
        """Write a request's second line. `event` is "answered", "broken" or "hung_up".

        `billed` is the billed usage; it is empty if nothing is billed. `fault` is the name of the fault that
        affected the request. `reply` is the reply that was sent, if the event is "answered".
        """
        result: dict[str, Any] = {}
        if reply is not None:
            usage = reply.data.get("usage") or {}
            choices = reply.data.get("choices") or []
            result["status"] = reply.status
            result["finish_reasons"] = [choice["finish_reason"] for choice in choices]
            result |= {name: usage.get(name, 0) for name in _TOKENS}
        result |= {f"billed_{name}": billed.get(name, 0) for name in _TOKENS}
        if fault is not None:
            result["fault"] = fault
        self._write(event, entry | result)

    def _write(self, event: str, entry: dict[str, Any]) -> None:
        at = round(time.monotonic() - self._began, 6)
        self._lines.write(json.dumps({"event": event, "at": at, **entry}) + "\n")
        self._lines.flush()

    def close(self) -> None:
        """Close the log file."""
        self._lines.close()
