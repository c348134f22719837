"""Reads a record's text from chosen fields, which may be nested."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfinstruct.dataset.record_files.formats import separator_remark, shortened
from selfinstruct.dataset.record_files.json_reading import kind_of

_MISSING = object()
_SHOWN = 8
"""Maximum number of field names in an error message."""


def text_of(fields: Mapping[str, Any], names: Sequence[str], *, option: str = "--field") -> str:
    """Return the texts in the fields `names`, joined by newlines. Empty texts are left out.

    A name may refer to a nested value, such as `messages.0.content`. If at least one of the fields is a text,
    missing and null fields count as empty. Raises ValueError if no field is a text or a field has another
    type. The error message suggests using `option`.

    >>> text_of({"messages": [{"content": "Hello!"}]}, ["messages.0.content"])
    'Hello!'
    """
    values = {name: _value(fields, name) for name in names}
    texts = [value for value in values.values() if isinstance(value, str)]
    for name, value in values.items():
        is_missing = value is None or value is _MISSING
        if not isinstance(value, str) and not (is_missing and texts):
            raise ValueError(_problem(fields, name, value, option))
    return "\n".join(text for text in texts if text) if len(texts) > 1 else texts[0]


def has_text(fields: Mapping[str, Any], name: str) -> bool:
    """Return whether the field `name` is a text, which may be empty."""
    return isinstance(_value(fields, name), str)


def _value(fields: Mapping[str, Any], name: str) -> Any:
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part in map(str, range(len(value))):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _problem(fields: Mapping[str, Any], name: str, value: object, option: str) -> str:
    if value is not _MISSING:
        return f"the field {name!r} is {kind_of(value)}, not text; {_remedy(name, value, option)}"
    names = ", ".join(map(shortened, list(fields)[:_SHOWN])) or "none"
    more = ", …" if len(fields) > _SHOWN else ""
    remedy = _separator(fields) or f"choose a field with {option} (fields: {names}{more})"
    return f"has no field {name!r}; {remedy}"


def _separator(fields: Mapping[str, Any]) -> str:
    """Return a remedy if the only field's name looks like a CSV header with another separator, else ""."""
    only = next(iter(fields)) if len(fields) == 1 else ""
    remark = separator_remark(only)
    return f"the only field is {shortened(only)}, so {remark}" if remark else ""


def _remedy(name: str, value: object, option: str) -> str:
    inner = ""
    if isinstance(value, Mapping):
        inner = f".{next(iter(value), 'text')}"
    elif isinstance(value, list):
        is_list_of_objects = value and isinstance(value[0], Mapping)
        inner = f".0.{next(iter(value[0]), 'text')}" if is_list_of_objects else ".0"
    if inner:
        return f"choose a text within it, such as {option} {name}{inner[:43]}"
    return f"fix the record, or choose another field with {option}"
