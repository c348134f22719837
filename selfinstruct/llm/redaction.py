r"""Remove secrets from replies before they are shortened, rewritten or shown.

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

_REPLACEMENT = "…"


def redacted(value: T, secrets: Sequence[str]) -> T:
    """Return a text, bytes or JSON value without the secrets, however they are escaped."""
    if not secrets:
        return value
    result: Any = _redacted(value, _pattern(tuple(secrets)))
    return result  # type: ignore[no-any-return]


def _redacted(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(_REPLACEMENT, value)
    if isinstance(value, bytes):
        text = value.decode(json.detect_encoding(value), errors="replace")
        return pattern.sub(_REPLACEMENT, text).encode() if pattern.search(text) else value
    if isinstance(value, list):
        return [_redacted(item, pattern) for item in value]
    if isinstance(value, dict):
        return {_redacted(n, pattern): _redacted(item, pattern) for n, item in value.items()}
    return value


@lru_cache(maxsize=16)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that matches any secret, the longest first, because one may be part of another."""
    return re.compile("|".join(_spellings(s) for s in sorted(secrets, key=len, reverse=True)))


def _spellings(secret: str) -> str:
    parts = [_BLANKS if part.isspace() else _spelling(part) for part in _PARTS.findall(secret)]
    # UTF-16 text that was decoded byte by byte has a NUL between two characters.
    return "\0*".join(parts)


_PARTS = re.compile(r"\s+|\S")
_BLANKS = r"(?:\s|\\+t|\\+u00(?:09|20)|%09|%20)+"
"""Matches any run of white space, because a server may have merged several spaces into one."""


def _spelling(char: str) -> str:
    """Return a pattern for a character, or for its escaped form in JSON, Python, HTML or a URL."""
    if char.isalnum():
        return char
    number = ord(char)
    return (
        rf"(?:\\*{re.escape(char)}|\\+(?i:u{number:04x})|{re.escape(html.escape(char))}"
        rf"|&#0*{number};|&(?i:#x0*{number:x});|(?i:%{number:02x}))"
    )
