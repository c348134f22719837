"""Writes blocks: complete tasks with input and output, separated by "###", as in Alpaca's prompts.

4. Instruction: Sort the prices of tide tables at a ferry terminal from …
4. Input:
340 euros, 125 euros
4. Output:
125 euros, 340 euros
"""

from typing import Final

from selfinstruct.simulate.author.continuation import new_task
from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.inputs_and_outputs import examples
from selfinstruct.simulate.author.instances import wrong_output
from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.author.prompt_recognition import Blocks
from selfinstruct.simulate.seeded_random import SeededRandom

_HEADLESS: Final = 0.2
"""Share of chat replies that begin with the first instruction and omit its heading."""
_FENCED: Final = 0.2
"""Share of chat replies that begin with "###"."""


_RIGHT: Final = "{number}. {name}:\n"
"""The correct layout: a part's heading and the line break before its text."""
_WRONG: Final = (
    "{number}. {name}: ",
    "{number}) {name}:\n",
    "**{number}. {name}:**\n",
    "{name}:\n",
)


def blocks(asked: Blocks, rng: SeededRandom, shares: FaultShares) -> str:
    """Return a chat model's reply to a prompt that ends with a block's first heading."""
    layout = rng.one_of(_WRONG) if rng.chance(shares.malformed) else _RIGHT
    text = continued_blocks(asked, asked.last, rng, shares, layout)
    chance = rng.unit()
    if chance < _HEADLESS:
        return text.lstrip(" ")
    reply = _head(layout, asked.first) + text
    if chance < _HEADLESS + _FENCED:
        reply = f"###\n{reply}"
    if rng.chance(shares.chatty):
        reply = f"Sure! Here are tasks {asked.first} to {asked.last}:\n\n{reply}"
    return reply


def continued_blocks(
    asked: Blocks, last: int, rng: SeededRandom, shares: FaultShares, layout: str = _RIGHT
) -> str:
    """Return the blocks from `asked.first` to `last`. The first block's first heading is omitted."""
    parts = []
    for number in range(asked.first, last + 1):
        instruction = new_task(asked.demonstrations, rng, shares)
        given, output = wrong_output(examples(instruction, 1, rng)[0], rng, shares)
        if not given:
            respelt = rng.chance(shares.no_input_respelt)
            given = rng.one_of(word_list("no_input")) if respelt else asked.no_input
        # Mistakes: 1 is a wrong number, 2 is a missing "Output:", 3 is a missing "###".
        mistake = rng.between(1, 3) if rng.chance(shares.block_malformed) else 0
        second = number + rng.between(1, 3) if mistake == 1 else number
        head = "" if number == asked.first else _head(layout, number)
        input_part = layout.format(number=second, name="Input") + given
        heading = "" if mistake == 2 else layout.format(number=second, name="Output")
        parts.append(f"{head} {instruction}\n{input_part}\n{heading}{output}".rstrip())
        parts.append("\n\n" if mistake == 3 else "\n###\n")
    return "".join(parts[:-1])


def _head(layout: str, number: int) -> str:
    return layout.format(number=number, name="Instruction").rstrip()
