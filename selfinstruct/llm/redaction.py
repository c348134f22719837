r"""Secrets are taken out of what an endpoint sent before any of it is cut, rewritten or shown. Pure.

>>> redacted({"error": ["no such key: sk-0123456789"]}, ["sk-0123456789"])
{'error': ['no such key: …']}
>>> redacted(r'{"said": "it\"s-secret"}', ['it"s-secret'])
'{"said": "…"}'
"""

import html
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

_INSTEAD = "…"


def redacted(value: T, secrets: Sequence[str]) -> T:
    """A text, bytes, or what JSON can hold, without the secrets, however they are escaped in it."""
    if not secrets:
        return value
    taken_out: Any = _redacted(value, _pattern(tuple(secrets)))
    return taken_out  # type: ignore[no-any-return]


def _redacted(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(_INSTEAD, value)
    if isinstance(value, bytes):
        text = value.decode(json.detect_encoding(value), errors="replace")
        return pattern.sub(_INSTEAD, text).encode() if pattern.search(text) else value
    if isinstance(value, list):
        return [_redacted(item, pattern) for item in value]
    if isinstance(value, dict):
        return {_redacted(n, pattern): _redacted(item, pattern) for n, item in value.items()}
    return value


@lru_cache(maxsize=16)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """What matches any of them; the longest first, since one may be a part of another."""
    return re.compile("|".join(_writings(s) for s in sorted(secrets, key=len, reverse=True)))


def _writings(secret: str) -> str:
    parts = [_BLANKS if part.isspace() else _writing(part) for part in _PARTS.findall(secret)]
    return "\0*".join(parts)  # of two-byte characters read one byte each


_PARTS = re.compile(r"\s+|\S")
_BLANKS = r"(?:\s|\\+t|\\+u00(?:09|20)|%09|%20)+"
"""Somebody may have made one blank of several."""


def _writing(char: str) -> str:
    """A character as it is, or as JSON, Python, HTML or an address escapes it."""
    if char.isalnum():
        return char
    number = ord(char)
    return (
        rf"(?:\\*{re.escape(char)}|\\+(?i:u{number:04x})|{re.escape(html.escape(char))}"
        rf"|&#0*{number};|&(?i:#x0*{number:x});|(?i:%{number:02x}))"
    )
