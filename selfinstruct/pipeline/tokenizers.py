"""Tokenizers for novelty.

`rouge` is the tokenizer of the rouge-score package, which the published code uses. Its tokens are runs of a–z
and 0–9, so a Korean or Japanese text has no tokens and novelty never rejects it. `unicode` supports every
script and gives the same tokens for ASCII text.

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
"""Version of the tokenizers, part of a run's fingerprint. It rises with any change of a token."""

_ASCII_TOKEN = re.compile(r"[a-z0-9]+")

# Scripts without spaces between words, and Hangul. Each character, with its combining marks, is a token.
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
    """Return the tokens of rouge-score's default tokenizer without stemming: runs of a–z and 0–9."""
    return _ASCII_TOKEN.findall(text.lower())


def unicode(text: str) -> list[str]:
    """Return words of letters, combining marks and digits; for scripts without spaces, single characters.

    The text is normalised (NFKC) and case-folded first, so full-width letters, ligatures and composed accents
    make no difference. ASCII text has the same tokens as with `rouge`.
    """
    if text.isascii():
        return rouge(text)
    # Case folding can undo the normal form and normalising can undo case folding, as with "ᾳ".
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _token().findall(folded)


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"rouge": rouge, "unicode": unicode}
"""Tokenizers by the value of the setting `tokenizer`."""


def length_in_words(text: str) -> int:
    """Return the number of words. In scripts without spaces, two characters count as a word.

    Hangul also counts by syllables, because a Korean word often holds what English says in several words.
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
    # Python's \w does not include combining marks. Without them, Hindi words would split at vowel signs.

    marks = "".join(_mark_ranges())
    letter = r"[^\W_]"
    return re.compile(
        f"[{_SPACELESS}](?<={letter})[{marks}]*|(?:(?![{_SPACELESS}]){letter}[{marks}]*)+"
    )


def _mark_ranges() -> Iterator[str]:
    """Yield the combining marks as ranges of a character class."""
    marks = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n))[0] == "M"]
    for _, group in groupby(enumerate(marks), key=lambda numbered: numbered[1] - numbered[0]):
        codes = [code for _, code in group]
        yield f"{chr(codes[0])}-{chr(codes[-1])}"
