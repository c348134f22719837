"""A sentence for each reason why a candidate or an instance is rejected, from `reasons.txt`."""

from collections.abc import Mapping
from pathlib import Path

from selfinstruct.records import Reason

_LINES = Path(__file__).with_name("reasons.txt").read_text("utf-8").splitlines()[1:]

MEANING: Mapping[Reason, str] = {
    Reason(name): sentence for name, _, sentence in (line.partition(": ") for line in _LINES)
}
"""What each reason means, in a sentence."""
