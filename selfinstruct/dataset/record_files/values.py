r"""Converts values to JSON text and to CSV cells.

>>> dumps({"a": [1.5, "é"], "b": float("nan")})
'{"a": [1.5, "é"], "b": null}'
>>> as_text([1, None])
'[1, null]'
"""

import base64
import datetime
import decimal
import json
from collections.abc import Mapping
from typing import Any


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return `value` as JSON text, on one line or indented.

    Non-ASCII characters are not escaped, unless the text contains lone surrogates. Times, decimals and UTF-8
    bytes become strings; other bytes become base64. NaN and infinities become null.
    """
    options: dict[str, Any] = {"indent": indent, "default": _known, "allow_nan": False}
    try:
        text = json.dumps(value, ensure_ascii=False, **options)
    except ValueError:  # A number is NaN or infinite.
        value = json.loads(json.dumps(value, default=_known), parse_constant=lambda _: None)
        text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, **options)
    return text


def _known(value: object) -> Any:
    """Return an equivalent for a value whose type JSON does not have, such as a string for a time."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def as_text(value: object) -> str:
    """Return `value` as a CSV cell: text unchanged, None as "", other values as JSON."""
    if value is None:
        return ""
    if not isinstance(value, bool | int | float | list | Mapping):
        value = _known(value)
    return str(encodable(value if isinstance(value, str) else dumps(value)))


def encodable(value: Any) -> Any:
    r"""Return `value` with each lone surrogate in its texts replaced by its escape, such as \ud800."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return [encodable(item) for item in value] if isinstance(value, list) else value
