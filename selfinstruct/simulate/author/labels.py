"""Label families: sets of labels, and texts for which each of them is right.

Knows what labels there are and which texts deserve them, and nothing of the instructions that use
them::

    >>> [label.name for label in named_in("anxious, pleased or furious")]
    ['anxious', 'pleased', 'furious']

The labels of one choice, as `offer` makes it, are of one family and exclude each other.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from selfinstruct.simulate.author.grammar import Template, template_or_text
from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.random_draws import Draws

_BETWEEN: Final = re.compile(r", | or ")
_PAIR_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label and the texts it is right for."""

    name: str
    texts: tuple[str | Template, ...]


def offer(draws: Draws) -> str:
    """A choice of two or three labels out of one family, as a sentence names them."""
    family = draws.one_of(_families())
    number = 2 if draws.chance(_PAIR_SHARE) else 3
    names = [draws.one_of(synonyms).name for synonyms in draws.some_of(family, number)]
    return ", ".join(names[:-1]) + " or " + names[-1]


def named_in(choice: str) -> list[Label]:
    """The labels in a choice as `offer` gives it; unknown ones are left out."""
    known = _labels()
    return [known[name] for name in _BETWEEN.split(choice) if name in known]


@cache
def _families() -> tuple[tuple[tuple[Label, ...], ...], ...]:
    """Each family is a tuple of labels, and each label a tuple of synonyms with the same texts."""
    families = []
    for section in sections("labels"):
        family = []
        for block in "\n".join(section.lines).split("> ")[1:]:
            names, *lines = block.strip().split("\n")
            texts = tuple(template_or_text(line) for line in lines)
            family.append(tuple(Label(name=name, texts=texts) for name in names.split(" | ")))
        families.append(tuple(family))
    return tuple(families)


@cache
def _labels() -> dict[str, Label]:
    return {label.name: label for family in _families() for same in family for label in same}
