r"""What a text without "Output:" is: the output, where nothing else can be meant, and ambiguous otherwise.

Whether a text is what the task is applied to or what comes out of it must not be guessed.

    Explain why leaves are green.    "They hold chlorophyll, which …"       the output
    Write a function that adds.      "def add(a, b):\n    return a + b"      the output
    Sum up the given text.           "They hold chlorophyll, which …"       ambiguous: the text, or its sum?
    Sort the list.                   "List: [3, 1, 2]"                      ambiguous
"""

import re

from selfinstruct.pipeline.parse.types import Pair
from selfinstruct.records import Reason

_ANSWER = re.compile(
    r"^[ \t]*+(?:\*\*)?(?:answer|response|result|solution)(?:\*\*)?[ \t]*+[:：](?:\*\*)?[ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
_PREFACE = re.compile(
    r"\A\W*+(?:(?:sure|certainly|of course|absolutely|okay)\b[^\n]{0,200}[:：.!]"
    r"|(?:here (?:is|are)|here['’]s|below (?:is|are))\b[^\n]{0,200}[:：])[^\w\n]*+(?:\n|\Z)",
    re.IGNORECASE,
)
# A line that names a field: "List: [1, 2]", "Side lengths: a = 3".
_FIELD = re.compile(r"\W{0,3}[A-Za-z][\w'’-]*(?: [\w'’-]+){0,3}[ \t]*+[:：](?!//)")
_CODE = re.compile(
    r"\s*+(?:```|(?:async )?def \w+\s*\(|class \w+\s*[:({]|import [\w.]+(?: as \w+)?;?\s*$|import .+ from "
    r"|from \w[\w.]* import |#include\b|#!/|(?:public|private|static) [\w<>\[\]]+ \w|function\s*\w*\s*\("
    r"|(?:const|let|var) \w+\s*=|int main\b|package [\w.]+;?\s*$|select\s.+\sfrom\s"
    r"|(?:SELECT|CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM)\s.+|<!(?:doctype|DOCTYPE) html|<html|<\?php"
    r"|for \w+ in .+:\s*$|while .+:\s*$)",
    re.MULTILINE,
)
_WANTS_CODE = re.compile(
    r"\b(?:code|coding|sql|html|css|regex|python|java(?:script)?|c\+\+|implement|function|algorithm)\b"
    r"|\b(?:write|create|make|build|develop|design|generate|complete|fix|debug)\b.{0,60}"
    r"\b(?:program|script|class|method|quer(?:y|ies))\b",
    re.IGNORECASE,
)
# It is given code, not asked for it.
_HAS_CODE = re.compile(
    r"\b(?:this|the|following|given|provided|attached) (?:\w+ )?(?:code|function|program|script|query)\b"
    r"|\bcode (?:below|above)\b",
    re.IGNORECASE,
)
# The task speaks of something that it does not hold: without an input it cannot be done.
_NEEDS_MATERIAL = re.compile(
    r"\b(?:given|following|provided|below|above|attached|supplied|input)\b|\bthe (?:sentence|text|passage"
    r"|paragraph|article|e-?mail|review|code|poem|conversation|dialogue|speaker|document|message)s?\b"
    r"|\b(?:this|these|those) (?:sentence|text|passage|paragraph|article|e-?mail|review|word|number|list"
    r"|array|string|table|code|poem|story|conversation|dialogue|speaker|data|dataset|tweet|post|message|document"
    r"|question|option|statement|expression|equation|program|function|series|sequence|set)s?\b",
    re.IGNORECASE,
)
# Things that begin with a field by their nature.
_HAS_FIELDS = re.compile(
    r"\b(?:e-?mail|letter|message|memo|recipe|dish|meal|poem|song|story|essay|article|report|plan|schedule|agenda"
    r"|invitation|dialogue|conversation|script|interview|table|list)\b",
    re.IGNORECASE,
)
_HEAD_OF_A_TEXT = re.compile(
    r"\W{0,3}(?:subject|title|dear|ingredients|to|from|date)\b", re.IGNORECASE
)
_ENDED = re.compile(r"[.!?…。！？:;)\]}>\"”’'`*|%\d]\s*\Z")
_SHORT_LAST_LINE = 6
"""Words of a last line that may well be an item of a list and have no full stop."""


def unmarked(lead: str, *, instruction: str, is_whole: bool) -> Pair:
    """Judge a text that stands in a reply, or an example, without an "Output:" that holds something.

    `instruction` is the task, "" where it is not known; `is_whole`: that the model ended the reply itself.
    """
    lead = without_preface(lead)
    answer = _ANSWER.search(lead)
    if answer is not None and is_code(lead):
        # Code, and what it prints: which of the two is the answer?
        return Pair("", lead, Reason.AMBIGUOUS_FORMAT)
    if answer is not None:
        before = lead[: answer.start()].strip()
        if names_a_field(before) or before.endswith("?"):
            return _checked(before, lead[answer.end() :].strip(), is_whole=is_whole)
        if not before:
            lead = lead[answer.end() :].strip()
    if is_code(lead):
        if instruction and not asks_for_code(instruction):
            return Pair("", lead, Reason.AMBIGUOUS_FORMAT)
        return Pair("", lead, None if is_whole or _is_balanced(lead) else Reason.TRUNCATED)
    if not lead:
        return Pair("", "", Reason.EMPTY_OUTPUT)
    needs_more = _NEEDS_MATERIAL.search(instruction) or _WANTS_CODE.search(instruction)
    is_field = names_a_field(lead) and not (
        _HAS_FIELDS.search(instruction) and _HEAD_OF_A_TEXT.match(lead)
    )
    if is_field or re.search(r"\b(?:input|output)\b", lead, re.IGNORECASE) or needs_more:
        return Pair("", lead, Reason.AMBIGUOUS_FORMAT)
    return _checked("", lead, is_whole=is_whole)


def is_code(text: str) -> bool:
    """Whether a text begins as code does."""
    return _CODE.match(text) is not None


def names_a_field(text: str) -> bool:
    """Whether a text begins with the name of a field: "List: [1, 2]"."""
    return _FIELD.match(text) is not None


def without_preface(text: str) -> str:
    """A text without the line that announces it: "Sure! Here is the poem:"."""
    return _PREFACE.sub("", text.strip(), count=1).strip()


def asks_for_code(instruction: str) -> bool:
    """Whether code is what the task wants, and not what it is about."""
    return bool(_WANTS_CODE.search(instruction)) and not _HAS_CODE.search(instruction)


def _checked(given: str, output: str, *, is_whole: bool) -> Pair:
    """Where nothing says that the text is whole, and its last line breaks off, it is not."""
    last_line = output[output.rfind("\n") + 1 :]
    breaks_off = not _ENDED.search(output) and len(last_line.split()) > _SHORT_LAST_LINE
    return Pair(given, output, Reason.TRUNCATED if breaks_off and not is_whole else None)


def _is_balanced(code: str) -> bool:
    return all(code.count(left) <= code.count(right) for left, right in ("()", "[]", "{}"))
