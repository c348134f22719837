"""Texts with slots, which settings and word lists fill.

    Explain to {audience} how {doing} changed the life of a {person}.

- The words of a *setting* fill the slots person, place, thing, doing, trouble and why, so that the parts of
  a text belong together: a beekeeper, the hives, the swarm.
- `{other_person}` is from another setting, `{person2}` is a second person of the same setting, and
  `{Person}` begins with a capital letter. The same slot twice has the same words twice.
- The word lists fill all other slots. Their entries may have slots too. `{a}`, `{b}` and `{c}` are numbers:
  2 to 9, 12 to 59 and 120 to 960.
- "a" before a slot becomes "an" before a vowel.
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
"""Slots whose words a pattern lists, so that a neighbouring slot cannot match them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Words that belong together."""

    words: Mapping[str, Sequence[str]]
    """Words by slot."""
    answers: Mapping[str, str]
    """A clause that answers each "how …" or "why …"."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """The choices for one text: the words of its slots so far."""

    rng: SeededRandom
    setting: Setting
    other: Setting
    """Setting of slots such as `{other_person}`."""
    used: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return `text` with words in all its slots."""
        return _SLOT.sub(self._filled, text) if "{" in text else text

    def words(self, slot: str) -> str:
        """Return the words of `slot`, written in lower case, such as "other_person" or "person2"."""
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
            # The words of `{person}` and `{person2}` should differ.
            if words not in self.used.values():
                break
        return words


def new_scene(rng: SeededRandom, used: Mapping[str, str] | None = None) -> Scene:
    """Return a scene that begins with the words in `used`, in their settings."""
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
    """Return a pattern for `text` with any words in its slots, and perhaps more sentences after it.

    The groups have the names of the slots.
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
    """Return the entries of the word list `name`. Raises KeyError."""
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
    """Return the setting of all words that fill a slot of a setting."""
    return {
        words: setting
        for setting in settings()
        for options in setting.words.values()
        for words in options
    }
