"""Reads JSON lists and JSON lines."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from selfinstruct.dataset.record_files.source import Record, RecordReader
from selfinstruct.errors import InputError

DEEPEST = 200
"""Maximum nesting depth of lists and objects. Python can write deeper values only in some formats."""
_TOO_DEEP = f"is nested more than {DEEPEST} levels deep; make it flatter"
_KINDS = {str: "text", int: "a number", float: "a number", bool: "true or false", list: "a list"}


def kind_of(value: object) -> str:
    """Return a parsed value's kind in words, such as "text", "a number" or "an object"."""
    if value is None:
        return "null"
    return "an object" if isinstance(value, Mapping) else _KINDS.get(type(value), "something else")


class _UnusableError(ValueError):
    """A JSON value that selfinstruct does not accept in a record."""


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _UnusableError(f"has the number {text[:20]}, which is too large; put it in quotes")
    return number


_DECODER = json.JSONDecoder(parse_float=_float)


def _problem(error: Exception) -> str:
    """Return a message that states the problem with the JSON text and its remedy."""
    if isinstance(error, json.JSONDecodeError):
        reason = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        return f"is not JSON: {reason} (column {error.colno:,}); fix it there"
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    if isinstance(error, _UnusableError):
        return str(error)
    return "has an integer with thousands of digits; put it in quotes"


def _is_too_deep(value: object, levels: int = DEEPEST) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_too_deep(part, levels - 1) for part in parts)


def _object(value: object, rule: str) -> dict[str, Any]:
    """Return `value` if it is an object. Raises ValueError if it is not, or if it is nested too deeply.

    `rule` is the part of the error message that says what is required.
    """
    if not isinstance(value, dict):
        raise _UnusableError(f"is {kind_of(value)}, not an object; {rule}")
    if _is_too_deep(value):
        raise _UnusableError(_TOO_DEEP)
    return value


def begins_with_lines(head: bytes) -> bool:
    """Return whether the first line is a complete object and another line follows."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


class JsonLinesReader(RecordReader):
    """Reads each line as an object. Empty lines are skipped."""

    format = "jsonl"

    def _records(self) -> Iterator[Record]:
        number = 0
        rule = "each line must be one complete object"
        for line, text in self._source.text_lines():
            stripped = text.strip(" \t\r\n")
            if not stripped:
                continue
            number += 1
            try:
                fields = _object(_DECODER.decode(stripped), rule)
            except (ValueError, RecursionError) as error:
                problem = _problem(error)
                if isinstance(error, json.JSONDecodeError):
                    problem += f"; {rule}"
                if stripped.startswith("["):
                    problem += f"; for a JSON list, {self._source.remedy('json')}"
                raise InputError(self._source.name, problem, line=line) from None
            yield Record(fields, self._source.name, number, line)


class JsonListReader(RecordReader):
    """Reads a list of objects, which is kept in memory."""

    format = "json"
    _share: float | None = 0.0

    @property
    def share(self) -> float | None:
        """The share of the records read so far, from 0 to 1."""
        return self._share

    def _records(self) -> Iterator[Record]:
        values = self._parsed()
        for number, value in enumerate(values, start=1):
            try:
                fields = _object(value, "every entry must be an object")
            except ValueError as error:
                raise Record({}, self._source.name, number).fault(str(error)) from None
            self._share = number / len(values)
            yield Record(fields, self._source.name, number)

    def _parsed(self) -> list[Any]:
        text = self._source.text()
        try:
            values = _DECODER.decode(text)
        except json.JSONDecodeError as error:
            raise self._broken(text, error) from None
        except (ValueError, RecursionError) as error:
            raise InputError(self._source.name, _problem(error)) from None
        if isinstance(values, list):
            return values
        problem = f"is {kind_of(values)}, not a list of objects"
        if isinstance(values, dict):
            lists = [key for key, value in values.items() if value and isinstance(value, list)]
            inner = f"extract the list (jq '.{json.dumps(lists[:1])}' FILE), or " if lists else ""
            problem += f"; {inner}for an object per line, {self._source.remedy('jsonl')}"
        raise InputError(self._source.name, problem)

    def _broken(self, text: str, error: json.JSONDecodeError) -> InputError:
        problem = _problem(error)
        if text[error.pos : error.pos + 1] == "\0":
            problem = f"has a NUL character (column {error.colno:,}); delete it"
        elif error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            problem += "; is the file cut off?"
        return InputError(self._source.name, problem, line=error.lineno)
