"""What the tiny model learns from: prompts of real runs, with the replies of our simulated author.

A run of each recipe over each API asks the author directly, without a server; what was asked and answered is
kept. So the model sees the very prompts that it will be sent, and replies of the right shape.
"""

import json
from pathlib import Path

from selfinstruct import Completion, Request, RunConfig, run
from selfinstruct.simulate.author.author import Author

INSTRUCTIONS = 150
"""Accepted in each run: some 500 replies are overheard in all, which suffices for the shape."""


class _Overhearing:
    """A backend that is the author, and remembers."""

    def __init__(self) -> None:
        self._author = Author()
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
        # A base model goes on and on; the run is to see what a server would have sent.
        for stop in request.sampling.stop:
            reply = reply.partition(stop)[0]
        return Completion(text=reply, finish_reason="stop", model=request.sampling.model)


def overhear(folder: Path) -> str:
    """Prompts and replies as JSON, the same at every call."""
    backend = _Overhearing()
    for recipe in ("self-instruct", "alpaca"):
        for api in ("chat", "completions"):
            config = RunConfig(
                model="author", recipe=recipe, api=api, num_instructions=INSTRUCTIONS
            )
            run(folder / f"{recipe}-{api}", config, backend=backend)
    return json.dumps(backend.overheard, ensure_ascii=False)
