"""Named rules for instructions. The first rule that objects names the reason.

Pure functions of the text. After these comes novelty, which needs the pool.

    >>> objection("Draw a map of the old town.", RULES["default", "self-instruct"])
    'not_for_text_model'
    >>> objection("Describe the old town to a visitor.", RULES["default", "self-instruct"])
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
"""Rises when the same text may be judged differently; part of a run's fingerprint."""

Rule = tuple[Reason, Callable[[str], bool]]
"""A reason, and whether it holds for a text."""

_FEWEST_WORDS = 4  # the published code rejects three words and fewer …
_MOST_WORDS = 150  # … and more than 150

# What a model of text alone cannot see or make: the published lists, as whole words.
_NOT_TEXT = "image|images|graph|graphs|picture|pictures|file|files|map|maps|draw|plot|go to"  # Self-Instruct
_NOT_TEXT_ALPACA = f"{_NOT_TEXT}|video|audio|music|flowchart|diagram"
_WRITE_A_PROGRAM = "Write a program"
"""Put by models before instructions that they have seen, says the published code."""


def _is_empty(text: str) -> bool:
    return not text.strip()


def _has_any_of(words: str) -> Callable[[str], bool]:
    pattern = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


# ── as published ─────────────────────────────────────────────────────────────────────────────────────────


def _published(words: str) -> tuple[Rule, ...]:
    return (
        (Reason.EMPTY, lambda text: text == ""),
        (Reason.TOO_SHORT, lambda text: len(text.split()) < _FEWEST_WORDS),
        (Reason.TOO_LONG, lambda text: len(text.split()) > _MOST_WORDS),
        (Reason.NOT_FOR_TEXT_MODEL, _has_any_of(words)),
        (Reason.WRITE_A_PROGRAM, lambda text: text.startswith(_WRITE_A_PROGRAM)),
        (Reason.LEADING_PUNCTUATION, lambda text: text[0] in string.punctuation),
        (Reason.NON_ASCII_START, lambda text: not text[0].isascii()),
    )


# ── improved ─────────────────────────────────────────────────────────────────────────────────────────────

_OPENS_NO_SENTENCE = frozenset(".,:;!?#*/\\&%@+=<>|~^$")
_URL = re.compile(
    r"\bhttps?://|\bwww\.\w|\bftp://|\b[\w-]{1,60}\.(?:com|org|net|io|edu|gov)/\w", re.IGNORECASE
)
_MERGED = re.compile(
    r"\b(?:task|instruction)\s*\d+\s*[:.)]|#{3,}|come up with a series of (?:\w+ )?tasks"
    r"|(?:^|[.?!]\s+)(?:input|output|class label)\s*:|is it (?:a )?classification"
    # "1. Do this. 2. Do that.": two tasks in a list of their own
    r"|(?:^|\s)(\d{1,2})[.)]\s+[^\W\d_][^.?!]{12,300}[.?!]\s+\d{1,2}[.)]\s+[^\W\d_]",
    re.IGNORECASE,
)
# Joiners are part of words in Persian and of signs in Hindi; soft hyphens and single marks of direction
# do nothing by themselves. What overrides the direction of a text hides what it says.
_HARMLESS = frozenset("\u00ad\u200c\u200d\u200e\u200f\ufe0f") | frozenset(
    map(chr, range(0xE0020, 0xE0080))
)


def _has_no_words(text: str) -> bool:
    return not any(char.isalnum() for char in text)


def _has_control_characters(text: str) -> bool:
    if text.isascii() and text.isprintable():
        return False  # as most are
    return any(
        unicodedata.category(char) in {"Cc", "Cf", "Co", "Cn"} or char == "\ufffd"
        for char in text
        if not char.isascii() or not char.isprintable()
        if not char.isspace() and char not in _HARMLESS
    )


def _leads_with_punctuation(text: str) -> bool:
    # "¿", "«" and quotation marks open sentences; a dash, a colon or a hash sign is a list gone wrong.
    first = text.lstrip()[0]
    return unicodedata.category(first) in {"Pd", "Pe", "Pc", "Sk"} or first in _OPENS_NO_SENTENCE


def _improved(words: str) -> tuple[Rule, ...]:
    return (
        (Reason.EMPTY, _is_empty),
        (Reason.CONTROL_CHARACTERS, _has_control_characters),
        (Reason.CONTROL_TOKENS, has_markers),
        (Reason.NO_WORDS, _has_no_words),
        (Reason.MERGED_TASKS, lambda text: _MERGED.search(text) is not None),
        (Reason.URL, lambda text: _URL.search(text) is not None),
        (Reason.TOO_SHORT, lambda text: length_in_words(text) < _FEWEST_WORDS),
        (Reason.TOO_LONG, lambda text: length_in_words(text) > _MOST_WORDS),
        (Reason.NOT_FOR_TEXT_MODEL, _has_any_of(words)),
        (
            Reason.WRITE_A_PROGRAM,
            lambda text: (
                re.match(rf"{_WRITE_A_PROGRAM}\b", text.lstrip(), re.IGNORECASE) is not None
            ),
        ),
        (Reason.LEADING_PUNCTUATION, _leads_with_punctuation),
    )


RULES: Mapping[tuple[str, str], tuple[Rule, ...]] = {
    ("paper", "self-instruct"): _published(_NOT_TEXT),
    ("paper", "alpaca"): _published(_NOT_TEXT_ALPACA),
    ("default", "self-instruct"): _improved(_NOT_TEXT),
    ("default", "alpaca"): _improved(_NOT_TEXT_ALPACA),
}
"""By profile and recipe. A rule says True where it objects; the first one that does names the reason."""


def objection(instruction: str, rules: Iterable[Rule]) -> Reason | None:
    """Why this instruction cannot become a task, or None."""
    return next((reason for reason, objects in rules if objects(instruction)), None)


# ── the language of a run ────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1 << 14)
def _script(char: str) -> str:
    """The script of a letter as Unicode names it: "LATIN", "CJK", "HANGUL", … ; "" where it has none."""
    return unicodedata.name(unicodedata.normalize("NFKC", char)[0], "").partition(" ")[0]


def _scripts(text: str) -> Counter[str]:
    return Counter(_script(char) for char in text if char.isalpha())


def scripts_of(texts: Sequence[str]) -> frozenset[str]:
    """The scripts that texts are written in: those of at least a hundredth of their letters."""
    counts = Counter[str]()
    for char, count in Counter("".join(texts)).items():  # of a long pool each character once
        if char.isalpha():
            counts[_script(char)] += count
    return frozenset(script for script, count in counts.items() if count * 100 >= counts.total())


def is_in_wrong_script(text: str, scripts: frozenset[str]) -> bool:
    """Whether most letters of a text belong to none of the scripts. Without scripts, none is wrong."""
    if not scripts or (text.isascii() and "LATIN" in scripts):
        return False
    counts = _scripts(text)
    foreign = sum(count for script, count in counts.items() if script not in scripts)
    return foreign * 2 > counts.total()
