"""Tokenizers for the novelty check.

`rouge` is the tokenizer of the rouge-score package, which the published code uses. Its tokens are runs of a–z
and 0–9. So a Korean or Japanese text has no tokens, and the novelty check never rejects it. `unicode`
supports all scripts, and returns the same tokens as `rouge` for ASCII text.

    >>> rouge("Crème brûlée, 2 eggs"), unicode("Crème brûlée, 2 eggs")
    (['cr', 'me', 'br', 'l', 'e', '2', 'eggs'], ['crème', 'brûlée', '2', 'eggs'])
    >>> unicode("川の名前")
    ['川', 'の', '名', '前']
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby

TOKENIZER_VERSION = 1
"""Version of the tokenizers; part of a run's fingerprint. Increase it whenever any token changes."""

_ASCII_TOKEN = re.compile(r"[a-z0-9]+")

# Scripts without spaces between words, and Hangul. In these, each character with its marks is one token.
_SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # Han: iteration mark, zero, Hangzhou numerals
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3040-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"  # kana
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
)

_SPACELESS_CHARACTER = re.compile(f"[{_SPACELESS}]")


def rouge(text: str) -> list[str]:
    """Return the runs of a–z and 0–9 in the lower-cased text, like rouge-score without stemming."""
    return _ASCII_TOKEN.findall(text.lower())


def unicode(text: str) -> list[str]:
    """Return a text's words, or its single characters in scripts without spaces between words.

    A word consists of letters, combining marks and digits. The text is first normalised (NFKC) and
    case-folded, so full-width letters, ligatures and composed accents make no difference. For ASCII text, the
    tokens are the same as those of `rouge`.
    """
    if text.isascii():
        return rouge(text)
    # Case folding can undo normalisation, and normalisation can undo case folding, as for "ᾳ".
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _token().findall(folded)


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"rouge": rouge, "unicode": unicode}
"""The tokenizer for each value of the setting `tokenizer`."""


def length_in_words(text: str) -> int:
    """Return the number of words in a text. In scripts without spaces, two characters count as one word.

    The same holds for Hangul, because one Korean word often corresponds to several English words.
    """
    if text.isascii():
        return len(text.split())
    words = 0
    for run in text.split():
        characters = 0 if run.isascii() else len(_SPACELESS_CHARACTER.findall(run))
        words += max(1, (characters + 1) // 2)
    return words


@cache
def _token() -> re.Pattern[str]:
    # Python's \w does not match combining marks. Without these, Hindi words would be split at vowel signs.

    marks = "".join(_mark_ranges())
    letter = r"[^\W_]"
    return re.compile(
        f"[{_SPACELESS}](?<={letter})[{marks}]*|(?:(?![{_SPACELESS}]){letter}[{marks}]*)+"
    )


def _mark_ranges() -> Iterator[str]:
    """Yield all combining marks as ranges for a regular expression's character class."""
    marks = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n))[0] == "M"]
    for _, group in groupby(enumerate(marks), key=lambda numbered: numbered[1] - numbered[0]):
        codes = [code for _, code in group]
        yield f"{chr(codes[0])}-{chr(codes[-1])}"
