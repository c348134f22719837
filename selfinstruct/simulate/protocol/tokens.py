"""Approximate tokens: how the simulated endpoint counts text and cuts it.

A token is up to eight letters with the space before them, up to three digits, a run of white space, or up
to three punctuation marks. The count differs from real tokenizers by about a fifth for English. Counting
and cutting use the same tokens, so a reply that is cut at N tokens never counts more than N.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(r" ?[^\W\d_]{1,8}| ?\d{1,3}|\s+|[^\w\s]{1,3}|_+")


def count(text: str) -> int:
    """Return the number of tokens in `text`."""
    return len(_TOKEN.findall(text))


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return the first `limit` tokens of `text` as a text, and their number."""
    tokens = _TOKEN.findall(text)
    if len(tokens) <= limit:
        return text, len(tokens)
    return "".join(tokens[:limit]), limit
