"""Fills the slots in texts with words from settings and word lists.

    Explain to {audience} how {doing} changed the life of a {person}.

- The slots person, place, thing, doing, trouble and why are filled from one *setting*, so the words in a text
  belong together: a beekeeper, the hives, the swarm.
- `{other_person}` is filled from a second setting, and `{person2}` is a second person from the same setting.
  `{Person}` begins with a capital letter. If a slot occurs twice, both places get the same words.
- All other slots are filled from word lists, whose entries may contain slots themselves. `{a}`, `{b}` and
  `{c}` are numbers: 2 to 9, 12 to 59 and 120 to 960.
- "a" before a slot becomes "an" if the slot's words begin with a vowel sound.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

_SLOT: Final = re.compile(r"(?:\b([Aa]) )?\{(\w+)\}")
_VOWEL: Final = re.compile(r"(?!eur|un[ie]|use|one\b)[aeiou]|hour|honest", re.IGNORECASE)
_NUMBERS: Final = {"a": (2, 9), "b": (12, 59), "c": (120, 960)}
CLOSED: Final = frozenset(("count", "field", "style", "tone"))
"""Slots that match only words from their word lists, so their matches cannot include words of other slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Words that belong together, such as "beekeeper", "hives" and "swarm"."""

    words: Mapping[str, Sequence[str]]
    """The words that fit in each slot, by slot name."""
    answers: Mapping[str, str]
    """The answer to each "how …" or "why …" clause, by that clause."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """The settings and the slot words that were chosen for one text."""

    rng: SeededRandom
    setting: Setting
    other: Setting
    """The setting for slots such as `{other_person}`."""
    used: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return `text` with all its slots filled."""
        return _SLOT.sub(self._filled, text) if "{" in text else text

    def words(self, slot: str) -> str:
        """Return the words for `slot`, a lower-case slot name such as "other_person" or "person2"."""
        words = self.used.get(slot)
        if words is None:
            words = self.used[slot] = self._choose(slot)
        return words

    def _filled(self, slot: re.Match[str]) -> str:
        article, written = slot.groups()
        words = self.words(written.lower())
        if written[0].isupper():
            words = words[0].upper() + words[1:]
        if article is None:
            return words
        return f"{article}n {words}" if _VOWEL.match(words) else f"{article} {words}"

    def _choose(self, slot: str) -> str:
        name = _name(slot)
        if name in _NUMBERS:
            return str(self.rng.between(*_NUMBERS[name]))
        if name == "answer":
            why = self.words("why")
            return self.setting.answers.get(why, "that depends on the circumstances")
        setting = self.other if slot.startswith("other_") else self.setting
        options = setting.words.get(name) or word_list(name)
        for _ in range(8):
            words = self.fill(self.rng.one_of(options))
            # `{person}` and `{person2}` should get different words.
            if words not in self.used.values():
                break
        return words


def new_scene(rng: SeededRandom, used: Mapping[str, str] | None = None) -> Scene:
    """Return a scene in which the slots in `used` are already filled. Its settings are theirs, if known."""
    used = used or {}
    homes: dict[bool, Setting] = {}
    for slot, words in used.items():
        if words in setting_of():
            homes.setdefault(slot.startswith("other_"), setting_of()[words])
    return Scene(
        rng=rng,
        setting=homes.get(False) or rng.one_of(settings()),
        other=homes.get(True) or rng.one_of(settings()),
        used=dict(used),
    )


def pattern(text: str) -> re.Pattern[str]:
    """Return a pattern that matches `text` with any words in its slots, optionally followed by more text.

    Each group has its slot's name.
    """
    parts, end = [], 0
    seen: set[str] = set()
    for slot in _SLOT.finditer(text):
        parts.append(re.escape(text[end : slot.start()]))
        if slot[1]:
            parts.append(f"{slot[1]}n? ")
        key = slot[2].lower()
        parts.append(f"(?P={key})" if key in seen else f"(?P<{key}>{_words_pattern(_name(key))})")
        seen.add(key)
        end = slot.end()
    return re.compile("".join(parts) + re.escape(text[end:]) + r"(?:\s.*)?", re.DOTALL)


def _words_pattern(name: str) -> str:
    if name == "why":
        return r"(?:how|why)\b.{1,160}?"
    if name in CLOSED:
        return "|".join(map(re.escape, word_list(name)))
    return ".{1,160}?"


def _name(slot: str) -> str:
    return slot.removeprefix("other_").rstrip("0123456789")


@cache
def _word_lists() -> dict[str, tuple[str, ...]]:
    both = sections("wording") + sections("mistakes")
    return {name: tuple(filter(None, lines)) for (name,), lines in both}


def word_list(name: str) -> tuple[str, ...]:
    """Return the entries in the word list `name`. Raises KeyError if there is no such list."""
    return _word_lists()[name]


@cache
def settings() -> tuple[Setting, ...]:
    """Return all settings."""
    found = []
    for _, lines in sections("settings"):
        words: dict[str, list[str]] = {}
        answers = {}
        for line in filter(None, lines):
            name, _, entries = line.partition(": ")
            if name == "why":
                question, _, answers[question] = entries.partition(" = ")
                entries = question
            words.setdefault(name, []).extend(entries.split(" | "))
        found.append(Setting(words=words, answers=answers))
    return tuple(found)


@cache
def setting_of() -> dict[str, Setting]:
    """Return the setting for each entry in any setting, by entry."""
    return {
        words: setting
        for setting in settings()
        for options in setting.words.values()
        for words in options
    }
