"""A sentence that explains each reason for a rejection, read from `reasons.txt`."""

from collections.abc import Mapping
from pathlib import Path

from selfinstruct.records import Reason

_LINES = Path(__file__).with_name("reasons.txt").read_text("utf-8").splitlines()[1:]

MEANING: Mapping[Reason, str] = {
    Reason(name): sentence for name, _, sentence in (line.partition(": ") for line in _LINES)
}
"""One sentence for each reason, which explains what the reason means."""
