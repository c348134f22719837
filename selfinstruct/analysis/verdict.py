"""What happened to an item of a reply, in the fields that the results of `preview` and `explain` share."""

from typing import Any

from selfinstruct.journal_events import Accepted
from selfinstruct.pipeline.parse.types import pair_text
from selfinstruct.records import Instance, Rejection
from selfinstruct.records.reasons import MEANING


def text_of(item: Accepted | Instance | Rejection) -> str:
    """Return a candidate's text, or an instance's input and output as one text."""
    if isinstance(item, Rejection):
        return item.text
    return item.instruction if isinstance(item, Accepted) else pair_text(item)


def verdict(item: Accepted | Instance | Rejection) -> dict[str, Any]:
    """Return an item's outcome and text, and the reason and its meaning if the item was rejected."""
    if isinstance(item, Rejection):
        why = {"reason": item.reason, "meaning": MEANING[item.reason]}
        return {"outcome": "rejected", "text": item.text, **why}
    return {"outcome": "accepted", "text": text_of(item)}
