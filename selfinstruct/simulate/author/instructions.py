"""Instructions: sentences with slots ("frames"), by the kind of task they ask for.

`compose` writes an instruction. `recognise` finds the frame of an instruction and the words in its slots;
it recognises everything that `compose` writes.
"""

import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final

from selfinstruct.simulate.author.grammar import (
    CLOSED,
    new_scene,
    pattern,
    setting_of,
    word_list,
)
from selfinstruct.simulate.author.labels import choice_of_labels
from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

LABEL_KIND: Final = "label"
"""The only kind of classification tasks."""
_CLOSING_SHARE: Final = 0.6
"""Share of instructions with a sentence after the frame."""
_LEAD_SHARE: Final = 0.15
"""Share of instructions with a sentence before the frame."""
_MAX_LENGTH: Final = 1_000
"""Characters in the longest text that can be an instruction of the author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A sentence with slots."""

    kind: str
    text: str
    closing: str
    """Word list of the sentences that may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The frame of an instruction."""

    kind: str
    used: Mapping[str, str]
    """Words by slot, as far as they are certain."""


def compose(rng: SeededRandom) -> str:
    """Return a new instruction."""
    kinds, bounds = _kinds()
    frames = kinds[bisect(bounds, rng.unit() * bounds[-1])]
    return fill_frame(rng.one_of(frames), rng)


def fill_frame(frame: Frame, rng: SeededRandom) -> str:
    """Return a new instruction in `frame`, perhaps with a sentence before or after the frame."""
    used = {"labels": choice_of_labels(rng)} if frame.kind == LABEL_KIND else {}
    scene = new_scene(rng, used)
    instruction = scene.fill(frame.text)
    chance = rng.unit()
    if chance < _CLOSING_SHARE:
        return f"{instruction} {scene.fill(rng.one_of(word_list(frame.closing)))}"
    if chance < _CLOSING_SHARE + _LEAD_SHARE:
        return f"{scene.fill(rng.one_of(word_list('lead')))} {instruction}"
    return instruction


def recognise(instruction: str) -> Recognised | None:
    """Return the frame of `instruction`, if it has one."""
    if len(instruction) > _MAX_LENGTH:
        return None
    for text in (instruction, instruction.partition(". ")[2]):  # with and without a lead
        for frame, frame_pattern in _candidates(text):
            found = frame_pattern.fullmatch(text)
            if found is not None:
                # A pattern may split words in the wrong place. Keep only words that a slot can have.
                used = {
                    slot: words
                    for slot, words in found.groupdict().items()
                    if slot in CLOSED or slot == "labels" or words in setting_of()
                }
                return Recognised(kind=frame.kind, used=used)
    return None


def all_frames() -> list[Frame]:
    """Return every frame."""
    return [frame for frames in _kinds()[0] for frame in frames]


@cache
def _kinds() -> tuple[tuple[tuple[Frame, ...], ...], tuple[float, ...]]:
    """Return the frames of each kind, and the running total of the weights of the kinds."""
    kinds = []
    weights = []
    for (kind, weight, closing), lines in sections("frames"):
        weights.append(float(weight))
        kinds.append(
            tuple(Frame(kind=kind, text=line, closing=closing) for line in filter(None, lines))
        )
    return tuple(kinds), tuple(accumulate(weights))


@cache
def _patterns() -> dict[str, list[tuple[Frame, re.Pattern[str]]]]:
    """Return the patterns of the frames by first word, so that few have to be tried."""
    patterns: dict[str, list[tuple[Frame, re.Pattern[str]]]] = {}
    for frame in all_frames():
        patterns.setdefault(_first_word(frame.text), []).append((frame, pattern(frame.text)))
    return patterns


def _candidates(text: str) -> list[tuple[Frame, re.Pattern[str]]]:
    return _patterns().get(_first_word(text), []) + _patterns().get("", [])


def _first_word(text: str) -> str:
    """Return the first word, or "" for a frame that begins with a slot."""
    first = text.partition(" ")[0]
    return "A" if first == "An" else "" if first.startswith("{") else first
