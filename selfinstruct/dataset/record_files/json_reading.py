"""JSON lists and JSON lines, read one object at a time; the text of each is kept."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.source import LONGEST, Source, SourceReader
from selfinstruct.errors import InputError

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_KEY = re.compile(r'[ \t\r\n,]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_LIST = re.compile(r"\[[ \t\r\n]*\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECE = 1 << 17
_MARGIN = 16
"""An error this near to the end of what was read may be due to the rest missing: `-Infini`, `"\\ud83`."""
_KINDS = {str: "text", int: "a number", float: "a number", bool: "true or false", list: "a list"}


def kind_of(value: object) -> str:
    """What a parsed value is, in words."""
    if value is None:
        return "null"
    return "an object" if isinstance(value, dict) else _KINDS.get(type(value), "something else")


def begins_with_lines(head: bytes) -> bool:
    """Whether this is the beginning of JSON lines: an object that fills a line, and something behind it."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _in_words(error: Exception) -> str:
    """What is wrong with JSON text, and what helps."""
    if isinstance(error, json.JSONDecodeError):
        said = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        return f"is not JSON: {said}; mend it there"
    if isinstance(error, RecursionError):
        return "is nested too deeply; make it flatter"
    return "holds a whole number with thousands of digits; put it in quotes"


def _key_of_a_list(text: str, at: int) -> str | None:
    """How jq names the first list of objects in an object, as far as its text goes."""
    at += 1
    try:
        while key := _KEY.match(text, at):
            if _LIST.match(text, key.end()):
                name: str = json.loads(key[1])
                return f".{name}" if _NAME.fullmatch(name) else f"'.{json.dumps([name])}'"
            _, at = _DECODER.raw_decode(text, key.end())
    except (ValueError, RecursionError):
        pass
    return None


class JsonLines(SourceReader):
    """An object a line; empty lines are passed over."""

    def __iter__(self) -> Iterator[Record]:
        number = 0
        for line, text in self._source.text_lines():
            raw = text.strip(" \t\r\n")
            if not raw:
                continue
            number += 1
            try:
                value = json.loads(raw)
            except (ValueError, RecursionError) as error:
                problem = _in_words(error)
                if isinstance(error, json.JSONDecodeError):
                    problem = problem.replace("; mend", f" (column {error.colno}); mend")
                    problem += ": a line holds one whole object"
                    if raw == "[":
                        problem += f"; for one JSON list {self._source.as_format('json')}"
                raise InputError(self._source.name, problem, line=line) from None
            if not isinstance(value, dict):
                problem = f"is {kind_of(value)}, not an object; a line holds one whole object"
                if isinstance(value, list):
                    problem += f"; for one JSON list {self._source.as_format('json')}"
                raise InputError(self._source.name, problem, line=line)
            yield Record(value, self._source.name, number, line, raw, len(raw))


class JsonList(SourceReader):
    """A list of objects, of which never more than a piece is in memory."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._before = 0
        """Characters of the line in which the text begins that were let go of."""
        self._is_whole = False

    def __iter__(self) -> Iterator[Record]:
        opening = self._next()
        if opening != "[":
            if opening == "{":
                key = _key_of_a_list(self._text, self._at)
                inner = f"write out the list that is in it (jq {key} FILE), or " if key else ""
                raise self._fault(
                    f"is one object, not a list of them; {inner}"
                    f"{self._source.as_format('jsonl')} for an object a line"
                )
            raise self._fault("is no list of objects: it must begin with [")
        self._at += 1
        number = 0
        if self._next() == "]":
            self._end()
            return
        while True:
            number += 1
            self._next()
            line = self._line
            begin, value = self._value(number)
            raw = self._text[begin : self._at]
            yield Record(value, self._source.name, number, line, raw, len(raw), is_listed=True)
            following = self._next()
            if following == "]":
                break
            if following != ",":
                raise self._fault(
                    "expected , or ] behind an object of the list"
                    if following
                    else "ends within the list, whose ] is missing; is the file cut off?"
                )
            self._at += 1
        self._end()

    def _end(self) -> None:
        self._at += 1
        if self._next():
            raise self._fault("goes on behind the end of the list; delete what stands there")

    def _next(self) -> str:
        """The next character that is no space, "" at the end of the file; sets place and line to it."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._is_whole:
                self._count_lines()
                return self._text[self._at : self._at + 1]
            self._more()

    def _count_lines(self) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at

    def _value(self, number: int) -> tuple[int, dict[str, Any]]:
        """Where the next value begins, and the value; reads on until it is whole."""
        while True:
            first = self._text[self._at : self._at + 1]
            if first == "]":
                raise self._fault("has a comma before the end of the list; delete the comma")
            if first and first != "{":
                raise self._no_object(number)
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                may_go_on = error.msg.startswith("Unterminated") or (
                    error.pos + _MARGIN >= len(self._text)
                )
                if self._is_whole or not may_go_on:
                    raise self._broken(error, number) from None
                self._more()
            except (ValueError, RecursionError) as error:
                at = self._in_record(number, self._at)
                problem = _in_words(error).replace("; ", f" {at}; ", 1)
                raise self._fault(problem) from None
            else:
                begin, self._at = self._at, end
                return begin, value

    def _no_object(self, number: int) -> InputError:
        try:
            found = kind_of(_DECODER.raw_decode(self._text, self._at)[0])
        except (ValueError, RecursionError):
            found = "something else"
        return self._fault(f"entry {number} of the list is {found}, not an object")

    def _broken(self, error: json.JSONDecodeError, number: int) -> InputError:
        if self._is_whole and error.pos + _MARGIN >= len(self._text.rstrip()):
            self._at = len(self._text.rstrip())
            self._count_lines()
            return self._fault(f"ends within an object (record {number}); is the file cut off?")
        if "\0" in self._text[error.pos : error.pos + 1]:
            problem = "holds a NUL character; delete it"
        else:
            problem = _in_words(error)
        place = self._in_record(number, error.pos)
        said, _, remedy = problem.rpartition("; ")
        problem = f"{said} {place}; {remedy}"
        line = self._line + self._text.count("\n", self._counted, error.pos)
        return InputError(self._source.name, problem, line=line)

    def _in_record(self, number: int, at: int) -> str:
        """Which record it is and where in its line this character stands, for a person."""
        behind = self._text.rfind("\n", 0, at) + 1
        column = at - behind + 1 + (0 if behind else self._before)
        return f"(record {number}, column {column:,})"

    def _more(self) -> None:
        """Read on: as much again as there is, so that a large object is not begun anew for every piece."""
        waiting = len(self._text) - self._at
        if waiting > LONGEST:
            raise self._fault(f"holds an object of more than {LONGEST:,} characters")
        self._count_lines()
        last = self._text.rfind("\n", 0, self._at)
        self._before = self._at - last - 1 + (self._before if last < 0 else 0)
        self._text, self._at, self._counted = self._text[self._at :], 0, 0
        with self._source.faults():
            # A pipe gives little at a time: for a large object it is waited for more.
            stream = self._source.stream
            piece = stream.read(waiting) if waiting > _PIECE else stream.read1(_PIECE)
        self._is_whole = not piece
        try:
            self._text += self._decode(piece, final=self._is_whole)
        except UnicodeDecodeError as error:
            readable = error.object[: error.start].decode("utf-8")
            line = self._line + self._text.count("\n") + readable.count("\n")
            problem = f"is not UTF-8 text ({error.reason}); save it as such"
            raise InputError(self._source.name, problem, line=line) from None

    def _fault(self, problem: str) -> InputError:
        return InputError(self._source.name, problem, line=self._line)
