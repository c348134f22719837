"""Approximate tokens, by which the simulated endpoint counts and truncates text.

A token is up to eight letters or up to three digits (each with the space before them), a run of white space,
up to three punctuation marks, or a run of underscores. For English, the count differs from real tokenizers
by about a fifth. Counting and truncating use the same tokens, so a reply that is truncated to N tokens never
counts as more than N.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(r" ?[^\W\d_]{1,8}| ?\d{1,3}|\s+|[^\w\s]{1,3}|_+")


def count(text: str) -> int:
    """Return the number of approximate tokens in `text`."""
    return len(_TOKEN.findall(text))


def cut(text: str, limit: int) -> tuple[str, int]:
    """Truncate `text` to at most `limit` tokens. Returns the truncated text and its number of tokens."""
    tokens = _TOKEN.findall(text)
    if len(tokens) <= limit:
        return text, len(tokens)
    return "".join(tokens[:limit]), limit
