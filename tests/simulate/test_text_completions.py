"""Text completions, read by the official client over real sockets."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import PATIENCE_S

from selfinstruct.simulate import SimulatedEndpoint
from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.protocol import chat_completions, text_completions

KEY = "a-key-that-must-not-show-up"
LIST = (
    "Come up with a series of tasks:\n\n1. Write a haiku about rain.\n"
    "2. Is the review positive or negative?\n3."
)


@pytest.fixture
def client(endpoint: SimulatedEndpoint) -> Iterator[openai.OpenAI]:
    """The official client, strict about every field of a reply."""
    with openai.OpenAI(
        base_url=endpoint.base_url, api_key=KEY, max_retries=0, _strict_response_validation=True
    ) as opened:
        yield opened


def refused(endpoint: SimulatedEndpoint, changes: dict[str, object]) -> tuple[int, dict[str, str]]:
    """Status and error of a request that is well formed but for `changes`."""
    address = urlsplit(endpoint.base_url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=PATIENCE_S
    )
    try:
        body = json.dumps({"model": "simulated", "prompt": "Hello.", **changes})
        connection.request("POST", "/v1/completions", body.encode())
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())["error"]
    finally:
        connection.close()


def test_the_client_reads_a_completion(client: openai.OpenAI) -> None:
    """Every field is there and adds up, and the text continues the list."""
    reply = client.completions.create(model="simulated", prompt=LIST, max_tokens=1000)
    assert reply.object == "text_completion"
    assert reply.id.startswith("cmpl-")
    assert reply.model == "simulated"
    (choice,) = reply.choices
    assert choice.index == 0
    assert choice.logprobs is None
    assert choice.finish_reason == "stop"
    assert choice.text.startswith(" ")
    assert "\n4. " in choice.text
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 100
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_sixteen_tokens_are_written_unless_more_are_asked_for(client: openai.OpenAI) -> None:
    """The limit that this API has always had, and which surprises people."""
    for reply in (
        client.completions.create(model="simulated", prompt=LIST),
        client.completions.create(model="simulated", prompt=LIST, max_tokens=None),
    ):
        assert reply.usage is not None
        assert reply.usage.completion_tokens == 16
        assert reply.choices[0].finish_reason == "length"


def test_a_lower_limit_gives_a_beginning(client: openai.OpenAI) -> None:
    """A text cut at 20 tokens is the beginning of the text cut at 200."""
    short, long = (
        client.completions.create(model="simulated", prompt=LIST, max_tokens=limit)
        for limit in (20, 200)
    )
    assert long.choices[0].text.startswith(short.choices[0].text)
    assert len(long.choices[0].text) > len(short.choices[0].text) > 0
    assert short.usage is not None
    assert short.usage.completion_tokens == 20


def test_the_first_of_three_choices_is_the_only_one_of_one(client: openai.OpenAI) -> None:
    """The choices differ, are counted together, and do not depend on how many there are."""
    one, three = (
        client.completions.create(model="simulated", prompt=LIST, max_tokens=60, n=n)
        for n in (1, 3)
    )
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.choices[0].text == one.choices[0].text
    assert len({choice.text for choice in three.choices}) == 3
    assert one.usage is not None
    assert three.usage is not None
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens == 3 * 60


def test_stop_texts_end_the_text(client: openai.OpenAI) -> None:
    """The text ends before the first of them, with the reason "stop"."""
    whole = client.completions.create(model="simulated", prompt=LIST, max_tokens=2000)
    text = whole.choices[0].text
    for stop in ("\n5.", ["\n6", "\n5."]):
        reply = client.completions.create(
            model="simulated", prompt=LIST, max_tokens=2000, stop=stop
        )
        assert reply.choices[0].text == text.partition("\n5.")[0] != text
        assert reply.choices[0].finish_reason == "stop"


def test_an_echo_is_the_prompt_and_then_the_same_text(client: openai.OpenAI) -> None:
    """Neither limits nor stop texts nor the count of what was written apply to the prompt."""
    plain, echoed = (
        client.completions.create(model="simulated", prompt=LIST, stop=["\n4", "\n2"], echo=echo)
        for echo in (False, True)
    )
    assert echoed.choices[0].text == LIST + plain.choices[0].text
    assert echoed.usage == plain.usage
    nothing = client.completions.create(model="simulated", prompt=LIST, echo=True, max_tokens=0)
    assert nothing.choices[0].text == LIST
    assert nothing.choices[0].finish_reason == "length"


def test_a_list_of_one_prompt_is_that_prompt(client: openai.OpenAI) -> None:
    """Clients that always send lists are served as well; `logprobs` may be asked for in vain."""
    alone = client.completions.create(model="simulated", prompt=LIST)
    listed = client.completions.create(model="simulated", prompt=[LIST], logprobs=3)
    assert listed.choices == alone.choices


@pytest.mark.parametrize(
    "members",
    [{"seed": 1}, {"temperature": 0.3}, {"top_p": 0.9}, {"presence_penalty": 2}],
    ids=str,
)
def test_what_shapes_the_text_changes_it(
    client: openai.OpenAI, members: dict[str, float | int]
) -> None:
    """Another value of a sampling parameter gives another text."""
    plain = client.completions.create(model="simulated", prompt=LIST, max_tokens=60)
    other = client.completions.create(
        model="simulated", prompt=LIST, max_tokens=60, extra_body=members
    )
    assert other.choices[0].text != plain.choices[0].text


@given(st.text(max_size=60), st.floats(0, 2), st.none() | st.integers(0, 9))
def test_a_fingerprint_holds_what_shapes_the_text_and_nothing_else(
    prompt: str, temperature: float, seed: int | None
) -> None:
    """`n`, `stop`, `max_tokens`, `echo` and `logprobs` leave it alone; a chat never has it."""
    asked = {"model": "m", "prompt": prompt, "temperature": temperature, "seed": seed}
    only_cut = {"n": 3, "stop": ["a"], "max_tokens": 5, "echo": True, "logprobs": 1}
    plain = text_completions.read(json.dumps(asked).encode(), "m")
    again = text_completions.read(json.dumps({**asked, **only_cut}).encode(), "m")
    other = text_completions.read(json.dumps({**asked, "prompt": prompt + "."}).encode(), "m")
    chat = chat_completions.read(
        json.dumps({**asked, "messages": [{"role": "user", "content": prompt}]}).encode(), "m"
    )
    assert plain.fingerprint == again.fingerprint
    assert len({plain.fingerprint, other.fingerprint, chat.fingerprint}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": None},
        {"prompt": 3},
        {"prompt": []},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2, 3]},
        {"prompt": [7]},
        {"prompt": [[1, 2, 3]]},
        {"model": 3},
        {"n": 0},
        {"n": 129},
        {"stop": list("abcde")},
        {"max_tokens": -1},
        {"max_tokens": "16"},
        {"echo": "yes"},
        {"logprobs": True},
        {"logprobs": -1},
        {"temperature": 2.5},
        {"presence_penalty": -3},
        {"seed": "x"},
        {"stream": True},
    ],
    ids=str,
)
def test_ill_formed_requests_are_refused(
    endpoint: SimulatedEndpoint, changes: dict[str, object]
) -> None:
    """The error names the member at fault."""
    status, error = refused(endpoint, changes)
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == next(iter(changes))


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    """The client raises its own exception, with the code that clients look for."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="another", prompt="Hello.")
    assert caught.value.code == "model_not_found"


