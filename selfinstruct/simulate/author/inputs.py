"""Inputs with outputs, for tasks that work on something.

Knows what people hand in (a text, a list, a value) and what is right for it::

    "Sort the prices of tide tables at a ferry terminal from the lowest to the highest."
    ("340 euros, 125 euros, 870 euros", "125 euros, 340 euros, 870 euros")

Which kind of task an instruction is has been decided elsewhere (`sentence_frames`).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from selfinstruct.simulate.author import arithmetic, labels
from selfinstruct.simulate.author.grammar import Scene, Template, fill, template_or_text, word_list
from selfinstruct.simulate.author.outputs import COUNTS, numbered, variants
from selfinstruct.simulate.author.passages import passage
from selfinstruct.simulate.author.word_lists import sections


def _summary(scene: Scene) -> tuple[str, str]:
    text = passage(scene)
    return text.text, text.summary


def _extract(scene: Scene) -> tuple[str, str]:
    text = passage(scene)
    return text.text, text.facts.get(scene.used["field"], text.headline)


def _points(scene: Scene) -> tuple[str, str]:
    text = passage(scene)
    return text.text, "\n".join(f"- {point}" for point in text.points)


def _title(scene: Scene) -> tuple[str, str]:
    text = passage(scene)
    return text.text, text.headline


def _quiz(scene: Scene) -> tuple[str, str]:
    text = passage(scene)
    number = COUNTS.get(scene.used["count"], 3)
    return text.text, numbered(scene.draws.some_of(text.questions, number))


def _rewriting(scene: Scene) -> tuple[str, str]:
    return _pair(scene.used["style"])(scene)


def _correction(scene: Scene) -> tuple[str, str]:
    """A text with two slips of the pen, and without."""
    right = " ".join(passage(scene).sentences[1:])
    words = list(re.finditer(r"\b[a-z]{5,}\b", right))
    wrong = right
    for word in scene.draws.some_of(words, 2):
        at = word.start() + scene.draws.between(1, len(word[0]) - 3)
        # Swaps two letters. Equal ones would swap without a trace: the next two that differ do.
        while right[at] == right[at + 1] and at + 2 < word.end():
            at += 1
        wrong = wrong[:at] + wrong[at + 1] + wrong[at] + wrong[at + 2 :]
    return wrong, right


def _names(scene: Scene) -> tuple[str, str]:
    names = _some_names(scene)
    return ", ".join(names), ", ".join(sorted(names))


def _names_reversed(scene: Scene) -> tuple[str, str]:
    names = _some_names(scene)
    return ", ".join(names), ", ".join(reversed(names))


def _some_names(scene: Scene) -> list[str]:
    number = scene.draws.between(3, 6)
    return [str(name) for name in scene.draws.some_of(word_list("firstname"), number)]


def _times(scene: Scene) -> tuple[str, str]:
    draws = scene.draws
    times = [
        f"{draws.between(7, 19):02}:{draws.below(12) * 5:02}" for _ in range(draws.between(3, 6))
    ]
    return ", ".join(times), ", ".join(sorted(times))


def _amounts(scene: Scene) -> tuple[str, str]:
    amounts = [scene.draws.between(3, 960) for _ in range(scene.draws.between(3, 6))]
    before, after = ([f"{a} euros" for a in some] for some in (amounts, sorted(amounts)))
    return ", ".join(before), ", ".join(after)


def _conversion(scene: Scene) -> tuple[str, str]:
    return arithmetic.convert(scene.used["conversion"], scene.draws) or ("7 weeks", "49 days")


def _label(scene: Scene) -> tuple[str, str]:
    named = labels.named_in(scene.used["labels"])
    if not named:
        return _general(scene)
    label = scene.draws.one_of(named)
    return fill(scene.draws.one_of(label.texts), scene), label.name


def _general(scene: Scene) -> tuple[str, str]:
    given = fill(scene.draws.one_of(variants("general_input")), scene)
    return given, fill(scene.draws.one_of(variants("general_output")), scene)


def _pair(name: str) -> Callable[[Scene], tuple[str, str]]:
    """Makes one of the ready-made pairs called `name`."""

    def make(scene: Scene) -> tuple[str, str]:
        given, answer = scene.draws.one_of(_pairs().get(name, _pairs()["reply"]))
        return fill(given, scene), fill(answer, scene)

    return make


@cache
def _pairs() -> dict[str, list[tuple[str | Template, str | Template]]]:
    pairs: dict[str, list[tuple[str | Template, str | Template]]] = {}
    for section in sections("pairs"):
        for line in section.lines:
            given, _, answer = line.partition(" => ")
            if answer:
                pair = (template_or_text(given), template_or_text(answer))
                pairs.setdefault(section.heading[0], []).append(pair)
    return pairs


WITH_INPUT: Final[Mapping[str, Callable[[Scene], tuple[str, str]]]] = {
    "summarise": _summary,
    "extract": _extract,
    "rewrite": _rewriting,
    "reply": _pair("reply"),
    "decline": _pair("declined"),
    "correct": _correction,
    "order_names": _names,
    "order_reversed": _names_reversed,
    "order_times": _times,
    "order_amounts": _amounts,
    "convert": _conversion,
    "list": _points,
    "title": _title,
    "quiz": _quiz,
    "label": _label,
    "general": _general,
}
"""By kind of task, a function that makes an input and its output for a scene."""
