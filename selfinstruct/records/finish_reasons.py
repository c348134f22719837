"""Finish reasons of all vendors, and the end of a reply that each of them means.

    "stop"  "eos_token"  "end_turn"                 the model completed the reply
    "length"  "MAX_TOKENS"  "model_length"          max_tokens or the context window cut the reply
    "content_filter"  "SAFETY"  "refusal"           a filter cut or replaced the reply
    "error"  "abort"  "network_error"               the endpoint failed during the reply
    null  "OTHER"  any other word   unknown

Relays forward the words of other vendors, and upper and lower case differ between vendors.
"""

import re
from enum import StrEnum
from pathlib import Path


class Ending(StrEnum):
    """End of a reply."""

    WHOLE = "whole"
    CUT = "cut"
    FILTERED = "filtered"
    FAILED = "failed"
    UNKNOWN = "unknown"


def _read_words() -> dict[str, Ending]:
    """Read the words of all vendors from `finish_reasons.txt`."""
    endings: dict[str, Ending] = {}
    for line in Path(__file__).with_name("finish_reasons.txt").read_text("utf-8").splitlines():
        name, _, words = line.partition("#")[0].partition(":")
        endings |= {word: Ending(name) for word in words.split()}
    return endings


_ENDINGS = _read_words()
_PREFIX = re.compile(r"^(?:.*[.:])?(?:(?:finish|stop)_?reason_|reason_)?")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def ending(finish_reason: str | None) -> Ending:
    """Return the end that a finish reason means, in any spelling: "MAX_TOKENS", "maxTokens", "max-tokens"."""
    if not finish_reason:
        return Ending.UNKNOWN
    if (known := _ENDINGS.get(finish_reason)) is not None:
        return known
    word = re.sub(r"[\s-]+", "_", _HUMP.sub("_", finish_reason.strip())).lower()
    return _ENDINGS.get(_PREFIX.sub("", word), Ending.UNKNOWN)
