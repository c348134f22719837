"""Frames: the sentences that instructions are made in, and recognised by.

Knows which frames there are, how often each kind is used, and which words a frame has had put in
its slots when an instruction comes back. Knows nothing of the replies::

    >>> found = recognise("Can you explain to a book club why bread rises? Keep the tone calm.")
    >>> found.kind, found.used
    ('explain', {'audience': 'a book club', 'why': 'why bread rises'})

Whatever `compose` writes, `recognise` recognises.
"""

import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final

from selfinstruct.simulate.author import code_snippets, labels
from selfinstruct.simulate.author.grammar import (
    Scene,
    Template,
    can_hold,
    fill,
    settings,
    word_list,
)
from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.random_draws import Draws

LABEL_KIND: Final = "label"
"""The kind of all frames that are classification tasks, and of no others."""

_CLOSING_SHARE: Final = 0.6
"""How many instructions end with a further sentence, from 0 to 1."""
_LEAD_SHARE: Final = 0.15
"""How many begin with one instead."""
_LONGEST: Final = 1_000
"""Characters beyond which an instruction is certainly not the author's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One sentence with slots; `closing` is the word list of the sentences that may follow it."""

    kind: str
    template: Template
    closing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """An instruction in one of the frames: what it asks for, and the words in its slots."""

    kind: str
    used: Mapping[str, str]


def compose(draws: Draws) -> str:
    """A new instruction."""
    return fill_frame(_draw_frame(draws), draws)


def fill_frame(frame: Frame, draws: Draws) -> str:
    """A new instruction in the given frame, often with one more sentence before or after it."""
    scene = Scene(draws=draws, setting=draws.one_of(settings()))
    if frame.kind == LABEL_KIND:
        scene.used["labels"] = labels.offer(draws)
    elif frame.kind == "code":
        scene.used["operation"] = draws.one_of(code_snippets.operations())
    instruction = frame.template.fill(scene)
    fate = draws.unit()
    if fate < _CLOSING_SHARE:
        return f"{instruction} {fill(draws.one_of(word_list(frame.closing)), scene)}"
    if fate < _CLOSING_SHARE + _LEAD_SHARE:
        return f"{fill(draws.one_of(word_list('lead')), scene)} {instruction}"
    return instruction


def recognise(instruction: str) -> Recognised | None:
    """What `instruction` asks for, if it is in one of the frames."""
    if len(instruction) > _LONGEST:
        return None
    for text in (instruction, instruction.partition(". ")[2]):  # as it is, and without a lead
        for pattern, frame in _candidates(text):
            found = pattern.fullmatch(text)
            if found is not None:
                # Words such as "judging a show for beginners" can be taken apart in the wrong
                # place; what no slot can have held is left to be drawn again.
                used = {
                    slot: words
                    for slot, words in found.groupdict().items()
                    if can_hold(slot, words)
                }
                return Recognised(kind=frame.kind, used=used)
    return None


def all_frames() -> list[Frame]:
    """Every frame there is."""
    return [frame for frames in _kinds()[0] for frame in frames]


def _draw_frame(draws: Draws) -> Frame:
    kinds, bounds = _kinds()
    return draws.one_of(kinds[bisect(bounds, draws.unit() * bounds[-1])])


@cache
def _kinds() -> tuple[tuple[tuple[Frame, ...], ...], tuple[float, ...]]:
    """The frames of each kind, and the running total of the weights of the kinds."""
    kinds = []
    weights = []
    for section in sections("frames"):
        kind, weight, closing = section.heading
        weights.append(float(weight))
        kinds.append(
            tuple(
                Frame(kind=kind, template=Template(line), closing=closing)
                for line in section.lines
                if line
            )
        )
    return tuple(kinds), tuple(accumulate(weights))


@cache
def _patterns() -> dict[str, list[tuple[re.Pattern[str], Frame]]]:
    """The patterns of the frames by their first word, to try only a few for an instruction."""
    patterns: dict[str, list[tuple[re.Pattern[str], Frame]]] = {}
    for frame in all_frames():
        known = patterns.setdefault(_first_word(frame.template.text), [])
        known.append((frame.template.pattern(), frame))
    return patterns


def _candidates(text: str) -> list[tuple[re.Pattern[str], Frame]]:
    """The patterns that `text` might match, going by its first word."""
    return _patterns().get(_first_word(text), []) + _patterns().get("", [])


def _first_word(text: str) -> str:
    first = text.partition(" ")[0]
    # "A {person} …" is written "An …" before a vowel. A frame that begins with any other slot can
    # begin with anything, and is looked for under "".
    return "A" if first == "An" else "" if first.startswith("{") else first
