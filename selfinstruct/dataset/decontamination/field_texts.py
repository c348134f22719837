"""Finds all texts in a record, including nested ones, with the paths of their fields."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_PLACE_IN_LIST = re.compile(r"\.\d+(?=\.|$)")


class FieldText(NamedTuple):
    """A text and its field's path, such as "output" or "messages.1.content"."""

    field: str
    text: str


def texts_of(fields: Mapping[str, object]) -> Iterator[FieldText]:
    """Yield all non-blank strings in a record, in the order of its fields. Any nesting depth is allowed."""
    waiting: list[tuple[str, object]] = [*fields.items()]
    waiting.reverse()
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if value and not value.isspace():
                yield FieldText(path, value)
        elif isinstance(value, Mapping):
            waiting += reversed([(f"{path}.{key}", inner) for key, inner in value.items()])
        elif isinstance(value, list | tuple):
            waiting += reversed([(f"{path}.{n}", inner) for n, inner in enumerate(value)])


def is_within(path: str, field: str) -> bool:
    """Return whether the field at `path` is `field`, or is nested within it.

    `field` may omit list positions: "messages.content" refers to the content of all messages.

    >>> [is_within("messages.1.content", field) for field in ("messages", "messages.content", "messages.0")]
    [True, True, False]
    >>> is_within("input_format", "input")
    False
    """
    shapes = (path, _PLACE_IN_LIST.sub("", path))
    return any(shape == field or shape.startswith(f"{field}.") for shape in shapes)
