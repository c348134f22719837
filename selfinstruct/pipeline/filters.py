"""Rules that reject instructions. The first rule that matches determines the reason for the rejection.

The rules are pure functions of the text. Novelty depends on the pool and is checked after the rules.

    >>> rules = rules_against(NOT_TEXT)["default"]
    >>> rejection_reason("Draw a map of the old town.", rules)
    'not_for_text_model'
    >>> rejection_reason("Describe the old town to a visitor.", rules)
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from selfinstruct.pipeline.parse.reasoning import has_markers
from selfinstruct.pipeline.tokenizers import length_in_words
from selfinstruct.records import Reason

RULES_VERSION = 1
"""Version of the rules; part of a run's fingerprint. Increase it whenever any decision changes."""

Rule = tuple[Reason, Callable[[str], bool]]
"""A reason, and a function that returns whether an instruction must be rejected for this reason."""

_MIN_WORDS = 4  # the published code rejects three words or fewer
_MAX_WORDS = 150  # the published code rejects more than 150 words

NOT_TEXT = "image|images|graph|graphs|picture|pictures|file|files|map|maps|draw|plot|go to"
"""Words for things that a text model cannot see or create. Self-Instruct's list matches whole words."""
_WRITE_A_PROGRAM = "Write a program"
"""The published code rejects instructions that begin with these words, because models put them before
instructions that they have seen."""


def _has_any_of(words: str) -> Callable[[str], bool]:
    pattern = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


# ── profile "paper" ──────────────────────────────────────────────────────────────────────────────────────


def _published(words: str) -> tuple[Rule, ...]:
    return (
        (Reason.EMPTY, lambda text: text == ""),
        (Reason.TOO_SHORT, lambda text: len(text.split()) < _MIN_WORDS),
        (Reason.TOO_LONG, lambda text: len(text.split()) > _MAX_WORDS),
        (Reason.NOT_FOR_TEXT_MODEL, _has_any_of(words)),
        (Reason.WRITE_A_PROGRAM, lambda text: text.startswith(_WRITE_A_PROGRAM)),
        (Reason.LEADING_PUNCTUATION, lambda text: text[0] in string.punctuation),
        (Reason.NON_ASCII_START, lambda text: not text[0].isascii()),
    )


# ── profile "default" ────────────────────────────────────────────────────────────────────────────────────

_NOT_A_START = frozenset(".,:;!?#*/\\&%@+=<>|~^$")
"""Characters that never begin a sentence."""
_URL = re.compile(
    r"\bhttps?://|\bwww\.\w|\bftp://|\b[\w-]{1,60}\.(?:com|org|net|io|edu|gov)/\w", re.IGNORECASE
)
_MERGED = re.compile(
    r"\b(?:task|instruction)\s*\d+\s*[:.)]|#{3,}|come up with a series of (?:\w+ )?tasks"
    r"|(?:^|[.?!]\s+)(?:input|output|class label)\s*:|is it (?:a )?classification"
    # two tasks in a numbered list: "1. Do this. 2. Do that."
    r"|(?:^|\s)(\d{1,2})[.)]\s+[^\W\d_][^.?!]{12,300}[.?!]\s+\d{1,2}[.)]\s+[^\W\d_]",
    re.IGNORECASE,
)
# Format characters that are allowed. Persian words and emoji need joiners; soft hyphens and single direction
# marks do no harm. Overrides of the text direction are not allowed, because they make the displayed text
# differ from the stored text.
_HARMLESS = frozenset("\u00ad\u200c\u200d\u200e\u200f\ufe0f") | frozenset(
    map(chr, range(0xE0020, 0xE0080))
)


def _has_control_characters(text: str) -> bool:
    if text.isascii() and text.isprintable():
        return False  # fast path for most texts
    return any(
        unicodedata.category(char) in {"Cc", "Cf", "Co", "Cn"} or char == "\ufffd"
        for char in text
        if not char.isascii() or not char.isprintable()
        if not char.isspace() and char not in _HARMLESS
    )


def _leads_with_punctuation(text: str) -> bool:
    # "¿", "«" and quotation marks may begin a sentence. A dash, colon or hash is a remnant of a list.
    first = text.lstrip()[0]
    return unicodedata.category(first) in {"Pd", "Pe", "Pc", "Sk"} or first in _NOT_A_START


def _improved(words: str) -> tuple[Rule, ...]:
    program = re.compile(rf"\s*{_WRITE_A_PROGRAM}\b", re.IGNORECASE)
    return (
        (Reason.EMPTY, lambda text: not text.strip()),
        (Reason.CONTROL_CHARACTERS, _has_control_characters),
        (Reason.CONTROL_TOKENS, has_markers),
        (Reason.NO_WORDS, lambda text: not any(map(str.isalnum, text))),
        (Reason.MERGED_TASKS, lambda text: _MERGED.search(text) is not None),
        (Reason.URL, lambda text: _URL.search(text) is not None),
        (Reason.TOO_SHORT, lambda text: length_in_words(text) < _MIN_WORDS),
        (Reason.TOO_LONG, lambda text: length_in_words(text) > _MAX_WORDS),
        (Reason.NOT_FOR_TEXT_MODEL, _has_any_of(words)),
        (Reason.WRITE_A_PROGRAM, lambda text: program.match(text) is not None),
        (Reason.LEADING_PUNCTUATION, _leads_with_punctuation),
    )


def rules_against(words: str) -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules for each profile, in the order in which they are checked.

    `words`, separated by "|", stand for things that a text model cannot see or create.
    """
    return {"paper": _published(words), "default": _improved(words)}


def rejection_reason(instruction: str, rules: Iterable[Rule]) -> Reason | None:
    """Return the reason from the first rule that rejects the instruction, or None if no rule rejects it."""
    return next((reason for reason, rejects in rules if rejects(instruction)), None)


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1 << 14)
def _script(char: str) -> str:
    """Return the script in a letter's Unicode name, such as "LATIN" or "CJK"; "" if it has no name."""
    return unicodedata.name(unicodedata.normalize("NFKC", char)[0], "").partition(" ")[0]


def _scripts(text: str) -> Counter[str]:
    counts = Counter[str]()
    for char, count in Counter(text).items():  # look up each character once
        if char.isalpha():
            counts[_script(char)] += count
    return counts


def scripts_of(texts: Sequence[str]) -> frozenset[str]:
    """Return the scripts that the texts use: those with at least one percent of the letters."""
    counts = _scripts("".join(texts))
    return frozenset(script for script, count in counts.items() if count * 100 >= counts.total())


def is_in_wrong_script(text: str, scripts: frozenset[str]) -> bool:
    """Return whether most letters in a text are from scripts outside `scripts`.

    If `scripts` is empty, return False.
    """
    if not scripts or (text.isascii() and "LATIN" in scripts):
        return False
    counts = _scripts(text)

    foreign = sum(count for script, count in counts.items() if script not in scripts)
    return foreign * 2 > counts.total()
