"""Replies: what goes back to a client, as the bytes that are sent and as what can be read in them.

Knows HTTP's side of a reply, and neither how it comes about nor how it is handed over::

    as_json(200, {"object": "list"}).body          b'{"object":"list"}'
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply; `said` is the object that a client reads in it, empty if there is none to be read."""

    status: int
    body: bytes
    said: dict[str, Any] = field(default_factory=dict)
    media_type: str = "application/json"
    headers: Mapping[str, str] | None = None

    @property
    def response(self) -> Response:
        """The same for Starlette."""
        return Response(self.body, self.status, self.headers, self.media_type)


def as_json(status: int, said: dict[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    """The reply that says `said`."""
    # ASCII only: a reply may quote lone surrogates out of a prompt, which UTF-8 cannot carry.
    body = json.dumps(said, separators=(",", ":")).encode("ascii")
    return Reply(status=status, body=body, said=said, headers=headers)
