"""Training data of the tiny model: prompts of real runs, with the replies of the simulated author.

A run of each recipe over each API asks the author without a server. So the model learns from the prompts that
the tests will send, and from replies of the right shape. The author makes no mistakes, because a model this
small repeats the shortest reply that it has seen, such as "Output: N/A".
"""

import json
from pathlib import Path

from selfinstruct import Completion, Request, RunConfig, run
from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.mistake_rates import PERFECT

INSTRUCTIONS = 150
"""Accepted instructions of each run. All runs together give about 500 replies."""


class _Overhearing:
    """A backend that asks the author and stores the replies."""

    def __init__(self) -> None:
        self._author = Author(shares=PERFECT)
        self.overheard: list[dict[str, str]] = []

    async def complete(self, request: Request) -> Completion:
        text = request.prompt.text
        if text is not None:
            reply = self._author.continue_text(text, request.id)
        else:
            reply = self._author.write(request.prompt.messages[-1].content, request.id)
        self.overheard.append(
            {
                "api": "chat" if text is None else "completions",
                "kind": f"{request.prompt.template.split('/')[0]} {request.stage}",
                "prompt": text if text is not None else request.prompt.messages[-1].content,
                "reply": reply,
            }
        )
        # A base model does not stop; a server cuts its reply at the stop texts.
        for stop in request.sampling.stop:
            reply = reply.partition(stop)[0]
        return Completion(text=reply, finish_reason="stop", model=request.sampling.model)


def overhear(folder: Path) -> str:
    """Return prompts and replies as JSON, the same for every call."""
    backend = _Overhearing()
    for recipe in ("self-instruct", "alpaca"):
        for api in ("chat", "completions"):
            config = RunConfig(
                model="author", recipe=recipe, api=api, num_instructions=INSTRUCTIONS
            )
            run(folder / f"{recipe}-{api}", config, backend=backend)
    return json.dumps(backend.overheard, ensure_ascii=False)
