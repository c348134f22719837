"""Verdicts: is an instruction a classification task?

Knows the answer for the author's own frames, and a rule of thumb for the instructions of others::

    "Classify the animal as a mammal or a bird."     -> Yes
    "Is the number prime? Answer yes or no."         -> Yes
    "Write a haiku about the sea."                   -> No
"""

import re
from typing import Final

from selfinstruct.simulate import faults
from selfinstruct.simulate.draws import Draws
from selfinstruct.simulate.frames import LABEL_KIND, recognise

_CLEARLY: Final = re.compile(
    r"\b(?:classify|categori[sz]e|true or false|yes or no|sentiment|which (?:category|class|type)"
    r"|right group|label|(?:one|which) of the (?:following|given)|multiple[- ]choice"
    r"|(?:decide|determine|judge|say|state|tell me|tell|identify|predict|check|assess)"
    r"(?: \w+){0,2} (?:whether|if)\b.*)",
    re.IGNORECASE,
)
_IS_THIS_OR_THAT: Final = re.compile(
    r"^(?:is|are|was|were|does|do|did|has|have|can) (?:this|that|these|those|the|it)\b.*"
    r"(?:\bor\b|\?)",
    re.IGNORECASE | re.DOTALL,
)
_WORDY: Final = {True: ("Yes.", "Yes, it is.", "yes"), False: ("No.", "No, it is not.", "no")}


def verdict(instruction: str, draws: Draws, shares: faults.FaultShares) -> str:
    """The reply to "Is it a classification task?"."""
    if draws.chance(shares.unclear):
        return draws.one_of(faults.UNCLEAR)
    yes = is_classification(instruction) != draws.chance(shares.misjudged)
    if draws.chance(shares.wordy):
        return draws.one_of(_WORDY[yes])
    return "Yes" if yes else "No"


def is_classification(instruction: str) -> bool:
    """Whether the answer to `instruction` is one out of a few labels, as far as can be told."""
    found = recognise(instruction)
    if found is not None:
        return found.kind == LABEL_KIND
    return bool(_CLEARLY.search(instruction[:500]) or _IS_THIS_OR_THAT.search(instruction[:500]))
