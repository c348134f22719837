"""Faults: how often the author goes wrong, in the ways real models do.

Knows the shares and the stock of faulty texts, and not where in a reply they go. A share is a
probability per reply or per line, from 0 to 1: `FaultShares(refused=0.0)` is an author that
never refuses, `PERFECT` one that does everything right.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShares:
    """How often each fault happens; shares of replies unless it says otherwise."""

    refused: float = 0.02
    """Continuations that are an apology and no list."""
    malformed: float = 0.06
    """Continuations whose list is numbered or laid out in some other way than asked for."""
    copied: float = 0.05
    """Lines of a continuation that nearly repeat a demonstration."""
    commonplace: float = 0.05
    """Lines that are one of a few dozen instructions everybody thinks of."""
    habitual: float = 0.2
    """Lines that are one of a hundred or two the author itself keeps coming back to."""
    curt: float = 0.025
    """Lines of three words at most."""
    beyond_text: float = 0.03
    """Lines that need a picture, a file, a link or hands."""
    punctuated: float = 0.015
    """Lines that begin with punctuation."""
    program: float = 0.02
    """Lines that begin "Write a program"."""
    inputs_shown: float = 0.15
    """Continuations that give their tasks inputs, as the demonstrations have them."""
    unclear: float = 0.015
    """Verdicts that are neither yes nor no."""
    wordy: float = 0.08
    """Verdicts that are more than the one word asked for, but clear."""
    misjudged: float = 0.02
    """Verdicts that are the wrong way round."""
    instances_refused: float = 0.03
    """Requests for examples that are turned down."""
    marker_missing: float = 0.03
    """Examples without the marker "Output:" (or "Input:" after a label)."""
    echoed: float = 0.02
    """Examples whose output repeats the input."""
    contradicted: float = 0.02
    """Replies that give one input twice with different outputs."""
    not_applicable: float = 0.02
    """Examples whose output is "N/A"."""
    empty: float = 0.02
    """Examples whose output, or whose input after a label, is empty."""
    ran_on: float = 0.03
    """Replies that go on with a further "Task:" after the examples."""
    chatty: float = 0.02
    """Replies that announce the examples first."""
    hostile: float = 0.002
    """Replies with text that means something to a terminal or a browser."""
    block_malformed: float = 0.05
    """Blocks without their Output line, with a wrong number, or without "###" before the next."""
    no_input_respelt: float = 0.08
    """Blocks that write "no input" in another way than the demonstrations."""
    long_winded: float = 0.2
    """Replies in blocks whose outputs go on for several paragraphs."""
    thinking: float = 0.0
    """Chat replies with "<think>…</think>" before them."""
    thinking_unclosed: float = 0.0
    """Chat replies that are nothing but a "<think>" which never ends."""
    prompt_echoed: float = 0.0
    """Chat replies that repeat the whole prompt first."""
    markers_restyled: float = 0.0
    """Chat replies whose markers are bold, "**Output:**", or in lower case, "output :"."""


PERFECT: Final = FaultShares(**dict.fromkeys(FaultShares.__dataclass_fields__, 0.0))

APOLOGIES: Final = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, but I cannot continue this list.",
    "I apologize, but I'm not able to assist with this request.",
)

INSTANCE_APOLOGIES: Final = (
    "As an AI language model, I cannot give examples of this task.",
    "As an AI language model, I do not have enough information to do this.",
    "I'm sorry, but I can't help with that.",
)

CURT: Final = (
    "Write poem.",
    "Explain gravity.",
    "Tell a joke.",
    "Translate.",
    "Summarize this.",
    "What is love?",
    "Sort list.",
    "Fix it.",
)

BEYOND_TEXT: Final = (
    "Draw a picture of a {person} who is busy with {doing}.",
    "Look at the attached image of a {place} and describe what you see.",
    "Open the file with the {thing} and summarise the first page.",
    "Play some calm music that suits {doing}.",
    "Record a short video about {doing} for {audience}.",
    "Go to the website of the nearest {place} and find out when it opens.",
    "Make a diagram that shows how a {person} goes about {doing}.",
    "Plot the number of {thing} per month in a graph.",
    "Mark every {place} on the map that is linked below.",
    "Listen to the audio recording and write down what the {person} says.",
    "Describe the colours in this photo of {thing}.",
)

PROGRAMS: Final = (
    "Write a program that keeps a list of {thing} for a {person}.",
    "Write a program to count the {thing} at a {place}.",
    "Write a program in {language} that reminds a {person} about {doing}.",
    "Write a program that sorts {thing} by date and prints the newest first.",
)

PUNCTUATED: Final = ("- ", '"', "(Optional) ", "* ", "... ", ": ", "[New] ")

UNCLEAR: Final = (
    "Sure! Please send me the task.",
    "It depends on the input.",
    "I would need to see an example to answer that.",
)

ANNOUNCEMENTS: Final = (
    "Sure! Here are some examples:",
    "Of course. Here you are:",
    "Here are the examples you asked for:",
)

HOSTILE: Final = (
    "\x1b[31mattention\x1b[0m",
    '<script>alert("hello")</script>',
    "\x1b]0;renamed\x07",
    '<img src=x onerror="alert(1)">',
)

NO_INPUT: Final = ("<No Input>", "<noinput>", "Noinput", "No input", "<NoInput>", "noinput")
"""Ways in which models write that a task needs no input."""
