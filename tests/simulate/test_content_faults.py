"""Content faults: their exact effects on replies, and their effects over a socket."""

import itertools
import json
from collections.abc import Callable
from typing import Any, get_args

import httpx2
import pytest

from selfinstruct.simulate import FaultPlan, SimulatedEndpoint
from selfinstruct.simulate.faults.content import REFUSAL, with_content_fault
from selfinstruct.simulate.faults.plan import RequestFault, RequestFaultName
from selfinstruct.simulate.protocol.completions import answer
from selfinstruct.simulate.protocol.request_bodies import ChatBody, TextBody, read_body
from selfinstruct.simulate.protocol.tokens import count

REQUEST_FAULTS = get_args(RequestFaultName)
TEXT = "One two three four five six seven eight nine."


def written(_prompt: str, _seed: str) -> str:
    """Return a text of ten tokens, which is the same for every prompt."""
    return TEXT


def chat(fault: str, write: Callable[[str, str], str] = written, **asked: Any) -> dict[str, Any]:
    """Return the reply to a chat request, with a content fault."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello there."}], **asked}
    request = read_body(ChatBody, json.dumps(body).encode(), "m")
    return with_content_fault(answer(request, write, 1), fault, request)


def text(fault: str, **asked: Any) -> dict[str, Any]:
    """Return the reply to a text completion request, with a content fault."""
    body = {"model": "m", "prompt": "Hello there.", "max_tokens": 100, **asked}
    request = read_body(TextBody, json.dumps(body).encode(), "m")
    return with_content_fault(answer(request, written, 1), fault, request)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_the_text_is_cut_at_a_third(reason: str) -> None:
    reply = chat(reason)
    assert reply["choices"][0]["message"]["content"] == "One two three"
    assert reply["choices"][0]["finish_reason"] == reason
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    reply = text(reason, echo=True)
    assert reply["choices"][0]["text"] == "Hello there.One two three"
    assert reply["choices"][0]["finish_reason"] == reason
    assert reply["usage"]["completion_tokens"] == 3


def test_one_token_is_always_kept() -> None:
    assert chat("length", lambda *_: "Yes")["choices"][0]["message"]["content"] == "Yes"


def test_every_choice_is_cut_and_counted() -> None:
    reply = chat("length", n=3)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert {choice["finish_reason"] for choice in reply["choices"]} == {"length"}
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}


def test_a_refusal_has_no_content() -> None:
    reply = chat("refusal")
    assert reply["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": REFUSAL,
    }
    assert reply["usage"]["completion_tokens"] == count(REFUSAL)
    assert text("refusal")["choices"][0]["text"] == ""


@pytest.mark.parametrize(("fault", "content"), [("empty", ""), ("null_content", None)])
def test_the_text_may_be_missing(fault: str, content: str | None) -> None:
    for reply in (chat(fault), text(fault)):
        (choice,) = reply["choices"]
        assert choice.get("message", {"content": choice.get("text")})["content"] == content
        assert choice["finish_reason"] == "stop"
        assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}


def test_usage_may_be_missing() -> None:
    assert "usage" not in chat("no_usage")
    assert chat("no_usage")["choices"][0]["message"]["content"] == TEXT


def test_another_model_may_answer() -> None:
    assert chat("other_model")["model"] == text("other_model")["model"] == "m-other"


def test_every_attempt_has_the_same_fault(endpoint: SimulatedEndpoint) -> None:
    plan = FaultPlan(
        per_request=tuple(RequestFault(share=0.12, fault=name) for name in REQUEST_FAULTS)
    )
    seen = set()
    with SimulatedEndpoint(faults=plan) as faulty, httpx2.Client() as client:

        def ask(base_url: str, path: str, number: int) -> Any:
            question = {"messages": [{"role": "user", "content": f"Say {number}."}]}
            body = {"model": "simulated", "prompt": f"Say {number}.", **question}
            reply = client.post(f"{base_url}/{path}", json=body)
            return reply.status_code, {**reply.json(), "created": 0}

        for path, number in itertools.product(("chat/completions", "completions"), range(25)):
            status, got = ask(faulty.base_url, path, number)
            assert (status, got) == ask(faulty.base_url, path, number)
            true_status, true = ask(endpoint.base_url, path, number)
            assert true_status == 200
            if status == 500:
                name = "never"
            elif got == true:
                name = "no fault"
            elif "usage" not in got:
                name = "no_usage"
            elif got["model"] != true["model"]:
                name = "other_model"
            else:
                (choice,) = got["choices"]
                message = choice.get("message", {"content": choice.get("text")})
                if message.get("refusal"):
                    name = "refusal"
                elif not message["content"]:
                    name = "empty" if message["content"] == "" else "null_content"
                else:
                    name = choice["finish_reason"]
            seen.add((path, name))
    kinds = {*REQUEST_FAULTS, "no fault"}
    assert {name for path, name in seen if path == "chat/completions"} == kinds
    # In a text completion, a refusal is an empty text, so it cannot be told apart from "empty".
    assert {name for path, name in seen if path == "completions"} == kinds - {"refusal"}
