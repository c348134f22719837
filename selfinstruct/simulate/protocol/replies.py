"""HTTP replies of the endpoint: the bytes that it sends, and the JSON object that they encode."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP reply."""

    status: int
    body: bytes
    data: dict[str, Any] = field(default_factory=dict)
    """The JSON object that `body` encodes; empty if `body` is not a JSON object."""
    media_type: str = "application/json"
    headers: Mapping[str, str] | None = None

    @property
    def response(self) -> Response:
        """The reply as a Starlette response with a new `x-request-id`."""
        headers = {**(self.headers or {}), "x-request-id": f"req_{uuid.uuid4().hex}"}
        return Response(self.body, self.status, headers, self.media_type)


def json_reply(status: int, data: dict[str, Any]) -> Reply:
    """Return a reply with `data` as its JSON body."""
    # Escape all non-ASCII characters: a reply may quote lone surrogates, which UTF-8 cannot encode.
    body = json.dumps(data, separators=(",", ":")).encode("ascii")
    return Reply(status=status, body=body, data=data)


def error_reply(
    status: int, message: str, *, kind: str, param: str | None = None, code: str | None = None
) -> Reply:
    """Return a reply with an OpenAI error object. `kind` is the error's type."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json_reply(status, {"error": error})
