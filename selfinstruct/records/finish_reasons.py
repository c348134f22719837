"""Maps the vendors' finish reasons to how a reply ended.

    "stop"  "eos_token"  "end_turn"                 the model completed the reply
    "length"  "MAX_TOKENS"  "model_length"          max_tokens or the context window cut the reply
    "content_filter"  "SAFETY"  "refusal"           a filter cut or replaced the reply
    "error"  "abort"  "network_error"               the endpoint failed during the reply
    null  "OTHER"  any unlisted reason              unknown

Relays forward the finish reasons of other vendors, so each one is recognised at every endpoint. Letter case
differs between vendors.
"""

import re
from enum import StrEnum
from pathlib import Path


class Ending(StrEnum):
    """How a reply ended."""

    WHOLE = "whole"
    CUT = "cut"
    FILTERED = "filtered"
    FAILED = "failed"
    UNKNOWN = "unknown"


def _read_words() -> dict[str, Ending]:
    """Read the finish reasons of all vendors from `finish_reasons.txt`."""
    endings: dict[str, Ending] = {}
    for line in Path(__file__).with_name("finish_reasons.txt").read_text("utf-8").splitlines():
        name, _, words = line.partition("#")[0].partition(":")
        endings |= {word: Ending(name) for word in words.split()}
    return endings


_ENDINGS = _read_words()
_PREFIX = re.compile(r"^(?:.*[.:])?(?:(?:finish|stop)_?reason_|reason_)?")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def ending(finish_reason: str | None) -> Ending:
    """Return how a reply with this finish reason ended.

    The spelling does not matter: "MAX_TOKENS", "maxTokens" and "max-tokens" are treated alike.
    """
    if not finish_reason:
        return Ending.UNKNOWN
    if (known := _ENDINGS.get(finish_reason)) is not None:
        return known
    word = re.sub(r"[\s-]+", "_", _HUMP.sub("_", finish_reason.strip())).lower()
    return _ENDINGS.get(_PREFIX.sub("", word), Ending.UNKNOWN)
