r"""JSON objects as text: members are put in without touching the others, and values are written as JSON.

>>> with_members('{"a": 1.10, "b": [1e400]}', {"c": "x"})
'{"a": 1.10, "b": [1e400], "c": "x"}'
>>> on_one_line('{\n    "a": "b"\n}')
'{ "a": "b" }'
"""

import base64
import datetime
import decimal
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_LINE_END = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")
_STEP = 4


class Member(NamedTuple):
    """A member of an object, and where the text of its value stands."""

    key: str
    value: Any
    begin: int
    end: int


def members(raw: str) -> Iterator[Member]:
    """The members of an object's text in order, those whose key stands twice too."""
    at = _after_space(raw, 1)
    while raw[at] != "}":
        key, at = _DECODER.raw_decode(raw, at)
        begin = _after_space(raw, _after_space(raw, at) + 1)  # behind the colon
        value, end = _DECODER.raw_decode(raw, begin)
        yield Member(key, value, begin, end)
        at = _after_space(raw, end)
        if raw[at] == ",":
            at = _after_space(raw, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def with_members(raw: str, added: Mapping[str, Any]) -> str:
    """An object's text with members put at its end, laid out like those that are there."""
    gap = raw[1 : _after_space(raw, 1)]
    margin = gap.rpartition("\n")[2] if "\n" in gap else None
    body = raw[:-1].rstrip(" \t\r\n")
    closing = raw[len(body) :]
    for key, value in added.items():
        comma = "" if body == "{" else ("," if gap else ", ")
        body += f"{comma}{gap}{dumps(key)}: {dumps(value, margin=margin)}"
    return body + closing


def with_values(raw: str, values: Mapping[str, Any]) -> str:
    """An object's text with other values for some keys, wherever they stand in it."""
    pieces, at = [], 0
    for member in members(raw):
        if member.key in values:
            pieces += [raw[at : member.begin], dumps(values[member.key])]
            at = member.end
    return "".join(pieces) + raw[at:]


def on_one_line(raw: str) -> str:
    """JSON text without line ends. Within strings there are none: they would be written as escapes."""
    return _LINE_END.sub(" ", raw) if "\n" in raw or "\r" in raw else raw


def dumps(value: object, *, margin: str | None = None) -> str:
    """A value as JSON, on one line, or spread behind a margin.

    Characters stand as they are, except for halves of surrogate pairs, which only an escape can carry.
    What JSON does not know becomes text: times, decimals; bytes that are no text in base64. Numbers that are
    not finite become null.
    """
    indent = None if margin is None else _STEP

    def written(value: object, *, escaped: bool) -> str:
        return json.dumps(
            value, ensure_ascii=escaped, indent=indent, default=_known, allow_nan=False
        )

    try:
        text = written(value, escaped=False)
    except ValueError:
        value = _finite(value)
        text = written(value, escaped=False)
    if not _is_encodable(text):
        text = written(value, escaped=True)
    return text.replace("\n", "\n" + margin) if margin else text


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _known(value: object) -> Any:
    """What JSON does not know, as something it does."""
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


def _finite(value: object) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def as_text(value: object) -> str:
    """A value as one piece of text, as CSV has it: text as it is, nothing for null, all else as JSON."""
    if value is None:
        return ""
    if not isinstance(value, str):
        known = value if isinstance(value, bool | int | float | list | Mapping) else _known(value)
        value = known if isinstance(known, str) else dumps(known)
    return whole(value)


def whole(text: str) -> str:
    r"""Text that UTF-8 can carry: half of a surrogate pair is written out, as \ud800."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
