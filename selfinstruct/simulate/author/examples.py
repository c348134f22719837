"""Examples: inputs and outputs, or labels and inputs, that fit an instruction.

Knows which kind of example an instruction calls for: from its frame, by heart for the commonplaces,
and otherwise by a rule of thumb; what is then written is right in form and no more than that.
Knows nothing of markers and faults::

    examples("Sort the prices of tide tables at a ferry terminal from …", 2, draws)
    [("340 euros, 125 euros", "125 euros, 340 euros"), ("12 euros, 8 euros", "8 euros, 12 euros")]
"""

import re
from collections.abc import Mapping
from typing import Final

from selfinstruct.simulate.author import labels
from selfinstruct.simulate.author.common_tasks import known_examples
from selfinstruct.simulate.author.grammar import Scene, fill, setting_of, settings
from selfinstruct.simulate.author.inputs import WITH_INPUT
from selfinstruct.simulate.author.outputs import WITHOUT_INPUT, variants
from selfinstruct.simulate.author.sentence_frames import LABEL_KIND, recognise
from selfinstruct.simulate.random_draws import Draws

_ASKS_FOR_INPUT: Final = re.compile(
    r"\b(?:given|following|below|supplied|this (?:text|sentence|list|paragraph|word|number)"
    r"|the (?:text|sentence|paragraph|article|lists?|words?|numbers?|passage|review|e-mail|message"
    r"|question|code|poem|letter|dialogue|conversation|data|table|string|note|report))\b",
    re.IGNORECASE,
)
_FOREIGN_INPUT_SHARE: Final = 0.35
"""How many foreign instructions get an input although none is named, from 0 to 1."""
_QUOTED: Final = re.compile(r"[\"“]([^\"“”]{1,40})[\"”]")
_CHOICE: Final = re.compile(r"((?:[\w-]{1,30}, ){0,6}[\w-]{1,30}),? or (?:an? )?([\w-]{1,30})")
_NO_NAMES: Final = (("yes", "no"), ("positive", "negative"), ("true", "false"))


def examples(instruction: str, number: int, draws: Draws) -> list[tuple[str, str]]:
    """At most `number` pairs of an input and its output.

    An instruction that needs no input gets a single pair, whose input is "".
    """
    known = known_examples(instruction)
    if known:
        return draws.some_of(known, number)
    found = recognise(instruction)
    used: Mapping[str, str] = {} if found is None else found.used
    if found is not None:
        kind, needs_input = found.kind, found.kind in WITH_INPUT
    else:
        kind = "general"
        needs_input = bool(_ASKS_FOR_INPUT.search(instruction)) or draws.chance(
            _FOREIGN_INPUT_SHARE
        )
    if not needs_input:
        return [("", WITHOUT_INPUT[kind](_scene(used, draws)))]
    pairs = (WITH_INPUT[kind](_scene(used, draws)) for _ in range(number))
    return list(dict(pairs).items())


def labelled(instruction: str, number: int, draws: Draws) -> list[tuple[str, str]]:
    """At most `number` pairs of a label and an input for which it is right."""
    known = known_examples(instruction)
    if known and known[0][0]:
        return [(label, given) for given, label in draws.some_of(known, number)]
    found = recognise(instruction)
    used: Mapping[str, str] = {} if found is None else found.used
    if found is not None and found.kind != LABEL_KIND:
        # The question was a mistake: the answer takes the place of the label.
        pairs = examples(instruction, number, draws)
        return [(answer, given or "none") for given, answer in pairs]
    named = labels.named_in(used.get("labels", ""))
    if not named:
        texts = variants("general_label")
        names = _names_in(instruction) or list(draws.one_of(_NO_NAMES))
        named = [labels.Label(name=name, texts=texts) for name in names]
    # Every label comes up once before any comes up again.
    order = draws.some_of(named, len(named))
    inputs: dict[str, str] = {}
    for at in range(number):
        label = order[at % len(order)]
        given = fill(draws.one_of(label.texts), _scene(used, draws))
        inputs.setdefault(given, label.name)
    return [(name, given) for given, name in inputs.items()]


def _scene(used: Mapping[str, str], draws: Draws) -> Scene:
    """A scene in which the words of an instruction are used again, in its own setting."""
    home = other = None
    for slot, words in used.items():
        if slot.startswith("other_"):
            other = other or setting_of().get(words)
        else:
            home = home or setting_of().get(words)
    return Scene(
        draws=draws, setting=home or draws.one_of(settings()), used=dict(used), other=other
    )


def _names_in(instruction: str) -> list[str]:
    """The labels that a foreign instruction offers, if it names at least two."""
    quoted = _QUOTED.findall(instruction)
    if len(quoted) > 1:
        return list(dict.fromkeys(quoted))
    choice = _CHOICE.search(instruction)
    return [] if choice is None else list(dict.fromkeys([*choice[1].split(", "), choice[2]]))
