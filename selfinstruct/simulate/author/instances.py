"""Instances: the replies to the two prompts that ask for examples of a task.

Knows the markers, and the ways in which models get them wrong; what stands between the markers
comes from `examples`. Asked output-first and input-first::

    Class label: angry                          Example 1
    Input: How dare you! …                      Input: 340 euros, 125 euros
    Class label: content                        Output: 125 euros, 340 euros
    Input: Everything went smoothly. …          Example 2 …

A task that needs no input is a single "Output: …".
"""

from typing import Final

from selfinstruct.simulate.author import mistakes
from selfinstruct.simulate.author.examples import examples, labelled
from selfinstruct.simulate.author.prompt_recognition import Instances
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.random_draws import Draws

_MOST: Final = 5


def instances(asked: Instances, draws: Draws, shares: mistakes.FaultShares) -> str:
    """The reply to a prompt for examples."""
    if draws.chance(shares.instances_refused):
        return draws.one_of(mistakes.INSTANCE_APOLOGIES)
    pairs, reply = _examples_of(asked, draws, shares)
    if draws.chance(shares.chatty):
        reply = f"{draws.one_of(mistakes.ANNOUNCEMENTS)}\n\n{reply}"
    if draws.chance(shares.ran_on):
        further = compose(draws)
        blocks = _label_blocks if asked.labels_first else _output_blocks
        reply += f"\n\nTask: {further}\n" + blocks([pairs[0]], [False])
    return reply


def example_blocks(asked: Instances, draws: Draws, shares: mistakes.FaultShares) -> str:
    """Nothing but examples, with the faults that an example can have."""
    return _examples_of(asked, draws, shares)[1]


def _examples_of(
    asked: Instances, draws: Draws, shares: mistakes.FaultShares
) -> tuple[list[tuple[str, str]], str]:
    """The examples as pairs, and as they are written down."""
    number = draws.between(1, min(asked.most, _MOST))
    if asked.labels_first:
        pairs = labelled(asked.instruction, number, draws)
        answer_at = 0
    else:
        pairs = examples(asked.instruction, number, draws)
        answer_at = 1
    before, after = pairs[-1]
    pairs = [spoilt(pair, answer_at, draws, shares) for pair in pairs]
    if before and draws.chance(shares.contradicted):
        other = ("none of these", after) if asked.labels_first else (before, "Hard to say.")
        pairs[-1:] = [(before, after), other]
    if draws.chance(shares.hostile):
        before, after = pairs[0]
        pairs[0] = (before, f"{after} {draws.one_of(mistakes.HOSTILE)}".strip())
    blocks = _label_blocks if asked.labels_first else _output_blocks
    return pairs, blocks(pairs, [draws.chance(shares.marker_missing) for _ in pairs])


def spoilt(
    pair: tuple[str, str], answer_at: int, draws: Draws, shares: mistakes.FaultShares
) -> tuple[str, str]:
    """`pair`, or what one of the faults makes of it; its answer or label stands at `answer_at`."""
    before, after = pair
    fate = draws.unit()
    if fate < shares.echoed:
        return (before, before) if before else pair
    if fate < shares.echoed + shares.not_applicable:
        return ("N/A", after) if answer_at == 0 else (before, "N/A")
    if fate < shares.echoed + shares.not_applicable + shares.empty:
        return before, ""
    return pair


def _label_blocks(pairs: list[tuple[str, str]], unmarked: list[bool]) -> str:
    return "\n".join(
        f"Class label: {label}\n{given if bare else f'Input: {given}'}".rstrip()
        for (label, given), bare in zip(pairs, unmarked, strict=True)
    )


def _output_blocks(pairs: list[tuple[str, str]], unmarked: list[bool]) -> str:
    blocks = []
    for number, ((given, answer), bare) in enumerate(zip(pairs, unmarked, strict=True), 1):
        heading = f"Example {number}\n" if len(pairs) > 1 else ""
        body = f"Input: {given}\n" if given else ""
        blocks.append((heading + body + (answer if bare else f"Output: {answer}")).rstrip())
    return "\n".join(blocks)
