"""Mistakes of the author: how often they occur. Most of their texts are in the word list "mistakes".

A share is a probability from 0 to 1: `FaultShares(refused=0.0)` is an author that never refuses, and
`PERFECT` an author without mistakes.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShares:
    """The share of each mistake."""

    refused: float = 0.02
    """Share of lists, blocks and examples that are an apology instead."""
    malformed: float = 0.06
    """Share of lists and replies in blocks with a wrong layout."""
    copied: float = 0.05
    """Share of new tasks that nearly repeat a demonstration."""
    repeated: float = 0.25
    """Share of new tasks that the author writes again and again."""
    curt: float = 0.025
    """Share of new tasks with at most three words."""
    beyond_text: float = 0.03
    """Share of new tasks that need a picture, a file or a link."""
    punctuated: float = 0.015
    """Share of new tasks that begin with punctuation."""
    program: float = 0.02
    """Share of new tasks that begin with "Write a program"."""
    inputs_shown: float = 0.15
    """Share of lists with inputs, if the demonstrations have inputs."""
    unclear: float = 0.015
    """Share of answers about classification that are neither yes nor no."""
    wordy: float = 0.08
    """Share of answers about classification with more than one word."""
    misjudged: float = 0.02
    """Share of answers about classification that are wrong."""
    marker_missing: float = 0.03
    """Share of examples without the marker "Output:" (or "Input:" after a label)."""
    echoed: float = 0.02
    """Share of examples whose output repeats the input."""
    contradicted: float = 0.02
    """Share of replies with two outputs for one input."""
    not_applicable: float = 0.02
    """Share of examples with the output "N/A"."""
    empty: float = 0.02
    """Share of examples with an empty output (or an empty input after a label)."""
    ran_on: float = 0.03
    """Share of replies with a further "Task:" after the examples."""
    chatty: float = 0.02
    """Share of replies with an introduction before the examples or blocks."""
    hostile: float = 0.002
    """Share of replies with an escape sequence or HTML."""
    block_malformed: float = 0.05
    """Share of blocks without "Output:", with a wrong number, or without "###" after them."""
    no_input_respelt: float = 0.08
    """Share of blocks that spell "no input" differently from the demonstrations."""
    thinking: float = 0.0
    """Share of chat replies with "<think>…</think>" before them."""
    prompt_echoed: float = 0.0
    """Share of chat replies that repeat the whole prompt first."""
    markers_restyled: float = 0.0
    """Share of chat replies with bold markers, "**Output:**", or lower-case ones, "output :"."""


PERFECT: Final = FaultShares(**dict.fromkeys(FaultShares.__dataclass_fields__, 0.0))

PUNCTUATED: Final = ("- ", '"', "(Optional) ", "* ", "... ", ": ", "[New] ")

HOSTILE: Final = (
    "\x1b[31mattention\x1b[0m",
    '<script>alert("hello")</script>',
    "\x1b]0;renamed\x07",
    '<img src=x onerror="alert(1)">',
)
