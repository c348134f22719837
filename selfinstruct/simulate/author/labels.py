"""Labels: families of adjectives, and texts that each label is right for."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

_SEPARATOR: Final = re.compile(r", | or ")
_PAIR_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label and the texts that the label is right for."""

    name: str
    texts: tuple[str, ...]


def choice_of_labels(rng: SeededRandom) -> str:
    """Return two or three labels of one family, such as "angry, worried or content"."""
    family = rng.one_of(_families())
    number = 2 if rng.chance(_PAIR_SHARE) else 3
    names = [rng.one_of(synonyms).name for synonyms in rng.some_of(family, number)]
    return ", ".join(names[:-1]) + " or " + names[-1]


def labels_in(choice: str) -> list[Label]:
    """Return the labels in a text such as "angry, worried or content", without unknown ones."""
    return [_labels()[name] for name in _SEPARATOR.split(choice) if name in _labels()]


@cache
def _families() -> tuple[tuple[tuple[Label, ...], ...], ...]:
    """Return the families; each is a tuple of labels, each label a tuple of synonyms."""
    families = []
    for section in sections("labels"):
        family = []
        for block in "\n".join(section.lines).split("> ")[1:]:
            names, *texts = block.strip().split("\n")
            family.append(
                tuple(Label(name=name, texts=tuple(texts)) for name in names.split(" | "))
            )
        families.append(tuple(family))
    return tuple(families)


@cache
def _labels() -> dict[str, Label]:
    return {label.name: label for family in _families() for same in family for label in same}
