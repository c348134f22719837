"""What a person may add to what is sent: members of the body, headers. Pure; sends nothing.

A header is stored and shown as it was written. What is secret in it stands in an environment variable, whose
value is put in when the header is sent, and not before:

    >>> header_problem("X-Title: my run")
    >>> header_problem("X-Title")
    "must have the form 'Name: value', with a name of letters, digits and hyphens"
    >>> filled_in("api-key: $MY_KEY", {"MY_KEY": "0123456789"})
    Header(name='api-key')
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfinstruct.errors import ConfigError

_TAKEN = {
    "model": "it is named by --model",
    "messages": "they are made by the templates",
    "prompt": "it is made by the templates",
    "stream": "replies are read whole",
}
"""Members that are no extra ones, and why."""


def body_problem(members: object) -> str | None:
    """What is wrong with members to add to every request's body, or None."""
    if not isinstance(members, Mapping) or not all(isinstance(name, str) for name in members):
        return "must be a JSON object, a mapping of names to values"
    for name, why in _TAKEN.items():
        if name in members:
            return f"must not hold {name!r}: {why}"
    count = members.get("n")
    if count is not None and (count != 1 or isinstance(count, bool)):
        return "must not hold an 'n' other than 1: one reply is read per request"
    try:
        json.dumps(members, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return "holds something that JSON cannot hold"
    return None


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it is sent. `secrets` are the values that must not be shown."""

    name: str
    value: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_SECRET = re.compile(
    r"key|token|secret|cookie|credential|passw|authoriz|session|signature|jwt|auth(?![a-z])",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"(?:bearer|basic|token)\s|sk-", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|token|key|api-?key)\s+", re.IGNORECASE)
"""A word that says what follows it."""
_COOKIE_NAME = re.compile(r"(?:(?<=[;\s])|^)[\w.-]+=")
_OURS = frozenset(
    "connection content-encoding content-length content-type host transfer-encoding "
    "x-client-request-id".split()
)
_FORM = "has the form 'Name: value'"


def header_problem(line: str) -> str | None:
    """What is wrong with a header, or None. Never repeats a value, which may be a secret."""
    name, colon, value = (part.strip(" \t") for part in line.partition(":"))
    if not colon or _NAME.fullmatch(name) is None:
        # What stands before a colon that is no name may be a secret, too.
        return "must have the form 'Name: value', with a name of letters, digits and hyphens"
    if not value:
        return f"{name} has no value; a header {_FORM}"
    if not is_sendable(value):
        return f"{name} has a value with a line end, or with characters other than ASCII"
    if name.lower() in _OURS:
        return f"{name} is set by selfinstruct itself"
    if "${" in _VARIABLE.sub("", value):
        return f"{name} has a '${{' that begins no name of an environment variable, as in ${{NAME}}"
    if looks_secret(name, value) and _is_literal(name, value):
        variable = "MY_KEY" if name.lower() == "authorization" else _variable(name)
        example = f"{name}: {'Bearer ' if name.lower() == 'authorization' else ''}${variable}"
        return (
            f"{name} looks like a secret, which would be stored and shown; put all of it into an environment "
            f"variable and write '{example}', in single quotes"
        )
    return None


def _is_literal(name: str, value: str) -> bool:
    """Whether anything but variables, what stands between them and a leading scheme is in a value."""
    rest = _SCHEME.sub("", value, count=1) if _SCHEME.match(value) else value
    if name.lower() == "cookie":
        rest = _COOKIE_NAME.sub("", rest)
    rest, variables = _VARIABLE.subn("", rest)
    return not variables or any(char.isalnum() for char in rest)


def headers_problem(lines: Sequence[str]) -> str | None:
    """What is wrong with some headers, or None."""
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        return f"must be a list of texts, each of which {_FORM}"
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
    """Whether a header of this name holds what nobody may see, or its value begins as a secret does."""
    return bool(_SECRET.search(name) or _SECRET_VALUE.match(value))


def filled_in(line: str, environ: Mapping[str, str]) -> Header:
    """A header with its variables replaced by their values. Raises ConfigError for one that is not set."""
    name, _, value = (part.strip(" \t") for part in line.partition(":"))
    secrets: list[str] = []

    def found(match: re.Match[str]) -> str:
        variable = match[1] or match[2]
        content = environ.get(variable, "").strip()
        if not content:
            raise ConfigError("extra_header", f"{name} needs ${variable}, which is not set")
        if not is_sendable(content):
            raise ConfigError(
                "extra_header",
                f"{name} needs ${variable}, which holds a line end or characters other than ASCII",
            )
        secrets.append(content)
        return content

    sent = _VARIABLE.sub(found, value)
    # The longest first: one may be a part of another. A value of a letter or two is no secret, and taking it
    # out of a sentence would leave none.
    hidden = sorted({sent, *secrets} if secrets else (), key=len, reverse=True)
    return Header(name, sent, tuple(text for text in hidden if len(text) >= _SHORTEST_SECRET))


_SHORTEST_SECRET = 4


def is_sendable(value: str) -> bool:
    """Whether a header can have this value."""
    return value.isascii() and value.replace("\t", " ").isprintable()


def _variable(name: str) -> str:
    """A name for a variable that holds the value of such a header: api-key → API_KEY."""
    return re.sub(r"\W", "_", name).upper().lstrip("0123456789_") or "MY_KEY"
