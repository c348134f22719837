"""The simulated endpoint, read by the official client over real sockets."""

import asyncio
import http.client
import json
from urllib.parse import urlsplit

import openai
import pytest
from waiting import PATIENCE_S

from selfinstruct.simulate import SimulatedEndpoint
from selfinstruct.simulate.protocol import chat_completions

KEY = "a-key-that-must-not-show-up"


@pytest.fixture
def client(endpoint: SimulatedEndpoint) -> openai.OpenAI:
    """The official client, strict about every field of a reply."""
    return openai.OpenAI(
        base_url=endpoint.base_url, api_key=KEY, max_retries=0, _strict_response_validation=True
    )


def exchange(
    endpoint: SimulatedEndpoint, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers (in lower case) and JSON of the reply to a request made by hand."""
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
    """Every field of a completion is there and adds up."""
    reply = client.chat.completions.create(
        model="simulated", messages=[{"role": "user", "content": "Hello."}]
    )
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.model == "simulated"
    assert reply._request_id is not None
    assert reply._request_id.startswith("req_")


def test_the_asynchronous_client_reads_a_completion(endpoint: SimulatedEndpoint) -> None:
    """What holds for the plain client holds for the asynchronous one, many at a time."""

    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(
            base_url=endpoint.base_url, api_key=KEY, _strict_response_validation=True
        ) as client:
            replies = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="simulated", messages=[{"role": "user", "content": f"Hello {n}."}]
                    )
                    for n in range(20)
                )
            )
        return [reply.choices[0].message.content for reply in replies]

    assert all(asyncio.run(ask()))


def test_the_client_reads_the_models(client: openai.OpenAI) -> None:
    """One model is served, and can be asked for by name."""
    assert [model.id for model in client.models.list()] == ["simulated"]
    assert client.models.retrieve("simulated").owned_by == "selfinstruct"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another/one")


def test_three_choices_are_counted_together(client: openai.OpenAI) -> None:
    """The first of three choices is the only one of one, and usage sums over them."""
    prompt = "Task: Write a haiku.\nOutput: Rain.\n\nTask: Explain how bread rises."
    one, three = (
        client.chat.completions.create(
            model="simulated", messages=[{"role": "user", "content": prompt}], n=n
        )
        for n in (1, 3)
    )
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.choices[0].message.content == one.choices[0].message.content
    assert len({choice.message.content for choice in three.choices}) > 1
    assert one.usage is not None
    assert three.usage is not None
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens > one.usage.completion_tokens


def test_a_limit_cuts_the_text_and_says_so(client: openai.OpenAI) -> None:
    """Both names of the limit cut to the beginning of the whole text, with the reason "length"."""
    prompt = "Continue with tasks 2 to 9.\n\n1. Write a haiku about rain."
    whole = client.chat.completions.create(
        model="simulated", messages=[{"role": "user", "content": prompt}]
    )
    older = client.chat.completions.create(
        model="simulated", messages=[{"role": "user", "content": prompt}], max_tokens=7
    )
    newer = client.chat.completions.create(
        model="simulated", messages=[{"role": "user", "content": prompt}], max_completion_tokens=7
    )
    cut = older.choices[0].message.content or ""
    assert cut == newer.choices[0].message.content
    assert cut
    assert (whole.choices[0].message.content or "").startswith(cut)
    assert older.choices[0].finish_reason == "length"
    assert older.usage is not None
    assert older.usage.completion_tokens == 7


def test_stop_texts_end_the_reply(client: openai.OpenAI) -> None:
    """The text ends before the first stop text, whichever it is, with the reason "stop"."""
    prompt = "Continue with tasks 2 to 9.\n\n1. Write a haiku about rain."
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": prompt}
    ]
    whole = client.chat.completions.create(model="simulated", messages=messages)
    text = whole.choices[0].message.content or ""
    for stop in ("\n3.", ["\n4.", "\n3."]):
        reply = client.chat.completions.create(model="simulated", messages=messages, stop=stop)
        assert reply.choices[0].message.content == text.partition("\n3.")[0] != text
        assert reply.choices[0].finish_reason == "stop"


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    """The client raises its own exception, with the code that clients look for."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="another", messages=[{"role": "user", "content": "Hello."}]
        )
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": 3},
        {"messages": []},
        {"messages": "Hello."},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"content": "Hello."}]},
        {"n": 0},
        {"n": "2"},
        {"n": True},
        {"n": 129},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": [3]},
        {"stop": ""},
        {"max_tokens": -1},
        {"max_completion_tokens": 1.5},
        {"max_tokens": 1, "max_completion_tokens": 1},
        {"temperature": 2.5},
        {"temperature": float("nan")},
        {"top_p": "high"},
        {"seed": "x"},
        {"stream": True},
    ],
    ids=str,
)
def test_ill_formed_requests_are_refused(
    endpoint: SimulatedEndpoint, changes: dict[str, object]
) -> None:
    """What has the wrong type or lies out of range is a 400 in the API's own words."""
    asked = {"model": "simulated", "messages": [{"role": "user", "content": "Hello."}], **changes}
    body = json.dumps(asked).encode()
    status, headers, reply = exchange(endpoint, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert isinstance(reply["error"], dict)
    assert reply["error"]["type"] == "invalid_request_error"
    assert reply["error"]["message"]
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"9" * 10_000])
def test_a_body_that_is_no_json_object_is_refused(endpoint: SimulatedEndpoint, body: bytes) -> None:
    """Broken, deeply nested and endless JSON gets the same polite 400."""
    assert exchange(endpoint, "POST", "/v1/chat/completions", body)[0] == 400


