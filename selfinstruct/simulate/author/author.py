"""The simulated author, which replaces a language model and writes replies to Self-Instruct prompts.

A reply depends only on the prompt and the seed, in every process. The author simulates two models: a chat
model (`write`) and a base model (`continue_text`). Unrecognised prompts get a short, harmless sentence.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from selfinstruct.simulate.author import base_model, prompt_recognition
from selfinstruct.simulate.author.blocks import blocks
from selfinstruct.simulate.author.classification import yes_or_no
from selfinstruct.simulate.author.continuation import continuation
from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.instances import instances
from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.seeded_random import SeededRandom

_MARKER: Final = re.compile(
    r"^((?:\d{1,4}\. )?)(Instruction|Input|Output|Class label):", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """An author that makes mistakes as often as `shares` says."""

    shares: FaultShares = field(default_factory=FaultShares)

    def write(self, prompt: str, seed: str) -> str:
        """Return a chat model's reply to any `prompt`. Different seeds produce different replies."""
        reply = self._reply(prompt, SeededRandom(seed))
        # Use a separate random sequence, so these three shares do not change the text of unaffected replies.
        rng = SeededRandom(f"{seed}/habits")
        if rng.chance(self.shares.markers_restyled):
            bold = rng.chance(0.5)
            reply = _MARKER.sub(
                lambda m: f"{m[1]}**{m[2]}:**" if bold else f"{m[1]}{m[2].lower()} :", reply
            )
        if rng.chance(self.shares.prompt_echoed):
            reply = f"{prompt.rstrip()}\n{reply}"
        if rng.chance(self.shares.thinking):
            thoughts = "\n".join(
                rng.one_of(word_list("thought")) for _ in range(rng.between(3, 12))
            )
            reply = f"<think>\n{thoughts}\n</think>\n\n{reply}"
        return reply

    def continue_text(self, prompt: str, seed: str) -> str:
        """Return a base model's continuation of `prompt`. Different seeds produce different texts."""
        rng = SeededRandom(seed)
        asked = prompt_recognition.recognise(prompt)
        if asked is None:
            return base_model.gap(prompt) + rng.one_of(word_list("other_reply"))
        return base_model.continue_prompt(prompt, asked, rng, self.shares)

    def _reply(self, prompt: str, rng: SeededRandom) -> str:
        asked = prompt_recognition.recognise(prompt)
        if asked is None:
            return rng.one_of(word_list("other_reply"))
        if isinstance(asked, prompt_recognition.Classification):
            return yes_or_no(asked.instruction, rng, self.shares)
        if rng.chance(self.shares.refused):
            return rng.one_of(word_list("apology"))
        if isinstance(asked, prompt_recognition.Continuation):
            return continuation(asked, rng, self.shares)
        if isinstance(asked, prompt_recognition.Blocks):
            return blocks(asked, rng, self.shares)
        return instances(asked, rng, self.shares)
