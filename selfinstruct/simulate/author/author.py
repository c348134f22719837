"""The author: a stand-in for a language model that writes Self-Instruct replies.

Knows which of the prompts it has been given and who answers it; the writing is done elsewhere. A
reply is a pure function of a prompt and a seed, the same in every process::

    >>> Author().write("Tell me something.", "a seed") == Author().write("Tell me something.", "a seed")
    True

It can be two models: one that chats (`write`) and one that only continues texts (`go_on`). To a
prompt that is none of those it knows it says something short and harmless.
"""

from dataclasses import dataclass, field
from typing import Final

from selfinstruct.simulate.author import base_model
from selfinstruct.simulate.author.blocks import blocks
from selfinstruct.simulate.author.chat_habits import mannered
from selfinstruct.simulate.author.classification import verdict
from selfinstruct.simulate.author.continuation import continuation
from selfinstruct.simulate.author.instances import instances
from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.author.prompt_recognition import (
    Blocks,
    Continuation,
    Instances,
    Verdict,
    recognise,
)
from selfinstruct.simulate.random_draws import Draws

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
        """A chat model's reply to `prompt`, an arbitrary text; another `seed` gives another one."""
        return mannered(self._reply(prompt, Draws(seed)), prompt, seed, self.shares)

    def go_on(self, prompt: str, seed: str) -> str:
        """What a base model writes behind `prompt`; another `seed` gives something else."""
        draws = Draws(seed)
        asked = recognise(prompt)
        if asked is None:
            return base_model.gap(prompt) + draws.one_of(_SMALL_TALK)
        return base_model.go_on(prompt, asked, draws, self.shares)

    def _reply(self, prompt: str, draws: Draws) -> str:
        asked = recognise(prompt)
        if isinstance(asked, Continuation):
            return continuation(asked, draws, self.shares)
        if isinstance(asked, Blocks):
            return blocks(asked, draws, self.shares)
        if isinstance(asked, Verdict):
            return verdict(asked, draws, self.shares)
        if isinstance(asked, Instances):
            return instances(asked, draws, self.shares)
        return draws.one_of(_SMALL_TALK)
