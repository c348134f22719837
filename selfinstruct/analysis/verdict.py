"""The fields that the results of `preview` and `explain` share: what became of an item of a reply."""

from typing import Any

from selfinstruct.events import Accepted
from selfinstruct.pipeline.parse.types import pair_text
from selfinstruct.records import Instance, Rejection
from selfinstruct.records.reasons import MEANING


def text_of(item: Accepted | Instance | Rejection) -> str:
    """Return the text of a candidate, or the input and output of an instance in one text."""
    if isinstance(item, Rejection):
        return item.text
    return item.instruction if isinstance(item, Accepted) else pair_text(item)


def verdict(item: Accepted | Instance | Rejection) -> dict[str, Any]:
    """Return the outcome, text, reason and meaning of an item, as fields of a result."""
    if isinstance(item, Rejection):
        why = {"reason": item.reason, "meaning": MEANING[item.reason]}
        return {"outcome": "rejected", "text": item.text, **why}
    return {"outcome": "accepted", "text": text_of(item)}
