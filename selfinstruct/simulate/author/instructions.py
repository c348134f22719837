"""Composes instructions from frames, which are sentences with slots, grouped by kind of task.

`compose` writes a new instruction. `recognise` finds an instruction's frame and the words in its slots. It
recognises every instruction that `compose` can write.
"""

import re
from bisect import bisect
from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from typing import Final, NamedTuple

from selfinstruct.simulate.author import grammar
from selfinstruct.simulate.author.labels import choice_of_labels
from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

LABEL_KIND: Final = "label"
"""The kind of all classification tasks. No other tasks have this kind."""
_CLOSING_SHARE: Final = 0.6
"""Share of instructions with an additional sentence after the frame."""
_LEAD_SHARE: Final = 0.15
"""Share of instructions with an additional sentence before the frame."""
_MAX_LENGTH: Final = 1_000
"""Maximum length of a text that `recognise` examines, in characters."""


class Frame(NamedTuple):
    """A sentence with slots, from which instructions are composed."""

    kind: str
    text: str
    closing: str
    """The name of the word list with sentences that may follow this frame."""


class Recognised(NamedTuple):
    """The kind and the slot words that were found in an instruction."""

    kind: str
    used: Mapping[str, str]
    """The words in each slot, for those slots in which they are certain."""


def compose(rng: SeededRandom) -> str:
    """Return a new random instruction."""
    kinds, bounds = _kinds()
    frames = kinds[bisect(bounds, rng.unit() * bounds[-1])]
    return fill_frame(rng.one_of(frames), rng)


def fill_frame(frame: Frame, rng: SeededRandom) -> str:
    """Return a new instruction from `frame`, in some cases with a sentence before or after it."""
    used = {"labels": choice_of_labels(rng)} if frame.kind == LABEL_KIND else {}
    scene = grammar.new_scene(rng, used)
    instruction = scene.fill(frame.text)
    chance = rng.unit()
    if chance < _CLOSING_SHARE:
        return f"{instruction} {scene.fill(rng.one_of(grammar.word_list(frame.closing)))}"
    if chance < _CLOSING_SHARE + _LEAD_SHARE:
        return f"{scene.fill(rng.one_of(grammar.word_list('lead')))} {instruction}"
    return instruction


def recognise(instruction: str) -> Recognised | None:
    """Return the kind and slot words of `instruction`; None if the author cannot have written it."""
    if len(instruction) > _MAX_LENGTH:
        return None
    for text in (instruction, instruction.partition(". ")[2]):  # With and without a first sentence.
        for frame, frame_pattern in _candidates(text):
            found = frame_pattern.fullmatch(text)
            if found is not None:
                # The pattern may split the words wrongly. Keep only words that can fill their slot.
                used = {
                    slot: words
                    for slot, words in found.groupdict().items()
                    if slot in grammar.CLOSED or slot == "labels" or words in grammar.setting_of()
                }
                return Recognised(kind=frame.kind, used=used)
    return None


def all_frames() -> list[Frame]:
    """Return the frames of all kinds."""
    return [frame for frames in _kinds()[0] for frame in frames]


@cache
def _kinds() -> tuple[tuple[tuple[Frame, ...], ...], tuple[float, ...]]:
    """Return each kind's frames, and the cumulative weights of the kinds."""
    found = sections("frames")
    kinds = (
        tuple(Frame(kind=kind, text=line, closing=closing) for line in filter(None, lines))
        for (kind, _, closing), lines in found
    )
    return tuple(kinds), tuple(accumulate(float(weight) for (_, weight, _), _ in found))


@cache
def _patterns() -> dict[str, list[tuple[Frame, re.Pattern[str]]]]:
    """Return the frames and their patterns by first word, so only a few patterns need to be tried."""
    patterns: dict[str, list[tuple[Frame, re.Pattern[str]]]] = {}
    for frame in all_frames():
        patterns.setdefault(_first_word(frame.text), []).append(
            (frame, grammar.pattern(frame.text))
        )
    return patterns


def _candidates(text: str) -> list[tuple[Frame, re.Pattern[str]]]:
    return _patterns().get(_first_word(text), []) + _patterns().get("", [])


def _first_word(text: str) -> str:
    """Return the first word ("A" for "An"), or "" for a frame that begins with a slot."""
    first = text.partition(" ")[0]
    return "A" if first == "An" else "" if first.startswith("{") else first
