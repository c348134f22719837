r"""The format of a journal line.

    line     = '{"seq":' number ',"at":"' time '","crc":"' checksum '",' event-members '}' '\n'
    number   = the line number, counting from 1
    time     = UTC, ISO 8601 with microseconds: 2026-01-31T23:59:59.000000Z
    checksum = CRC-32 (as in zlib and gzip) of the line with its '\n' and without the checksum's digits, as 8
               lowercase hex digits
    event    = an object with "kind" and the event's other members (see selfinstruct.journal_events)

Other tools can read the file, and verify a line's checksum (here for line 12):

    jq -c 'select(.kind == "committed") | .rejected[] | {reason, text}' journal.jsonl
    sed -n 12p journal.jsonl | sed 's/"crc":"[^"]*/"crc":"/' | gzip | tail -c 8 | od -An -N4 -tx4
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

E = TypeVar("E")
"""The union of all event types in a journal."""

Events = Callable[[], "TypeAdapter[E]"]
"""Returns the adapter for a union of event types. It is a function, because importing pydantic is slow."""

JOURNAL_VERSION = 2
"""Version of the line format and the event format. Increase it whenever either format changes."""

_HEAD = re.compile(rb'\{"seq":([1-9]\d{0,14}),"at":"([0-9T:.-]{10,32}Z)","crc":"([0-9a-f]{8})",')


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[E]):
    """A journal line."""

    seq: int
    """Line number, counting from 1."""
    at: datetime
    """Time when the line was written, in UTC."""
    event: E


def encode(seq: int, at: str, event: E, events: "Events[E]") -> bytes:
    """Return an event as a journal line. `at` is the time, formatted as in the grammar above."""
    before = b'{"seq":%d,"at":"%s","crc":"' % (seq, at.encode("ascii"))
    after = b'",%s\n' % events().dump_json(event)[1:]
    return b"%s%08x%s" % (before, zlib.crc32(after, zlib.crc32(before)), after)


class TornLineError(ValueError):
    """Raised for bytes that are not a journal line, such as those that a crash during a write leaves."""


class UnknownLineError(Exception):
    """Raised for an undamaged line whose event is unknown to this version."""


def decode(line: bytes, events: "Events[E]", *, seq: int) -> Entry[E]:
    """Return the entry in a line whose number must be `seq`.

    Raises TornLineError or UnknownLineError, or ValueError if the line was changed after it was written.
    """
    from pydantic import ValidationError

    head = _HEAD.match(line)
    if head is None or not _has_right_checksum(line, head):
        raise _damage(line, head)
    if int(head[1]) != seq:
        raise ValueError(f"has the number {int(head[1])}, but {seq} was expected")
    try:
        at = datetime.fromisoformat(head[2].decode("ascii"))
    except ValueError:
        raise ValueError(f"has a time that does not exist ({head[2].decode('ascii')})") from None
    try:
        event = events().validate_json(b"{" + line[head.end() :])
    except ValidationError:
        raise UnknownLineError("is not an event that this version of selfinstruct knows") from None
    return Entry(seq=seq, at=at, event=event)


def _has_right_checksum(line: bytes, head: re.Match[bytes]) -> bool:
    begin, end = head.span(3)
    return zlib.crc32(line[end:], zlib.crc32(line[:begin])) == int(head[3], 16)


def _damage(line: bytes, head: re.Match[bytes] | None) -> ValueError:
    """Return the error for a line that is incomplete or was changed after it was written."""
    from pydantic_core import from_json

    # A text within a line never matches `_HEAD`, because quotes within texts are escaped.
    if head is not None and _HEAD.search(line, head.end()):
        return ValueError("contains the beginning of another line")
    problem = (
        "does not begin like a journal line" if head is None else "does not match its checksum"
    )
    try:
        from_json(line)
    except ValueError:
        return TornLineError(problem if head is None else "is not JSON")
    return ValueError(f"was changed after it was written: it {problem}")
