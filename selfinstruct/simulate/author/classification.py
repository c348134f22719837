"""Answers the question whether an instruction is a classification task."""

import re
from typing import Final

from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.instructions import LABEL_KIND, recognise
from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.seeded_random import SeededRandom

_CLASSIFICATION: Final = re.compile(
    r"\b(?:classify|categori[sz]e|true or false|yes or no|sentiment|which (?:category|class|type)"
    r"|label|(?:one|which) of the (?:following|given)|multiple[- ]choice"
    r"|(?:decide|determine|judge|say|state|tell|identify|predict|check|assess)"
    r"(?: \w+){0,2} (?:whether|if)\b.*)",
    re.IGNORECASE,
)


def yes_or_no(
    instruction: str, rng: SeededRandom, shares: FaultShares, *, unclear: str = "unclear"
) -> str:
    """Return an answer to "Is it a classification task?". `unclear` is the word list for unclear answers."""
    if rng.chance(shares.unclear):
        return rng.one_of(word_list(unclear))
    yes = is_classification(instruction) != rng.chance(shares.misjudged)
    if rng.chance(shares.wordy):
        return rng.one_of(word_list("yes" if yes else "no"))
    return "Yes" if yes else "No"


def is_classification(instruction: str) -> bool:
    """Return whether the output for `instruction` is probably one of a few labels."""
    task = recognise(instruction)
    if task is not None:
        return task.kind == LABEL_KIND
    return bool(_CLASSIFICATION.search(instruction[:500]))
