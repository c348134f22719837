"""Check the body members and headers that a user adds to requests (`extra_body`, `extra_header`).

A header is stored and shown as the user wrote it. Secrets must be in environment variables, whose values are
inserted only when the header is sent:

    >>> header_problem("X-Title: my run")
    >>> header_problem("X-Title")
    "must be 'Name: value'; a name consists of letters, digits and hyphens"
    >>> filled_in("api-key: $MY_KEY", {"MY_KEY": "0123456789"})
    Header(name='api-key')
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfinstruct.errors import ConfigError

_RESERVED_MEMBERS = {
    "model": "use --model",
    "messages": "the templates write the messages",
    "prompt": "the templates write the prompt",
    "stream": "streaming is not supported",
}
"""Members that `extra_body` must not contain, each with the reason."""


def body_problem(members: object) -> str | None:
    """Return the problem with the members of `extra_body`, or None if they are valid."""
    if not isinstance(members, Mapping) or not all(isinstance(name, str) for name in members):
        return "must be a JSON object, which maps names to values"
    for name, explanation in _RESERVED_MEMBERS.items():
        if name in members:
            return f"must not contain {name!r}: {explanation}"
    count = members.get("n")
    if count is not None and (count != 1 or isinstance(count, bool)):
        return "must not contain an 'n' other than 1: each request has one reply"
    try:
        json.dumps(members, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return "contains a value that JSON cannot represent"
    return None


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it is sent, with environment variables filled in."""

    name: str
    value: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """Texts that must be removed from messages."""


_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_SECRET = re.compile(
    r"key|token|secret|cookie|credential|passw|authoriz|session|signature|jwt|auth(?![a-z])",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"(?:bearer|basic|token)\s|sk-", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|token|key|api-?key)\s+", re.IGNORECASE)
"""Matches the word before a credential that specifies its type, such as Bearer."""
_COOKIE_NAME = re.compile(r"(?:(?<=[;\s])|^)[\w.-]+=")
_RESERVED_HEADERS = frozenset(
    "connection content-encoding content-length content-type host transfer-encoding "
    "x-client-request-id".split()
)
_MIN_SECRET_CHARACTERS = 4
"""Minimum length of a secret that is removed from messages. Removing shorter ones would garble messages."""


def header_problem(line: str) -> str | None:
    """Return the problem with a header, or None if it is valid.

    The text never repeats the value, which may be a secret.
    """
    name, colon, value = (part.strip(" \t") for part in line.partition(":"))
    if not colon or _NAME.fullmatch(name) is None:
        # Do not repeat an invalid name, because it may be a secret too.
        return "must be 'Name: value'; a name consists of letters, digits and hyphens"
    if not value:
        return f"{name} has no value; write 'Name: value'"
    if not is_sendable(value):
        return f"{name} has a value with a line break or non-ASCII characters"
    if name.lower() in _RESERVED_HEADERS:
        return f"{name} is reserved: selfinstruct sets it"
    if "${" in _VARIABLE.sub("", value):
        return f"{name} has a '${{' without the name of an environment variable; write ${{NAME}}"
    if looks_secret(name, value) and _has_literal_text(name, value):
        example = f"{name}: $MY_KEY"
        if name.lower() == "authorization":
            example = f"{name}: Bearer $MY_KEY"
        return (
            f"{name} looks like a secret, and settings are stored and shown; put the whole secret into an "
            f"environment variable and write '{example}', in single quotes"
        )
    return None


def _has_literal_text(name: str, value: str) -> bool:
    """Return whether a header's value contains text besides variables, separators and a leading scheme."""
    rest = _SCHEME.sub("", value, count=1) if _SCHEME.match(value) else value
    if name.lower() == "cookie":
        rest = _COOKIE_NAME.sub("", rest)
    rest, variables = _VARIABLE.subn("", rest)
    return not variables or any(char.isalnum() for char in rest)


def headers_problem(lines: Sequence[str]) -> str | None:
    """Return the problem with a list of headers, or None if all are valid."""
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        return "must be a list of texts such as 'Name: value'"
    names: set[str] = set()
    for line in lines:
        problem = header_problem(line)
        if problem is not None:
            return problem
        name = line.partition(":")[0].strip()
        if name.lower() in names:
            return f"{name} is given twice"
        names.add(name.lower())
    return None


def looks_secret(name: str, value: str = "") -> bool:
    """Return whether a header's name, or the beginning of its value, suggests a secret."""
    return bool(_SECRET.search(name) or _SECRET_VALUE.match(value))


def filled_in(line: str, environ: Mapping[str, str]) -> Header:
    """Replace the variables in a header with their values. Raises ConfigError if a variable is unset."""
    name, _, value = (part.strip(" \t") for part in line.partition(":"))
    secrets: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        variable = match[1] or match[2]
        content = environ.get(variable, "").strip()
        if not content:
            raise ConfigError("extra_header", f"{name} needs ${variable}, which is not set")
        if not is_sendable(content):
            raise ConfigError(
                "extra_header",
                f"{name} needs ${variable}, which contains a line break or non-ASCII characters",
            )
        secrets.append(content)
        return content

    sent = _VARIABLE.sub(value_of, value)
    # Longest first, because one secret may be part of another.
    hidden = sorted({sent, *secrets} if secrets else (), key=len, reverse=True)
    return Header(name, sent, tuple(text for text in hidden if len(text) >= _MIN_SECRET_CHARACTERS))


def is_sendable(value: str) -> bool:
    """Return whether `value` is valid as a header's value."""
    return value.isascii() and value.replace("\t", " ").isprintable()