def test_completions_stand_in_the_request_log(tmp_path: Path) -> None:
    """Arrival and answer, with the digest of the prompt and without its text."""
    log = tmp_path / "requests.jsonl"
    with (
        SimulatedEndpoint(log=log) as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key=KEY, max_retries=0) as client,
    ):
        reply = client.completions.create(
            model="simulated", prompt=LIST, extra_headers={"X-Client-Request-Id": "g-7"}
        )
    received, answered = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert (received["event"], answered["event"]) == ("received", "answered")
    assert answered["client_request_id"] == "g-7"
    assert answered["finish_reasons"] == ["length"]
    assert reply.usage is not None
    assert answered["prompt_tokens"] == reply.usage.prompt_tokens
    assert "haiku" not in log.read_text(encoding="utf-8")


def test_the_endpoint_writes_what_the_author_goes_on_with(client: openai.OpenAI) -> None:
    """Nothing between the author and the socket changes a text that no limit cuts."""
    body = json.dumps({"model": "simulated", "prompt": LIST}).encode()
    fingerprint = text_completions.read(body, "simulated").fingerprint
    reply = client.completions.create(model="simulated", prompt=LIST, max_tokens=100_000)
    assert reply.choices[0].text == Author().go_on(LIST, f"{fingerprint}/0")
