"""Writes examples for an instruction: inputs with outputs, or labels with inputs.

If the author wrote the instruction, its kind selects fitting texts from the word lists "outputs", "pairs" and
"labels". For any other instruction, the texts have the right form, but do not fit the instruction.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from selfinstruct.simulate.author.grammar import Scene, new_scene
from selfinstruct.simulate.author.instructions import LABEL_KIND, recognise
from selfinstruct.simulate.author.labels import labels_in
from selfinstruct.simulate.author.word_lists import sections
from selfinstruct.simulate.seeded_random import SeededRandom

_ASKS_FOR_INPUT: Final = re.compile(
    r"\b(?:given|following|below|supplied|this (?:text|sentence|list|paragraph|word|number)"
    r"|the (?:text|sentence|paragraph|article|lists?|words?|numbers?|passage|review|message))\b",
    re.IGNORECASE,
)
_COUNTS: Final = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def needs_input(kind: str) -> bool:
    """Return whether the author's tasks of this kind need an input."""
    return kind not in _outputs() and kind not in _outputs(lists=True)


def examples(instruction: str, number: int, rng: SeededRandom) -> list[tuple[str, str]]:
    """Return at most `number` pairs of an input and its output.

    If the instruction needs no input, one pair with the input "" is returned.
    """
    task = recognise(instruction)
    if task is None:
        kind, used = "general", dict[str, str]()
        has_input = bool(_ASKS_FOR_INPUT.search(instruction)) or rng.chance(0.3)
    else:
        kind, used = task.kind, dict(task.used)
        has_input = needs_input(kind)
    if not has_input:
        return [("", _output(kind, new_scene(rng, used)))]
    if kind == LABEL_KIND:
        return [(given, label) for label, given in labelled(instruction, number, rng)]
    return list(dict(_pair(kind, new_scene(rng, used)) for _ in range(number)).items())


def labelled(instruction: str, number: int, rng: SeededRandom) -> list[tuple[str, str]]:
    """Return at most `number` pairs of a label and an input for which the label is correct."""
    task = recognise(instruction)
    if task is not None and task.kind != LABEL_KIND:
        # The prompt wrongly treats this as a classification task. Use the output as the label.
        pairs = examples(instruction, number, rng)
        return [(output, given or "none") for given, output in pairs]
    used: Mapping[str, str] = {} if task is None else task.used
    known: Mapping[str, Sequence[str]] = labels_in(used.get("labels", ""))
    if not known:
        known = dict.fromkeys(("positive", "negative", "neutral"), _outputs()["general_label"])
    labels = rng.some_of(list(known), len(known))
    inputs: dict[str, str] = {}
    for position in range(number):
        label = labels[position % len(labels)]
        inputs.setdefault(new_scene(rng, used).fill(rng.one_of(known[label])), label)
    return [(name, given) for given, name in inputs.items()]


def _output(kind: str, scene: Scene) -> str:
    if kind not in _outputs(lists=True):
        return scene.fill(scene.rng.one_of(_outputs()[kind]))
    number = _COUNTS.get(scene.used.get("count", ""), 5)
    lines = scene.rng.some_of(_outputs(lists=True)[kind], number)
    return "\n".join(f"{number}. {scene.fill(line)}" for number, line in enumerate(lines, 1))


def _pair(kind: str, scene: Scene) -> tuple[str, str]:
    name = scene.used.get({"rewrite": "style", "extract": "field"}.get(kind, ""), kind)
    given, output = scene.rng.one_of(_pairs()[name])
    return scene.fill(given), scene.fill(output)


@cache
def _outputs(*, lists: bool = False) -> dict[str, tuple[str, ...]]:
    """Return the outputs by kind. If `lists` is true, return the entries for list outputs by kind instead."""
    separator = "\n" if lists else "\n~\n"
    return {
        heading[0]: tuple("\n".join(lines).strip().split(separator))
        for heading, lines in sections("outputs")
        if (heading[-1] == "list") == lists
    }


@cache
def _pairs() -> dict[str, list[tuple[str, str]]]:
    """Return pairs of an input and its output, by kind, style or field."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for (name,), lines in sections("pairs"):
        for line in filter(None, lines):
            given, _, output = line.partition(" => ")
            pairs.setdefault(name, []).append((given, output.replace("\\n", "\n")))
    return pairs
