"""Writes replies to the two prompts for a task's examples: labels with inputs, or inputs with outputs."""

from selfinstruct.simulate.author import mistake_rates
from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.inputs_and_outputs import examples, labelled
from selfinstruct.simulate.author.instructions import compose
from selfinstruct.simulate.author.prompt_recognition import Instances
from selfinstruct.simulate.seeded_random import SeededRandom

Pair = tuple[str, str]
"""An input and its output, or a label and its input."""


def instances(asked: Instances, rng: SeededRandom, shares: mistake_rates.FaultShares) -> str:
    """Return a chat model's reply to a prompt for examples."""
    reply = example_blocks(asked, rng, shares)
    if rng.chance(shares.chatty):
        reply = f"{rng.one_of(word_list('announcement'))}\n\n{reply}"
    if rng.chance(shares.ran_on):
        reply += f"\n\nTask: {compose(rng)}\n{reply}"
    return reply


def example_blocks(asked: Instances, rng: SeededRandom, shares: mistake_rates.FaultShares) -> str:
    """Return the examples with their markers, without any text around them."""
    number = rng.between(1, min(asked.most, 5))
    if asked.labels_first:
        make, spoil, write = labelled, _wrong_label, _label_blocks
    else:
        make, spoil, write = examples, wrong_output, _output_blocks
    right = make(asked.instruction, number, rng)
    pairs = [spoil(pair, rng, shares) for pair in right]
    first, second = right[-1]
    if first and rng.chance(shares.contradicted):
        other = ("none of these", second) if asked.labels_first else (first, "Hard to say.")
        pairs[-1:] = [(first, second), other]
    if rng.chance(shares.hostile):
        first, second = pairs[0]
        pairs[0] = (first, f"{second} {rng.one_of(mistake_rates.HOSTILE)}".strip())
    return write(pairs, [rng.chance(shares.marker_missing) for _ in pairs])


def _wrong_label(pair: Pair, rng: SeededRandom, shares: mistake_rates.FaultShares) -> Pair:
    label, given = pair
    if rng.chance(shares.not_applicable):
        return "N/A", given
    return label, "" if rng.chance(shares.empty) else given


def wrong_output(pair: Pair, rng: SeededRandom, shares: mistake_rates.FaultShares) -> Pair:
    """Return an input and its output, or with the configured probabilities a wrong output."""
    given, output = pair
    if rng.chance(shares.echoed):
        return given, given or output
    if rng.chance(shares.not_applicable):
        return given, "N/A"
    return given, "" if rng.chance(shares.empty) else output


def _label_blocks(pairs: list[Pair], unmarked: list[bool]) -> str:
    return "\n".join(
        f"Class label: {label}\n{given if bare else f'Input: {given}'}".rstrip()
        for (label, given), bare in zip(pairs, unmarked, strict=True)
    )


def _output_blocks(pairs: list[Pair], unmarked: list[bool]) -> str:
    blocks = []
    for number, ((given, output), bare) in enumerate(zip(pairs, unmarked, strict=True), 1):
        heading = f"Example {number}\n" if len(pairs) > 1 else ""
        body = f"Input: {given}\n" if given else ""
        blocks.append((heading + body + (output if bare else f"Output: {output}")).rstrip())
    return "\n".join(blocks)
