"""Named rules for instructions. The first rule that objects names the reason.

Pure functions of the text. After these comes novelty, which needs the pool.

    >>> objection("Draw a map of the old town.")
    'not_for_text_model'
    >>> objection("Describe the old town to a visitor in three sentences.")
"""

import re
import unicodedata
from collections.abc import Callable

from selfinstruct.records import Reason

RULES_VERSION = 1
"""Rises when the same text may be judged differently; part of a run's fingerprint."""

_FEWEST_WORDS = 4  # Self-Instruct's published code rejects three words and fewer …
_MOST_WORDS = 150  # … and more than 150

# What a model of text alone cannot see or make: the list of Self-Instruct's published code, as whole words.
_NOT_TEXT = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE
)

# Openings that models put before instructions they have seen (likewise the published code).
_WRITE_A_PROGRAM = re.compile(r"write a program\b", re.IGNORECASE)


def _is_empty(text: str) -> bool:
    return not text.strip()


def _is_too_short(text: str) -> bool:
    return len(text.split()) < _FEWEST_WORDS


def _is_too_long(text: str) -> bool:
    return len(text.split()) > _MOST_WORDS


def _is_not_for_text_model(text: str) -> bool:
    return _NOT_TEXT.search(text) is not None


def _is_a_program_to_write(text: str) -> bool:
    return _WRITE_A_PROGRAM.match(text.lstrip()) is not None


def _leads_with_punctuation(text: str) -> bool:
    # "¿", "«" and quotation marks open sentences; a dash, a colon or a hash sign is a list gone wrong.
    return unicodedata.category(text.lstrip()[0]) in {"Pd", "Pe", "Pc", "Sk"} or text.lstrip()[
        0
    ] in {*".,:;!?#*/\\&%@+=<>|~^$"}


def _has_no_words(text: str) -> bool:
    return not any(char.isalnum() for char in text)


RULES: tuple[tuple[Reason, Callable[[str], bool]], ...] = (
    (Reason.EMPTY, _is_empty),
    (Reason.NO_WORDS, _has_no_words),
    (Reason.TOO_SHORT, _is_too_short),
    (Reason.TOO_LONG, _is_too_long),
    (Reason.NOT_FOR_TEXT_MODEL, _is_not_for_text_model),
    (Reason.WRITE_A_PROGRAM, _is_a_program_to_write),
    (Reason.LEADING_PUNCTUATION, _leads_with_punctuation),
)
"""Each rule says True where it objects. Order matters: the first one names the reason."""


def objection(instruction: str) -> Reason | None:
    """Why this instruction cannot become a task, or None."""
    return next((reason for reason, objects in RULES if objects(instruction)), None)
