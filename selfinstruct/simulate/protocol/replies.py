"""Replies: the bytes that the endpoint sends, and the JSON in them."""

import json
import uuid
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
        """The reply as a Starlette response, with an id of the request."""
        headers = {**(self.headers or {}), "x-request-id": f"req_{uuid.uuid4().hex}"}
        return Response(self.body, self.status, headers, self.media_type)


def json_reply(status: int, data: dict[str, Any]) -> Reply:
    """Return the reply whose body is `data`."""
    # ASCII only: a reply may quote lone surrogates from a prompt, which UTF-8 cannot encode.
    body = json.dumps(data, separators=(",", ":")).encode("ascii")
    return Reply(status=status, body=body, data=data)


def error_reply(
    status: int, message: str, *, kind: str, param: str | None = None, code: str | None = None
) -> Reply:
    """Return the reply with an error object of OpenAI."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json_reply(status, {"error": error})
