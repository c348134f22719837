"""Verdicts: is an instruction a classification task?

Knows the answer for the author's own frames, and a rule of thumb for the instructions of others::

    "Classify the animal as a mammal or a bird."     -> Yes
    "Is the number prime? Answer yes or no."         -> Yes
    "Write a haiku about the sea."                   -> No

It is surer of itself when it is asked in other words than everybody's: such a question is taken for
a second, plainer one, after an answer that was not clear.
"""

import re
from collections.abc import Sequence
from typing import Final

from selfinstruct.simulate.author import mistakes
from selfinstruct.simulate.author.prompt_recognition import Verdict
from selfinstruct.simulate.author.sentence_frames import LABEL_KIND, recognise
from selfinstruct.simulate.random_draws import Draws

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
_SECOND_TIME: Final = 0.2
"""By what the shares of unclear and wordy verdicts are multiplied for a plainer question."""


def verdict(
    asked: Verdict,
    draws: Draws,
    shares: mistakes.FaultShares,
    *,
    unclear: Sequence[str] = mistakes.UNCLEAR,
) -> str:
    """The reply to "Is it a classification task?", out of `unclear` where it is not a clear one."""
    factor = 1.0 if asked.customary else _SECOND_TIME
    if draws.chance(shares.unclear * factor):
        return draws.one_of(unclear)
    yes = is_classification(asked.instruction) != draws.chance(shares.misjudged)
    if draws.chance(shares.wordy * factor):
        return draws.one_of(_WORDY[yes])
    return "Yes" if yes else "No"


def is_classification(instruction: str) -> bool:
    """Whether the answer to `instruction` is one out of a few labels, as far as can be told."""
    found = recognise(instruction)
    if found is not None:
        return found.kind == LABEL_KIND
    return bool(_CLEARLY.search(instruction[:500]) or _IS_THIS_OR_THAT.search(instruction[:500]))