def test_a_bad_request_raises_the_exception_of_the_client(client: openai.OpenAI) -> None:
    """400 is a BadRequestError."""
    with pytest.raises(openai.BadRequestError, match="stop"):
        client.chat.completions.create(
            model="simulated", messages=[{"role": "user", "content": "Hello."}], stop=list("abcde")
        )


def test_other_paths_and_methods_get_error_bodies(endpoint: SimulatedEndpoint) -> None:
    """404 and 405 come as JSON too, with a request id."""
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


def test_only_the_last_user_message_is_answered(client: openai.OpenAI) -> None:
    """Text parts are put together, and what comes before does not decide the kind of reply."""
    reply = client.chat.completions.create(
        model="simulated",
        messages=[
            {"role": "system", "content": "Continue with tasks 2 to 9.\n\n1. Write a haiku."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Task: Sort my mail.\n"},
                    {"type": "text", "text": "Is it a classification task?"},
                ],
            },
        ],
    )
    assert len(reply.choices[0].message.content or "") < 60


def test_lone_surrogates_survive_the_round_trip(endpoint: SimulatedEndpoint) -> None:
    """Text that UTF-8 cannot carry is neither an error nor lost."""
    prompt = "\n".join(f"{n}. Describe surrogate in twelve words." for n in range(1, 41))
    message = {"role": "user", "content": prompt}
    asked = json.dumps({"model": "simulated", "messages": [message], "n": 20})
    body = asked.replace("surrogate", "\\ud800").encode()
    status, _, _ = exchange(endpoint, "POST", "/v1/chat/completions", body)
    assert status == 200


@pytest.mark.parametrize(
    ("members", "fingerprint"),
    [
        ({}, "8b8355f340e39caee3cb2310202ef24cd15416da7e86f20b918c62624779bead"),
        (
            {"temperature": 1, "top_p": 0.5, "seed": 7, "n": 3, "stop": "a", "max_tokens": 9},
            "dcc9a181f68d367ba477a24e4528b7a47fa24e44af95c1af86e413e48ad887bf",
        ),
        (
            {"frequency_penalty": 0.0, "presence_penalty": 2},
            "08142b463ac10b4038d0b996866b11c76df031e1ac14b136ba8865d398e1e5f2",
        ),
    ],
)
def test_what_a_request_is_answered_with_never_changes(
    members: dict[str, object], fingerprint: str
) -> None:
    """The fingerprints of earlier versions still hold: rehearsals can be repeated."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé."}]
    body = json.dumps({"model": "simulated", "messages": messages, **members}).encode()
    assert chat_completions.read(body, "simulated").fingerprint == fingerprint
