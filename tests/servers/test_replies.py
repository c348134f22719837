"""One reply at a time: what we read of it is what the official client reads, and what the server said."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from servers.runs import SMALL
from servers.serving import Server

from selfinstruct import Completion, Request, RunConfig
from selfinstruct.backend import Backend
from selfinstruct.llm.online import open_backend
from selfinstruct.records import Message, Prompt, Sampling
from selfinstruct.runner.directory import open_run
from selfinstruct.runner.loop import grow


def asked_by_hand(server: Server, request: Request) -> tuple[str, str, str, int, int]:
    """Read with the official client: text, finish reason, model, and tokens of prompt and reply."""
    sampling = request.sampling
    given: dict[str, Any] = {
        "model": sampling.model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        if request.prompt.text is not None:
            text = client.completions.create(prompt=request.prompt.text, **given)
            said, usage = text.choices[0].text, text.usage
            reason, named = str(text.choices[0].finish_reason), text.model
        else:
            messages: Any = [
                {"role": m.role, "content": m.content} for m in request.prompt.messages
            ]
            chat = client.chat.completions.create(messages=messages, **given)
            said, usage = chat.choices[0].message.content or "", chat.usage
            reason, named = str(chat.choices[0].finish_reason), chat.model
    assert usage is not None
    return said, reason, named, usage.prompt_tokens, usage.completion_tokens


class Remembering:
    """A backend, with what passes through it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.seen: list[tuple[Request, Completion]] = []

    async def complete(self, request: Request) -> Completion:
        completion = await self._backend.complete(request)
        self.seen.append((request, completion))
        return completion


def before_stops(text: str, request: Request) -> str:
    """Cut a text before the stop texts, which some servers leave in."""
    for stop in request.sampling.stop:
        text = text.partition(stop)[0]
    return text


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_the_official_client_reads_what_we_journal(
    tmp_path: Path, server: Server, api: str
) -> None:
    small: dict[str, Any] = dict(SMALL)
    config = RunConfig(model=server.model, base_url=server.base_url, api=api, **small)

    async def seen_in_a_run() -> list[tuple[Request, Completion]]:
        async with open_backend(config, environ={}) as online:
            backend = Remembering(online)
            with open_run(tmp_path / "run", config) as opened:
                await grow(opened, backend=backend)
        return backend.seen

    seen = asyncio.run(seen_in_a_run())
    assert {request.stage for request, _ in seen} == {"generate", "classify", "instances"}
    for request, completion in seen:
        said, reason, named, in_prompt, in_reply = asked_by_hand(server, request)
        assert completion.model == named
        assert completion.usage is not None
        assert completion.usage.prompt_tokens == in_prompt
        if request.sampling.temperature == 0:  # the likeliest words, so the very same ones
            assert before_stops(completion.text, request) == before_stops(said, request)
            assert completion.finish_reason == reason
            assert completion.usage.completion_tokens == in_reply
        else:
            assert {completion.finish_reason, reason} <= {"stop", "length"}
            assert said


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_reply_ends_before_its_stop(server: Server, api: str) -> None:
    content = "A list of varied tasks:\n\n8. Name three birds that cannot fly."
    prompt = (
        Prompt(template="none", text=f"{content}\n9.")
        if api == "completions"
        else Prompt(template="none", messages=(Message(role="user", content=content),))
    )
    sampling = Sampling(model=server.model, temperature=0, max_tokens=64, stop=("e", "o", "a"))
    asked = Request(id="generate/000001", stage="generate", prompt=prompt, sampling=sampling)

    async def ask() -> Completion:
        config = RunConfig(model=server.model, base_url=server.base_url)
        async with open_backend(config, environ={}) as online:
            return await online.complete(asked)

    completion = asyncio.run(ask())
    assert completion.finish_reason == "stop"
    assert not set(completion.text) & {"e", "o", "a"}, completion.text


def test_a_reply_and_its_prompt_have_logprobs(server: Server) -> None:
    if server.name != "llama.cpp":
        pytest.skip("transformers serve returns no log-probabilities")
    config = RunConfig(model=server.model, base_url=server.base_url)
    sampling = Sampling(model=server.model, temperature=0.0, max_tokens=3, top_logprobs=4)
    words = "Give three tips for staying healthy."
    chat = Request(
        id="classify/task_000001",
        stage="classify",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content=words),)),
        sampling=sampling,
    )
    echo = replace(
        chat,
        prompt=Prompt(template="t@0", text=words),
        sampling=replace(sampling, prompt_logprobs=True),
    )

    async def replies() -> list[Completion]:
        async with open_backend(config, environ={}) as online:
            return [await online.complete(chat), await online.complete(echo)]

    answered, continued = asyncio.run(replies())
    assert answered.logprobs is not None
    first = answered.logprobs[0]
    # The most likely token was sampled, and the alternatives are ranked.
    assert first.logprob == max(first.alternatives.values())
    assert len(first.alternatives) <= 4
    assert sum(map(math.exp, first.alternatives.values())) <= 1.001
    assert answered.prompt_logprobs is None
    assert continued.prompt_logprobs is not None
    assert "".join(token.text for token in continued.prompt_logprobs) == words
    assert not continued.text.startswith(words)
