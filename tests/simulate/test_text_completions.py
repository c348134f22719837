"""Text completions over real sockets, with OpenAI's official client."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import PATIENCE_S

from selfinstruct.simulate import SimulatedEndpoint
from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.protocol.request_bodies import ChatBody, TextBody, read_body

LIST = (
    "Come up with a series of tasks:\n\n1. Write a haiku about rain.\n"
    "2. Is the review positive or negative?\n3."
)


@pytest.fixture
def client(endpoint: SimulatedEndpoint) -> Iterator[openai.OpenAI]:
    """Yield OpenAI's official client, which validates every field of a reply."""
    with openai.OpenAI(
        base_url=endpoint.base_url, api_key="key", max_retries=0, _strict_response_validation=True
    ) as opened:
        yield opened


def ask(client: openai.OpenAI, **members: Any) -> openai.types.Completion:
    return client.completions.create(model="simulated", **({"prompt": LIST} | members))


def completion_tokens(reply: openai.types.Completion) -> int:
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    return reply.usage.completion_tokens


def test_the_client_reads_a_completion(client: openai.OpenAI) -> None:
    reply = ask(client, max_tokens=100_000)
    assert reply.object == "text_completion"
    assert reply.id.startswith("cmpl-")
    (choice,) = reply.choices
    assert (choice.index, choice.logprobs, choice.finish_reason) == (0, None, "stop")
    assert completion_tokens(reply) > 100
    body = json.dumps({"model": "simulated", "prompt": LIST}).encode()
    fingerprint = read_body(TextBody, body, "simulated").fingerprint
    assert choice.text == Author().continue_text(LIST, f"{fingerprint}#0")


def test_the_default_maximum_is_sixteen(client: openai.OpenAI) -> None:
    long = ask(client, max_tokens=60, n=3)
    assert completion_tokens(long) == 3 * 60
    for reply in (ask(client), ask(client, max_tokens=None)):
        assert completion_tokens(reply) == 16
        assert reply.choices[0].finish_reason == "length"
        assert long.choices[0].text.startswith(reply.choices[0].text)


def test_an_echo_is_never_cut_or_counted(client: openai.OpenAI) -> None:
    plain, echoed = (ask(client, stop=["\n4", "\n2"], echo=echo) for echo in (False, True))
    assert echoed.choices[0].text == LIST + plain.choices[0].text
    assert echoed.usage == plain.usage
    (nothing,) = ask(client, echo=True, max_tokens=0).choices
    assert nothing.text == LIST
    assert nothing.finish_reason == "length"


def test_a_list_of_one_prompt_is_accepted(client: openai.OpenAI) -> None:
    assert ask(client, prompt=[LIST], logprobs=3).choices == ask(client).choices


def test_sampling_parameters_change_the_text(client: openai.OpenAI) -> None:
    texts = {ask(client, max_tokens=60).choices[0].text}
    members: list[dict[str, float]] = [
        {"seed": 1},
        {"temperature": 0.3},
        {"top_p": 0.9},
        {"presence_penalty": 2},
    ]
    for changes in members:
        texts.add(ask(client, max_tokens=60, extra_body=changes).choices[0].text)
    assert len(texts) == 5


@given(st.text(max_size=60), st.floats(0, 2), st.none() | st.integers(0, 9))
def test_a_fingerprint_covers_only_the_text(
    prompt: str, temperature: float, seed: int | None
) -> None:
    asked = {"model": "m", "prompt": prompt, "temperature": temperature, "seed": seed}
    cutting = {"n": 3, "stop": ["a"], "max_tokens": 5, "echo": True, "logprobs": 1}
    plain = read_body(TextBody, json.dumps(asked).encode(), "m")
    again = read_body(TextBody, json.dumps({**asked, **cutting}).encode(), "m")
    other = read_body(TextBody, json.dumps({**asked, "prompt": prompt + "."}).encode(), "m")
    chat = read_body(
        ChatBody,
        json.dumps({**asked, "messages": [{"role": "user", "content": prompt}]}).encode(),
        "m",
    )
    assert plain.fingerprint == again.fingerprint
    assert len({plain.fingerprint, other.fingerprint, chat.fingerprint}) == 3


def test_wrong_members_are_refused(endpoint: SimulatedEndpoint) -> None:
    wrong: list[dict[str, Any]] = [
        *[{"prompt": prompt} for prompt in (None, 3, [], ["a", "b"], [1, 2, 3], [7], [[1, 2]])],
        {"max_tokens": -1},
        {"max_tokens": "16"},
        {"echo": "yes"},
        {"logprobs": True},
        {"logprobs": -1},
    ]
    address = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=PATIENCE_S
    )
    problems = []
    for changes in wrong:
        body = json.dumps({"model": "simulated", "prompt": "Hello.", **changes})
        connection.request("POST", "/v1/completions", body.encode())
        reply = connection.getresponse()
        error = json.loads(reply.read())["error"]
        if (reply.status, error["param"]) != (400, next(iter(changes))):
            problems.append((changes, reply.status, error))
    connection.close()
    assert problems == []
