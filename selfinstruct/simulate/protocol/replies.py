"""Replies: the bytes that the endpoint sends, and the JSON in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply over HTTP."""

    status: int
    body: bytes
    data: dict[str, Any] = field(default_factory=dict)
    """JSON object in `body`; empty if a client can read none."""
    media_type: str = "application/json"
    headers: Mapping[str, str] | None = None

    @property
    def response(self) -> Response:
        """The reply as a Starlette response."""
        return Response(self.body, self.status, self.headers, self.media_type)


def json_reply(
    status: int, data: dict[str, Any], headers: Mapping[str, str] | None = None
) -> Reply:
    """Return the reply whose body is `data`."""
    # ASCII only: a reply may quote lone surrogates from a prompt, which UTF-8 cannot encode.
    body = json.dumps(data, separators=(",", ":")).encode("ascii")
    return Reply(status=status, body=body, data=data, headers=headers)
