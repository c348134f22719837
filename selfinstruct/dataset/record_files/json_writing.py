"""Records as a JSON list or JSON lines. What was JSON is not written anew: its text is."""

from collections.abc import Mapping
from typing import Any

from selfinstruct.dataset.record_files.json_text import (
    dumps,
    on_one_line,
    with_members,
    with_values,
)
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.sink import SinkWriter

_MARGIN = "    "


def _text(record: Record, added: Mapping[str, Any], margin: str | None) -> str:
    """A record as the text of an object; what was no JSON is spread behind the margin, if there is one."""
    if not isinstance(record.raw, str):
        return dumps({**record.fields, **added}, margin=margin)
    raw: str = record.raw
    if not added:
        return raw
    fields = record.fields
    there = {key: value for key, value in added.items() if key in fields}
    new = {key: value for key, value in added.items() if key not in fields}
    return with_members(with_values(raw, there) if there else raw, new)


class JsonLinesWriter(SinkWriter):
    """An object a line."""

    def write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record."""
        line = on_one_line(_text(record, added, None))
        self._sink.stream.write(line.encode("utf-8") + b"\n")


class JsonListWriter(SinkWriter):
    """A list, laid out as `selfinstruct export` does it."""

    _is_begun = False

    def write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record."""
        before = ",\n" if self._is_begun else "[\n"
        self._is_begun = True
        text = _text(record, added, _MARGIN)
        self._sink.stream.write((before + _MARGIN + text).encode("utf-8"))

    def finish(self) -> None:
        """Write the end."""
        self._sink.stream.write(b"\n]\n" if self._is_begun else b"[]\n")
