"""How often the author makes each mistake. Most of the texts with mistakes are in the word list "mistakes".

A share is a probability from 0 to 1. An author with `FaultShares(refused=0.0)` never refuses, and an author
with `PERFECT` makes no mistakes.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShares:
    """How often each mistake occurs, as a probability from 0 to 1."""

    refused: float = 0.02
    """Share of replies that are an apology instead of a list, blocks or examples."""
    malformed: float = 0.06
    """Share of replies with a list or with blocks that have a wrong layout."""
    copied: float = 0.05
    """Share of new tasks that nearly repeat a demonstration."""
    repeated: float = 0.25
    """Share of new tasks that come from a fixed set of 150 tasks, so they are often repeated."""
    curt: float = 0.025
    """Share of new tasks with at most three words."""
    beyond_text: float = 0.03
    """Share of new tasks that need a picture, a file or a link."""
    punctuated: float = 0.015
    """Share of new tasks that begin with punctuation."""
    program: float = 0.02
    """Share of new tasks that begin with "Write a program"."""
    inputs_shown: float = 0.15
    """Share of lists whose tasks show their inputs, if the demonstrations show inputs."""
    unclear: float = 0.015
    """Share of answers about classification that are neither yes nor no."""
    wordy: float = 0.08
    """Share of answers about classification that are longer than one word."""
    misjudged: float = 0.02
    """Share of answers about classification that are wrong."""
    marker_missing: float = 0.03
    """Share of examples without the marker "Output:" (or "Input:" after a label)."""
    echoed: float = 0.02
    """Share of examples whose output repeats the input."""
    contradicted: float = 0.02
    """Share of replies with two different outputs for the same input."""
    not_applicable: float = 0.02
    """Share of examples with "N/A" as output or label."""
    empty: float = 0.02
    """Share of examples with an empty output (or an empty input after a label)."""
    ran_on: float = 0.03
    """Share of replies that continue with another "Task:" after the examples."""
    chatty: float = 0.02
    """Share of replies with an introduction before the examples or blocks."""
    hostile: float = 0.002
    """Share of replies that contain a terminal escape sequence or HTML."""
    block_malformed: float = 0.05
    """Share of blocks with a wrong number, without "Output:", or without a "###" after the block."""
    no_input_respelt: float = 0.08
    """Share of blocks that spell "no input" differently from the demonstrations."""
    thinking: float = 0.0
    """Share of chat replies that begin with "<think>…</think>"."""
    prompt_echoed: float = 0.0
    """Share of chat replies that begin with the complete prompt."""
    markers_restyled: float = 0.0
    """Share of chat replies whose markers are bold ("**Output:**") or in lower case ("output :")."""


PERFECT: Final = FaultShares(**dict.fromkeys(FaultShares.__dataclass_fields__, 0.0))

PUNCTUATED: Final = ("- ", '"', "(Optional) ", "* ", "... ", ": ", "[New] ")

HOSTILE: Final = (
    "\x1b[31mattention\x1b[0m",
    '<script>alert("hello")</script>',
    "\x1b]0;renamed\x07",
    '<img src=x onerror="alert(1)">',
)
