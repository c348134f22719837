"""The grammar: templates with slots, filled from settings and word lists.

Knows how a sentence is put together, and not what it asks for. A template is text with slots::

    Explain to {audience} how {doing} changed the life of a {person}.

- A slot that a *setting* has words for (person, place, thing, doing, trouble, why) is filled from
  the setting of the sentence, so that its parts go together: a beekeeper, the hives, the swarm.
- `{other_person}` comes from another setting, `{person2}` is another person of the same one, and
  `{Person}` begins with a capital letter. The same slot twice is the same words twice.
- All other slots come from the word lists, whose entries may have slots of their own. `{a}`, `{b}`
  and `{c}` are numbers: 2 to 9, 12 to 59 and 120 to 960.
- "a" before a slot becomes "an" where the words ask for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.random_draws import Draws

_SLOT: Final = re.compile(r"\{(\w+)\}")
_ARTICLE: Final = re.compile(r"(?:^|(?<=\W))a $", re.IGNORECASE)
_NUMBERS: Final = {"a": (2, 9), "b": (12, 59), "c": (120, 960)}
_NARROW: Final = frozenset(("columns", "conversion", "count", "field", "style", "tone"))
_SETTING_SLOTS: Final = frozenset(("person", "place", "thing", "doing", "trouble", "why"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A small world: the words that go together, by the slot they fill, and what is known of it.

    `answers` maps each "how …" or "why …" to a clause that answers it.
    """

    name: str
    words: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    key: str
    """What tells slots apart inside a sentence: the slot as written, in lower case."""
    other: bool
    capital: bool
    article: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text with slots, taken apart once so that it can be filled often."""

    text: str
    _start: str = field(init=False, repr=False)
    _rest: tuple[tuple[_Slot, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        start, *rest = _SLOT.split(self.text)
        literals = [start, *rest[1::2]]
        slots = []
        for at, name in enumerate(rest[::2]):
            article = _ARTICLE.search(literals[at]) is not None
            if article:
                literals[at] = literals[at][:-1]
            slots.append(_slot(name, article=article))
        object.__setattr__(self, "_start", literals[0])
        object.__setattr__(self, "_rest", tuple(zip(slots, literals[1:], strict=True)))

    def fill(self, scene: "Scene") -> str:
        """The text with every slot filled; what is drawn is noted in the scene."""
        parts = [self._start]
        for slot, literal in self._rest:
            words = scene.words(slot)
            if slot.article:
                parts.append("n " if _AN.match(words) else " ")
            parts.append(words[0].upper() + words[1:] if slot.capital else words)
            parts.append(literal)
        return "".join(parts)

    def pattern(self) -> re.Pattern[str]:
        """Matches what `fill` can have written, perhaps with more sentences after it.

        The groups are called like the slots.
        """
        seen: set[str] = set()
        parts = [re.escape(self._start)]
        for slot, literal in self._rest:
            parts.append("n? " if slot.article else "")
            if slot.key in seen:
                parts.append(f"(?P={slot.key})")
            else:
                parts.append(f"(?P<{slot.key}>{_words_pattern(slot.name)})")
            parts.append(re.escape(literal))
            seen.add(slot.key)
        return re.compile("".join(parts) + r"(?:\s.*)?", re.DOTALL)


_AN: Final = re.compile(r"(?!eur|un[ie]|use|uni|one\b)[aeiou]|hour|honest", re.IGNORECASE)


@cache
def _words_pattern(name: str) -> str:
    """Matches what a slot of that name can hold, as narrowly as is needed.

    Where two slots meet, as in "about {doing} {style}", one of them has to know its own words.
    """
    if name == "why":
        return r"(?:how|why)\b.{1,160}?"
    if name in _NUMBERS:
        return "[0-9]{1,3}"
    if name in _NARROW:
        return "|".join(re.escape(str(words)) for words in word_list(name))
    return ".{1,160}?"


def _slot(written: str, *, article: bool) -> _Slot:
    key = written.lower()
    other = key.startswith("other_")
    return _Slot(
        name=key.removeprefix("other_").rstrip("0123456789"),
        key=key,
        other=other,
        capital=written[0].isupper(),
        article=article,
    )


@dataclass(slots=True, kw_only=True)
class Scene:
    """A sentence in the making: its draws, its setting, and the words it has used, by slot."""

    draws: Draws
    setting: Setting
    used: dict[str, str] = field(default_factory=dict)
    other: Setting | None = None
    """Where the words for slots such as `{other_person}` come from; drawn when first needed."""

    def words(self, slot: _Slot) -> str:
        """The words for `slot`: those it has had before, or newly drawn ones."""
        words = self.used.get(slot.key)
        if words is None:
            words = self.used[slot.key] = self._fresh(slot)
        return words

    def word(self, written: str) -> str:
        """The words for the slot that a template would write as `written`, without its braces."""
        return self.words(_slot(written, article=False))

    def _fresh(self, slot: _Slot) -> str:
        if slot.name in _NUMBERS:
            return str(self.draws.between(*_NUMBERS[slot.name]))
        if slot.name not in _SETTING_SLOTS:
            options: tuple[str | Template, ...] = word_list(slot.name)
        elif slot.other:
            if self.other is None:
                self.other = self.draws.one_of(settings())
            options = self.other.words[slot.name]
        else:
            options = self.setting.words[slot.name]
        for _ in range(8):
            drawn = self.draws.one_of(options)
            words = fill(drawn, self)
            # A second person should be a second person; lists of one have nothing else to offer.
            if words not in self.used.values():
                break
        return words


def can_hold(written: str, words: str) -> bool:
    """Whether the slot that a template writes as `written` may have been filled with `words`."""
    name = _slot(written, article=False).name
    if name in _SETTING_SLOTS:
        return words in setting_of()
    return name not in _plain_lists() or words in _plain_lists()[name]


def fill(text: str | Template, scene: Scene) -> str:
    """`text` with its slots filled, if it has any."""
    return text if isinstance(text, str) else text.fill(scene)


def template_or_text(text: str) -> str | Template:
    """`text` itself if it has no slots."""
    return Template(text) if "{" in text else text


@cache
def word_list(name: str) -> tuple[str | Template, ...]:
    """The entries of the word list `name`; KeyError if there is none."""
    return _word_lists()[name]


@cache
def _word_lists() -> dict[str, tuple[str | Template, ...]]:
    return {
        section.heading[0]: tuple(template_or_text(line) for line in section.lines if line)
        for section in sections("wording")
    }


@cache
def _plain_lists() -> dict[str, frozenset[str | Template]]:
    """The word lists none of whose entries has slots, so that they can be looked up in."""
    return {
        name: frozenset(entries)
        for name, entries in _word_lists().items()
        if not any(isinstance(entry, Template) for entry in entries)
    }


@cache
def settings() -> tuple[Setting, ...]:
    """All settings there are."""
    found = []
    for section in sections("settings"):
        words: dict[str, list[str]] = {}
        answers = {}
        for line in section.lines:
            name, _, entries = line.partition(": ")
            if name == "why":
                question, _, answer = entries.partition(" = ")
                answers[question] = answer
                entries = question
            words.setdefault(name, []).extend(entries.split(" | ") if entries else [])
        found.append(
            Setting(
                name=section.heading[0],
                words={name: tuple(options) for name, options in words.items() if name},
                answers=answers,
            )
        )
    return tuple(found)


@cache
def setting_of() -> dict[str, Setting]:
    """The setting that each of the words of a setting belongs to."""
    return {
        words: setting
        for setting in settings()
        for options in setting.words.values()
        for words in options
    }
