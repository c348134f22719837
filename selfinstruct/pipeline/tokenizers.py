"""Text to tokens, as novelty compares them.

`rouge` is the tokenizer of the rouge-score package, which the published code uses: it knows a–z and 0–9 and
nothing else, so a Korean or Japanese text has no tokens, and novelty never rejects it. `unicode` knows every
script and gives the same tokens on ASCII text.

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

TOKENIZER_VERSION = 1
"""Rises when the same text may yield other tokens; part of a run's fingerprint."""

_ASCII_TOKEN = re.compile(r"[a-z0-9]+")

# Scripts whose words are not set apart by spaces. Of these, and of Hangul syllables, every character is a
# token of its own, together with the marks on it.
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
    """Tokens as rouge-score's default tokenizer makes them, without stemming: runs of a–z and 0–9."""
    return _ASCII_TOKEN.findall(text.lower())


def unicode(text: str) -> list[str]:
    """Words of letters, their marks and digits of any script; one token a character where none has spaces.

    Normalised (NFKC) and case-folded first, so that full-width letters, ligatures and ways to compose an
    accent make no difference. The same as `rouge` on ASCII text.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    # Folding can undo the normal form, and the other way round: "ᾳ" has two spellings.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _token().findall(folded)


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"rouge": rouge, "unicode": unicode}
"""By the name that a setting may have."""


def length_in_words(text: str) -> int:
    """How many words a text has: runs between spaces, or for scripts without spaces a word each two signs.

    Hangul has spaces, but its words hold what takes several in English; it is counted by syllables, too.
    """
    if text.isascii():
        return len(text.split())
    words = 0
    for run in text.split():
        signs = 0 if run.isascii() else len(_SPACELESS_CHARACTER.findall(run))
        words += max(1, (signs + 1) // 2)
    return words


@cache
def _token() -> re.Pattern[str]:
    # Python's \w knows letters and digits of all scripts, but not the marks that belong to them: without
    # these, Hindi words would fall apart at every vowel sign.
    marks = "".join(_as_ranges(_marks()))
    letter = r"[^\W_]"
    return re.compile(
        f"[{_SPACELESS}](?<={letter})[{marks}]*|(?:(?![{_SPACELESS}]){letter}[{marks}]*)+"
    )


def _marks() -> Iterator[int]:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == "M":
            yield code


def _as_ranges(codes: Iterator[int]) -> Iterator[str]:
    first = last = next(codes)
    for code in codes:
        if code != last + 1:
            yield f"{chr(first)}-{chr(last)}"
            first = code
        last = code
    yield f"{chr(first)}-{chr(last)}"
