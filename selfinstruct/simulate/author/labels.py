"""Classification labels: families of adjectives, and texts for which each label is correct."""

import re
from functools import cache
from typing import Final

from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

_SEPARATOR: Final = re.compile(r", | or ")
_PAIR_SHARE: Final = 0.3


def choice_of_labels(rng: SeededRandom) -> str:
    """Return a text that lists two or three labels from one family, such as "angry, worried or content"."""
    family = rng.one_of(_families())
    number = 2 if rng.chance(_PAIR_SHARE) else 3
    names = [rng.one_of(synonyms) for synonyms in rng.some_of(list(family), number)]
    return ", ".join(names[:-1]) + " or " + names[-1]


def labels_in(choice: str) -> dict[str, list[str]]:
    """Return the labels in `choice`, such as "angry, worried or content", with texts for each label."""
    known = {
        name: texts
        for family in _families()
        for synonyms, texts in family.items()
        for name in synonyms
    }
    return {name: known[name] for name in _SEPARATOR.split(choice) if name in known}


@cache
def _families() -> list[dict[tuple[str, ...], list[str]]]:
    """Return all families. A family maps each label's synonyms to texts for which the label is correct."""
    families = []
    for _, lines in sections("labels"):
        blocks = "\n".join(lines).split("> ")[1:]
        entries = [block.strip().split("\n") for block in blocks]
        families.append({tuple(names.split(" | ")): texts for names, *texts in entries})
    return families
