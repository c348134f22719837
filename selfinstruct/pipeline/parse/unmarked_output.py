r"""Decide whether a text without an "Output:" marker is an output.

Such a text may be the input or the output of the task. If this is not clear, the text is rejected as
ambiguous.

    Explain why leaves are green.    "They hold chlorophyll, which …"       the output
    Write a function that adds.      "def add(a, b):\n    return a + b"      the output
    Sum up the given text.           "They hold chlorophyll, which …"       ambiguous: the text or the summary
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
# A line that begins with a field name: "List: [1, 2]", "Side lengths: a = 3".
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
# Matches an instruction that provides code, rather than asking for code.
_HAS_CODE = re.compile(
    r"\b(?:this|the|following|given|provided|attached) (?:\w+ )?(?:code|function|program|script|query)\b"
    r"|\bcode (?:below|above)\b",
    re.IGNORECASE,
)
# Matches an instruction that refers to a text outside the instruction. Such a task needs an input.
_NEEDS_MATERIAL = re.compile(
    r"\b(?:given|following|provided|below|above|attached|supplied|input)\b|\bthe (?:sentence|text|passage"
    r"|paragraph|article|e-?mail|review|code|poem|conversation|dialogue|speaker|document|message)s?\b"
    r"|\b(?:this|these|those) (?:sentence|text|passage|paragraph|article|e-?mail|review|word|number|list"
    r"|array|string|table|code|poem|story|conversation|dialogue|speaker|data|dataset|tweet|post|message|document"
    r"|question|option|statement|expression|equation|program|function|series|sequence|set)s?\b",
    re.IGNORECASE,
)
# Kinds of text whose first line may begin with a field name.
_HAS_FIELDS = re.compile(
    r"\b(?:e-?mail|letter|message|memo|recipe|dish|meal|poem|song|story|essay|article|report|plan|schedule|agenda"
    r"|invitation|dialogue|conversation|script|interview|table|list)\b",
    re.IGNORECASE,
)
_LETTER_FIELD = re.compile(
    r"\W{0,3}(?:subject|title|dear|ingredients|to|from|date)\b", re.IGNORECASE
)
_ENDED = re.compile(r"[.!?…。！？:;)\]}>\"”’'`*|%\d]\s*\Z")
_SHORT_LAST_LINE = 6
"""Maximum number of words in a last line, such as a list item, that may end without punctuation."""


def unmarked_pair(text: str, *, instruction: str, is_whole: bool) -> Pair:
    """Return the input-output pair in a text without an "Output:" marker.

    `instruction` is "" if the task is unknown. `is_whole` says that the model ended the reply itself.
    """
    text = without_preface(text)
    answer = _ANSWER.search(text)
    if answer is not None and is_code(text):
        # The text is code followed by its result. Either could be the answer.
        return Pair("", text, Reason.AMBIGUOUS_FORMAT)
    if answer is not None:
        before = text[: answer.start()].strip()
        if has_field_name(before) or before.endswith("?"):
            return _checked(before, text[answer.end() :].strip(), is_whole=is_whole)
        if not before:
            text = text[answer.end() :].strip()
    if is_code(text):
        if instruction and not asks_for_code(instruction):
            return Pair("", text, Reason.AMBIGUOUS_FORMAT)
        return Pair("", text, None if is_whole or _is_balanced(text) else Reason.TRUNCATED)
    if not text:
        return Pair("", "", Reason.EMPTY_OUTPUT)
    needs_more = _NEEDS_MATERIAL.search(instruction) or _WANTS_CODE.search(instruction)
    is_field = has_field_name(text) and not (
        _HAS_FIELDS.search(instruction) and _LETTER_FIELD.match(text)
    )
    if is_field or re.search(r"\b(?:input|output)\b", text, re.IGNORECASE) or needs_more:
        return Pair("", text, Reason.AMBIGUOUS_FORMAT)
    return _checked("", text, is_whole=is_whole)


def is_code(text: str) -> bool:
    """Return whether a text begins with code or a code fence."""
    return _CODE.match(text) is not None


def has_field_name(text: str) -> bool:
    """Return whether a text begins with a field name, as in "List: [1, 2]"."""
    return _FIELD.match(text) is not None


def without_preface(text: str) -> str:
    """Remove an introductory line, such as "Sure! Here is the poem:"."""
    return _PREFACE.sub("", text.strip(), count=1).strip()


def asks_for_code(instruction: str) -> bool:
    """Return whether a task asks for code and does not itself provide code."""
    return bool(_WANTS_CODE.search(instruction)) and not _HAS_CODE.search(instruction)


def _checked(input_text: str, output: str, *, is_whole: bool) -> Pair:
    """Return a pair. Reject it as truncated if its last line breaks off and the reply may be incomplete."""
    last_line = output[output.rfind("\n") + 1 :]
    breaks_off = not _ENDED.search(output) and len(last_line.split()) > _SHORT_LAST_LINE
    return Pair(input_text, output, Reason.TRUNCATED if breaks_off and not is_whole else None)


def _is_balanced(code: str) -> bool:
    return all(code.count(left) <= code.count(right) for left, right in ("()", "[]", "{}"))
