r"""Mannerisms: what chat models put around a reply that is all right in itself.

Knows thinking aloud, repeating the prompt, and markers in another style. A share of each is set in
`FaultShares`, and all of them are 0 unless somebody asks for them::

    >>> from selfinstruct.simulate.author.mistakes import FaultShares
    >>> mannered("Input: 3\nOutput: 9", "…", "a seed", FaultShares(markers_restyled=1.0))
    'input : 3\noutput : 9'

They are drawn apart from everything else: a reply that none of them befalls is, to the letter, what
it is without them.
"""

import re
from typing import Final

from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.random_draws import Draws

_MARKER: Final = re.compile(
    r"^((?:\d{1,4}\. )?)(Instruction|Input|Output|Class label):", re.MULTILINE
)
_BEGINNINGS: Final = (
    "Okay, let me see what is wanted here.",
    "Alright, I should read the request carefully first.",
    "Hmm, this looks like a request with a fixed form.",
)
_THOUGHTS: Final = (
    "The form of the reply matters, so I should keep to it.",
    "Wait, I should check that again.",
    "Maybe something shorter would do.",
    "The answer could be yes, or it could be no.",
    "I must not repeat what is there already.",
    "Output: that marker has to stand at the beginning of its line.",
    "1. Read the request. 2. Think. 3. Write the reply.",
    "On second thoughts, that seems fine.",
)
_IDEA_SHARE: Final = 0.2
_LONGEST_UNCLOSED: Final = 400


def mannered(reply: str, prompt: str, seed: str, shares: FaultShares) -> str:
    """`reply` to `prompt` with whatever befalls it; which that is, is settled by `seed`."""
    if not (
        shares.thinking
        or shares.thinking_unclosed
        or shares.prompt_echoed
        or shares.markers_restyled
    ):
        return reply
    draws = Draws(f"{seed}/mannerisms")
    if draws.chance(shares.markers_restyled):
        style = draws.one_of((_bold, _lower))
        reply = _MARKER.sub(style, reply)
    if draws.chance(shares.prompt_echoed):
        reply = f"{prompt.rstrip()}\n{reply}"
    if draws.chance(shares.thinking_unclosed):
        return _unclosed(draws)
    if draws.chance(shares.thinking):
        reply = f"<think>\n{_thoughts(draws.between(3, 12), draws)}\n</think>\n\n{reply}"
    return reply


def _bold(marker: re.Match[str]) -> str:
    return f"{marker[1]}**{marker[2]}:**"


def _lower(marker: re.Match[str]) -> str:
    return f"{marker[1]}{marker[2].lower()} :"


def _unclosed(draws: Draws) -> str:
    """A thought that breaks off in the middle of a word, longer than most limits on tokens."""
    text = _thoughts(draws.between(_LONGEST_UNCLOSED // 2, _LONGEST_UNCLOSED), draws)
    return f"<think>\n{text[: -draws.between(3, 12)]}"


def _thoughts(number: int, draws: Draws) -> str:
    parts = [draws.one_of(_BEGINNINGS)]
    for _ in range(number):
        idea = draws.chance(_IDEA_SHARE)
        parts.append(f'What about "{compose(draws)}"?' if idea else draws.one_of(_THOUGHTS))
    return "\n".join(parts)
