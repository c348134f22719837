"""The author: a stand-in for a language model that writes Self-Instruct replies.

Knows which of the prompts it has been given and who answers it; the writing is done elsewhere. A
reply is a pure function of a prompt and a seed, the same in every process::

    >>> Author().write("Tell me something.", "a seed") == Author().write("Tell me something.", "a seed")
    True

To a prompt that is none of the four it says something short and harmless.
"""

from dataclasses import dataclass, field
from typing import Final

from selfinstruct.simulate.continuation import continuation
from selfinstruct.simulate.draws import Draws
from selfinstruct.simulate.faults import FaultShares
from selfinstruct.simulate.instances import instances
from selfinstruct.simulate.reading import Continuation, Instances, Verdict, recognise
from selfinstruct.simulate.verdicts import verdict

_SMALL_TALK: Final = (
    "Hello! This is a simulated endpoint, so there is nobody here to think about that.",
    "That is an interesting thought. A simulated author has no opinion on it.",
    "Understood. Nothing here was written by a language model.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Writes replies, with faults in the given shares."""

    shares: FaultShares = field(default_factory=FaultShares)

    def write(self, prompt: str, seed: str) -> str:
        """The reply to `prompt`, an arbitrary text; another `seed` gives another reply."""
        draws = Draws(seed)
        asked = recognise(prompt)
        if isinstance(asked, Continuation):
            return continuation(asked, draws, self.shares)
        if isinstance(asked, Verdict):
            return verdict(asked.instruction, draws, self.shares)
        if isinstance(asked, Instances):
            return instances(asked, draws, self.shares)
        return draws.one_of(_SMALL_TALK)
