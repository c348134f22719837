r"""Format text and numbers for display. This module uses only the standard library.

Model output is not trusted: an escape sequence in it could rewrite the screen.

>>> visible("red \x1b[31malert")
'red \\x1b[31malert'
"""

import re
import unicodedata
from decimal import Decimal

# Unicode categories of unsafe characters. Cc: control characters. Cf: format characters, some of which change
# the writing direction. Zl, Zp: line and paragraph separators that some terminals obey. Co, Cn, Cs:
# private-use characters, unassigned characters, surrogates.
_UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_NARROWEST = 20
"""Minimum width of a shortened line, in columns."""


def scrub(text: str) -> str:
    """Replace each lone surrogate with U+FFFD. JSON can contain lone surrogates, but UTF-8 cannot."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def visible(text: str, *, keep: str = "\n") -> str:
    """Replace each unsafe character with its escape sequence, except the characters in `keep`.

    A character is unsafe if it controls the terminal, changes the writing direction, or has no defined glyph.
    """
    if (text.replace("\n", "") if "\n" in keep else text).isprintable():
        return text  # a fast path: no unsafe character is printable in Python's sense
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _UNSAFE
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def cells(line: str) -> int:
    """Return the width of a line in terminal columns. East Asian wide characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def one_line(text: str, room: int) -> str:
    """Return a text as one line of at most `room` columns (or 20 if `room` is less).

    A longer text is cut and ends with an ellipsis.
    """
    line, room = visible(text, keep=""), max(_NARROWEST, room)
    width = cells(line)
    return line if width <= room else line[: room * len(line) // width - 1] + "…"


def unbroken(text: str) -> str:
    """Return a text as one line, with single spaces between its words."""
    return " ".join(text.split())


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural, such as "1 row" or "2,000 rows"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def score(value: float, threshold: float) -> str:
    """Return a ROUGE-L score with three decimals, or unrounded if rounding would cross the threshold."""
    rounded = f"{value:.3f}"
    is_faithful = (float(rounded) > threshold) == (value > threshold)
    return rounded if is_faithful else repr(value)


def dollars(amount: Decimal) -> str:
    """Return an amount in US dollars as text, such as "$12.34", "$0.0061" or "$0"."""
    if not amount:
        return "$0"
    if amount >= Decimal("0.1"):
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= Decimal("0.01") else f"${float(amount):.2g}"


def duration(seconds: float) -> str:
    """Return a duration as text, such as "2 h 5 min" or "40 s"."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def byte_size(number: int) -> str:
    """Return a number of bytes as text in decimal units, such as "61 MB" or "1.5 GB"."""
    if number < 1_000_000:
        return f"{number / 1_000:.0f} KB"
    if number < 1_000_000_000:
        return f"{number / 1_000_000:.0f} MB"
    return f"{number / 1_000_000_000:.1f} GB"
