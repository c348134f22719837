r"""The format of a journal line.

    line     = '{"seq":' number ',"at":"' time '","crc":"' checksum '",' event-members '}' '\n'
    number   = 1 for the first line, one more for each further line
    time     = UTC, ISO 8601 with microseconds: 2026-01-31T23:59:59.000000Z
    checksum = CRC-32 (zlib, gzip) of the line with its '\n' and without these digits: 8 lowercase hex digits
    event    = an object with "kind" and the members of the event (for a run: selfinstruct.events)

Any tool can read the file, and verify the checksum of a line (here line 12):

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
"""The union of the events of a journal."""

Events = Callable[[], "TypeAdapter[E]"]
"""Returns the adapter of a union of events; a function, since pydantic takes long to import."""

JOURNAL_VERSION = 2
"""Version of the format of lines and events. Increase it with any change to either."""

_HEAD = re.compile(rb'\{"seq":([1-9]\d{0,14}),"at":"([0-9T:.-]{10,32}Z)","crc":"([0-9a-f]{8})",')


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[E]):
    """A line of the journal."""

    seq: int
    """Number of the line, from 1."""
    at: datetime
    """Time of writing in UTC."""
    event: E


def encode(seq: int, at: str, event: E, events: "Events[E]") -> bytes:
    """Return the line of an event; `at` is the time as in the grammar above."""
    before = b'{"seq":%d,"at":"%s","crc":"' % (seq, at.encode("ascii"))
    after = b'",%s\n' % events().dump_json(event)[1:]
    return b"%s%08x%s" % (before, zlib.crc32(after, zlib.crc32(before)), after)


class TornLineError(ValueError):
    """Bytes that are not a line, as a crash during a write leaves them."""


class UnknownLineError(Exception):
    """An undamaged line with an event that this version does not know."""


def decode(line: bytes, events: "Events[E]", *, seq: int) -> Entry[E]:
    """Return the entry of a line with the number `seq`.

    Raises TornLineError or UnknownLineError, and ValueError for a line that was changed.
    """
    from pydantic import ValidationError

    head = _HEAD.match(line)
    if head is None or not _has_right_checksum(line, head):
        raise _damage(line, head)
    if int(head[1]) != seq:
        raise ValueError(f"has number {int(head[1])} where {seq} was expected")
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
    """Return the error for a line that is not as it was written."""
    from pydantic_core import from_json

    # No text in a line contains a head, since its quotes have backslashes.
    if head is not None and _HEAD.search(line, head.end()):
        return ValueError("holds the beginning of another line")
    problem = (
        "does not begin as a journal line does" if head is None else "does not match its checksum"
    )
    try:
        from_json(line)
    except ValueError:
        return TornLineError(problem if head is None else "is not JSON")
    return ValueError(f"was changed after it was written: it {problem}")
