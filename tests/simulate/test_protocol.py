"""Chat completions over real sockets, and properties of counting and truncating tokens."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from waiting import PATIENCE_S

from selfinstruct.simulate import SimulatedEndpoint
from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.completions import finish

LIST = "Continue with tasks 2 to 9.\n\n1. Write a haiku about rain."


@pytest.fixture
def client(endpoint: SimulatedEndpoint) -> openai.OpenAI:
    """Return OpenAI's official client, which validates every field of a reply."""
    return openai.OpenAI(
        base_url=endpoint.base_url, api_key="key", max_retries=0, _strict_response_validation=True
    )


def ask(client: openai.OpenAI, prompt: str = "Hello.", **members: object) -> ChatCompletion:
    reply = client.chat.completions.create(
        model="simulated",
        messages=[{"role": "user", "content": prompt}],
        extra_body=members,
    )
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    return reply


def text_of(reply: ChatCompletion) -> str:
    return reply.choices[0].message.content or ""


def exchange(
    endpoint: SimulatedEndpoint, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, str], dict[str, dict[str, str]]]:
    """Send a request, and return the reply's status, headers (with lower-case names) and JSON body."""
    address = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=PATIENCE_S
    )
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, headers, json.loads(reply.read())
    finally:
        connection.close()


def test_the_client_reads_a_completion(client: openai.OpenAI) -> None:
    reply = ask(client)
    assert text_of(reply)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "simulated"
    assert (reply._request_id or "").startswith("req_")


def test_one_model_is_served(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["simulated"]
    assert client.models.retrieve("simulated").owned_by == "selfinstruct"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another/one")
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="another")
    assert caught.value.code == "model_not_found"


def test_the_first_choice_is_the_only_one(client: openai.OpenAI) -> None:
    prompt = "Task: Write a haiku.\nOutput: Rain.\n\nTask: Explain how bread rises."
    one, three = (ask(client, prompt, n=n) for n in (1, 3))
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.choices[0].message.content == text_of(one)
    assert len({choice.message.content for choice in three.choices}) > 1
    assert one.usage is not None
    assert three.usage is not None
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens > one.usage.completion_tokens


def test_max_tokens_cuts_the_text(client: openai.OpenAI) -> None:
    whole = ask(client, LIST)
    for name in ("max_tokens", "max_completion_tokens"):
        reply = ask(client, LIST, **{name: 7})
        assert text_of(reply)
        assert text_of(whole).startswith(text_of(reply))
        assert reply.choices[0].finish_reason == "length"
        assert reply.usage is not None
        assert reply.usage.completion_tokens == 7


def test_stop_texts_end_the_text(client: openai.OpenAI) -> None:
    text = text_of(ask(client, LIST))
    for stop in ("\n3.", ["\n4.", "\n3."]):
        reply = ask(client, LIST, stop=stop)
        assert text_of(reply) == text.partition("\n3.")[0] != text
        assert reply.choices[0].finish_reason == "stop"


def test_wrong_members_are_refused(endpoint: SimulatedEndpoint) -> None:
    wrong: list[dict[str, Any]] = [
        {"model": None},
        {"model": 3},
        {"messages": []},
        {"messages": "Hello."},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"content": "Hello."}]},
        *[{"n": n} for n in (0, "2", True, 129)],
        *[{"stop": stop} for stop in (list("abcde"), [3], "", [""])],
        {"max_tokens": -1},
        {"max_tokens": 0},
        {"max_completion_tokens": 1.5},
        {"temperature": 2.5},
        {"temperature": float("nan")},
        {"top_p": "high"},
        {"seed": "x"},
        {"seed": True},
        {"stream": True},
    ]
    problems = []
    for changes in wrong:
        asked = {"model": "simulated", "messages": [{"role": "user", "content": "Hi."}], **changes}
        status, headers, reply = exchange(
            endpoint, "POST", "/v1/chat/completions", json.dumps(asked).encode()
        )
        error = reply["error"]
        if (
            (status, error["type"], error["param"])
            != (400, "invalid_request_error", next(iter(changes)))
            or not error["message"]
            or not headers["x-request-id"].startswith("req_")
        ):
            problems.append((changes, status, error))
    assert problems == []


def test_two_maxima_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot both be set"):
        ask(client, max_tokens=1, max_completion_tokens=1)


def test_other_bodies_are_refused(endpoint: SimulatedEndpoint) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"9" * 10_000):
        assert exchange(endpoint, "POST", "/v1/chat/completions", body)[0] == 400


def test_other_routes_get_error_bodies(endpoint: SimulatedEndpoint) -> None:
    for method, path, expected in (
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
    ):
        status, headers, reply = exchange(endpoint, method, path)
        assert status == expected
        assert set(reply) == {"error"}
        assert "x-request-id" in headers


def test_the_last_user_message_is_answered(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="simulated",
        messages=[
            {"role": "system", "content": LIST},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Task: Sort my mail.\n"},
                    {"type": "text", "text": "Is it a classification task?"},
                ],
            },
        ],
    )
    assert len(text_of(reply)) < 60


def test_lone_surrogates_are_answered(endpoint: SimulatedEndpoint) -> None:
    prompt = "\n".join(f"{n}. Describe surrogate in twelve words." for n in range(1, 41))
    message = {"role": "user", "content": prompt}
    asked = json.dumps({"model": "simulated", "messages": [message], "n": 20, "stop": "surrogate"})
    body = asked.replace("surrogate", "\\ud800").encode()
    assert exchange(endpoint, "POST", "/v1/chat/completions", body)[0] == 200


TEXTS = st.text(max_size=200) | st.text(st.sampled_from("ab .,\n12_é"), max_size=200)


@given(TEXTS, st.integers(0, 60))
def test_a_cut_keeps_to_its_maximum(text: str, maximum: int) -> None:
    kept, number = tokens.cut(text, maximum)
    assert text.startswith(kept)
    assert tokens.count(kept) == number <= maximum
    assert kept == text or number == maximum


@given(TEXTS, st.lists(st.text("ab .", min_size=1, max_size=3), max_size=4), st.integers(1, 60))
def test_no_reply_has_a_stop_text(text: str, stops: list[str], maximum: int) -> None:
    for max_tokens in (None, maximum):
        choice = finish(text, tuple(stops), max_tokens)
        assert text.startswith(choice.text)
        assert not any(stop in choice.text for stop in stops)
        assert choice.tokens == tokens.count(choice.text)
        assert choice.reason == "stop" or choice.tokens == max_tokens
