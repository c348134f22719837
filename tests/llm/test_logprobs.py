"""Tests of log-probabilities in requests, replies and the journal."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.journal_events import received
from selfinstruct.llm.reply import Reply, read_completion
from selfinstruct.llm.request_body import parameters
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, TokenLogprob

CHAT = Request(
    id="classify/task_000001",
    stage="classify",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Yes or no?"),)),
    sampling=Sampling(model="m", max_tokens=2, top_logprobs=2),
)
TEXT = replace(CHAT, prompt=Prompt(template="t@0", text="Is it? "))
ECHO = replace(TEXT, sampling=replace(TEXT.sampling, prompt_logprobs=True))

CHAT_TOKENS: dict[str, Any] = {
    "content": [
        {
            "token": "Yes",
            "logprob": -0.5,
            "bytes": [89, 101, 115],
            "top_logprobs": [{"token": "Yes", "logprob": -0.5}, {"token": "No", "logprob": -1.5}],
        },
        {"token": ".", "logprob": 0.0, "bytes": None, "top_logprobs": []},
    ]
}
YES = TokenLogprob(text="Yes", logprob=-0.5, alternatives={"Yes": -0.5, "No": -1.5})
STOP = TokenLogprob(text=".", logprob=0.0)


def completion(request: Request, choice: dict[str, Any], **members: Any) -> Completion:
    """Return the completion that is read from a reply body with this choice."""
    text = {"message": {"role": "assistant", "content": "Yes."}}
    body = {"model": "m", "choices": [text | {"finish_reason": "stop"} | choice], **members}
    return read_completion(Reply(json.dumps(body).encode()), request)


def test_each_api_has_its_members() -> None:
    def members(request: Request) -> dict[str, Any]:
        body = parameters(request)
        return {n: body[n] for n in body if n not in ("model", "messages", "prompt", "max_tokens")}

    assert members(CHAT) == {"logprobs": True, "top_logprobs": 2}
    assert members(TEXT) == {"logprobs": 2}
    assert members(ECHO) == {"logprobs": 2, "echo": True}
    scored = replace(CHAT, sampling=Sampling(model="m", prompt_logprobs=True))
    assert members(scored) == {"prompt_logprobs": 0}
    assert members(replace(CHAT, sampling=Sampling(model="m"))) == {}


def test_a_chat_reply_has_tokens() -> None:
    read = completion(CHAT, {"logprobs": CHAT_TOKENS})
    assert (read.text, read.logprobs, read.prompt_logprobs) == ("Yes.", (YES, STOP), None)


def test_a_text_completion_has_tokens() -> None:
    columns = {
        "tokens": ["Yes", "."],
        "token_logprobs": [-0.5, 0.0],
        "text_offset": [7, 10],  # llama.cpp counts offsets from the beginning of the prompt.
        "top_logprobs": [{"Yes": -0.5, "No": -1.5}, None],
    }
    read = completion(TEXT, {"message": None, "text": "Yes.", "logprobs": columns})
    assert (read.text, read.logprobs, read.prompt_logprobs) == ("Yes.", (YES, STOP), None)


def test_an_echo_separates_prompt_and_reply() -> None:
    columns = {
        "tokens": ["Is", " it", "? ", "Yes", "."],
        "token_logprobs": [None, -1, -2.5, -0.5, 0.0],
        "text_offset": [0, 2, 5, 7, 10],
        "top_logprobs": [None, {" he": -0.1}, None, {"Yes": -0.5, "No": -1.5}, {}],
    }
    read = completion(ECHO, {"message": None, "text": "Is it? Yes.", "logprobs": columns})
    assert (read.text, read.logprobs) == ("Yes.", (YES, STOP))
    assert read.prompt_logprobs == (
        TokenLogprob(text="Is", logprob=None),
        TokenLogprob(text=" it", logprob=-1.0, alternatives={" he": -0.1}),
        TokenLogprob(text="? ", logprob=-2.5),
    )


def test_vllm_lists_the_tokens_of_a_chat_prompt() -> None:
    scored = replace(CHAT, sampling=Sampling(model="m", prompt_logprobs=True))
    listed = [
        None,
        {"17": {"logprob": -2.0, "rank": 3, "decoded_token": "Yes"},
         "4": {"logprob": -0.2, "rank": 1, "decoded_token": "It"}},
    ]  # fmt: skip
    read = completion(scored, {"logprobs": None}, prompt_logprobs=listed)
    assert read.logprobs is None
    assert read.prompt_logprobs == (
        TokenLogprob(text="", logprob=None),
        TokenLogprob(text="Yes", logprob=-2.0, alternatives={"It": -0.2}),
    )


def test_tokens_that_were_not_requested_are_ignored() -> None:
    plain = replace(CHAT, sampling=Sampling(model="m"))
    read = completion(plain, {"logprobs": CHAT_TOKENS}, prompt_logprobs=[None])
    assert (read.logprobs, read.prompt_logprobs) == (None, None)


MEMBERS = "content token logprob top_logprobs tokens token_logprobs text_offset decoded_token"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS.split()) | st.text(max_size=2), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(json_values, json_values, st.sampled_from([CHAT, TEXT, ECHO]))
def test_invalid_logprobs_never_lose_the_reply(
    logprobs: Any, of_prompt: Any, request: Request
) -> None:
    asked = replace(request, sampling=replace(request.sampling, prompt_logprobs=True))
    read = completion(asked, {"logprobs": logprobs}, prompt_logprobs=of_prompt)
    assert read.text == "Yes."
    for token in (*(read.logprobs or ()), *(read.prompt_logprobs or ())):
        values = [*token.alternatives.values(), token.logprob or 0.0]
        assert all(math.isfinite(value) and value <= 0 for value in values)


@pytest.mark.parametrize("value", [0.5, math.inf, math.nan, "-1", True, [-1.0], {}])
def test_values_that_are_not_logprobs_are_dropped(value: object) -> None:
    token = {"token": "Yes", "logprob": value, "top_logprobs": []}
    assert completion(CHAT, {"logprobs": {"content": [token]}}).logprobs is None


def test_minus_infinity_is_stored_as_a_number() -> None:
    likely = [{"token": "No", "logprob": -9999.0}, {"token": "I", "logprob": -(10**400)}]
    token = {"token": "Yes", "logprob": -math.inf, "top_logprobs": likely}
    [read] = completion(CHAT, {"logprobs": {"content": [token]}}).logprobs or ()
    assert read == TokenLogprob(text="Yes", logprob=-1e9, alternatives={"No": -9999.0, "I": -1e9})


def test_the_journal_has_the_first_token_of_a_classification() -> None:
    whole = replace(completion(CHAT, {"logprobs": CHAT_TOKENS}), prompt_logprobs=(STOP,))
    stored = received(CHAT, whole).completion
    assert (stored.logprobs, stored.prompt_logprobs) == ((YES,), None)
    listed = replace(CHAT, id="instances/task_000001", stage="instances")
    assert received(listed, whole).completion.logprobs is None
