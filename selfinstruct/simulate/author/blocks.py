"""Blocks: whole tasks, each with its input and its output, divided by "###".

Knows the format in which one call asks for everything (Taori et al., 2023), and the ways in which
models get it wrong. A block that nothing has gone wrong with, after "###" and before the next::

    4. Instruction: Sort the prices of tide tables at a ferry terminal from …
    4. Input:
    340 euros, 125 euros
    4. Output:
    125 euros, 340 euros

The instructions are those of numbered lists (`continuation`), inputs and outputs come from
`examples`.
"""

from dataclasses import dataclass
from typing import Final

from selfinstruct.simulate.author import mistakes
from selfinstruct.simulate.author.classification import is_classification
from selfinstruct.simulate.author.continuation import new_task
from selfinstruct.simulate.author.examples import examples, labelled
from selfinstruct.simulate.author.grammar import Scene, settings
from selfinstruct.simulate.author.instances import spoilt
from selfinstruct.simulate.author.passages import passage
from selfinstruct.simulate.author.prompt_recognition import Blocks
from selfinstruct.simulate.random_draws import Draws

_FENCED_FIRST: Final = 0.2
"""How many chat replies begin with "###", from 0 to 1; most begin with the heading below it."""
_HEADLESS: Final = 0.2
"""How many begin with the first instruction itself, as the prompt has its heading already."""
_FENCED_LAST: Final = 0.1
_SHORTEST_LONG_OUTPUT: Final = 30
"""Characters below which an output is a word or a number, and stays so in a long-winded reply."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the three headings of a block are written, and what divides them from their text."""

    heading: str
    gap: str

    def part(self, number: int, name: str, text: str) -> str:
        return f"{self.head(number, name)}{self.gap}{text}".rstrip()

    def head(self, number: int, name: str) -> str:
        return self.heading.format(number=number, name=name)


_RIGHT: Final = _Layout("{number}. {name}:", "\n")
_WRONG: Final = (
    _Layout("{number}. {name}:", " "),
    _Layout("{number}) {name}:", "\n"),
    _Layout("**{number}. {name}:**", "\n"),
    _Layout("{name}:", "\n"),
)


def blocks(asked: Blocks, draws: Draws, shares: mistakes.FaultShares) -> str:
    """A chat model's reply to a prompt that ends with the heading of the next block."""
    if draws.chance(shares.refused):
        return draws.one_of(mistakes.APOLOGIES)
    layout = draws.one_of(_WRONG) if draws.chance(shares.malformed) else _RIGHT
    rest = _behind_the_heading(asked, asked.last, layout, draws, shares)
    if draws.chance(_FENCED_LAST):
        rest += "\n###"
    fate = draws.unit()
    if fate < _HEADLESS:
        return rest.lstrip(" ")
    reply = layout.head(asked.first, "Instruction") + rest
    if fate < _HEADLESS + _FENCED_FIRST:
        reply = f"###\n{reply}"
    if draws.chance(shares.chatty):
        reply = f"Sure! Here are tasks {asked.first} to {asked.last}:\n\n{reply}"
    return reply


def continued_blocks(
    asked: Blocks, draws: Draws, shares: mistakes.FaultShares, *, beyond: int
) -> str:
    """What follows on the heading at the end of a prompt, with `beyond` blocks more than asked for."""
    return _behind_the_heading(asked, asked.last + beyond, _RIGHT, draws, shares)


def _behind_the_heading(
    asked: Blocks, last: int, layout: _Layout, draws: Draws, shares: mistakes.FaultShares
) -> str:
    """Blocks up to number `last`, without the heading of the very first."""
    long_winded = draws.chance(shares.long_winded)
    parts = []
    for number in range(asked.first, last + 1):
        instruction = new_task(asked.demonstrations, draws, shares)
        make = labelled if is_classification(instruction) else examples
        before, after = make(instruction, 1, draws)[0]
        given, answer = (after, before) if make is labelled else (before, after)
        given, answer = spoilt((given, answer), 1, draws, shares)
        if long_winded and len(answer) > _SHORTEST_LONG_OUTPUT:
            answer = "\n\n".join([answer, *_more_paragraphs(draws)])
        if not given:
            respelt = draws.chance(shares.no_input_respelt)
            given = draws.one_of(mistakes.NO_INPUT) if respelt else asked.no_input
        fence = "\n###\n"
        # What goes wrong with a block leaves the heading of the first alone: it is the prompt's.
        wrong = draws.below(3) if draws.chance(shares.block_malformed) else None
        second = number + draws.between(1, 3) if wrong == 0 else number
        input_part = layout.part(second, "Input", given)
        output_part = answer if wrong == 1 else layout.part(second, "Output", answer)
        if wrong == 2:
            fence = "\n\n"
        head = "" if number == asked.first else layout.head(number, "Instruction")
        parts += [f"{head} {instruction}\n{input_part}\n{output_part}".rstrip(), fence]
    return "".join(parts[:-1])


def _more_paragraphs(draws: Draws) -> list[str]:
    scenes = [
        Scene(draws=draws, setting=draws.one_of(settings())) for _ in range(draws.between(2, 4))
    ]
    return [passage(scene).text for scene in scenes]
