"""Tests that the client sends any exchange and does not depend on completions."""

import ast
import inspect
import json
from collections.abc import Mapping
from typing import Any

import pytest
from scripted_server import Script, reply, scripted
from virtual_clock import run_at_once

from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.cost import Consumption
from selfinstruct.errors import RequestRejectedError
from selfinstruct.llm import client
from selfinstruct.llm.client import EndpointClient, Exchange
from selfinstruct.llm.reply import Reply
from selfinstruct.records import Usage

MOST = Consumption(requests=1, prompt_tokens=9)
BUSY = reply(503, {"error": {"message": "busy"}})
VECTOR = reply(body={"vector": [0.5], "tokens": 3})


def read(received: Reply) -> tuple[list[float], Usage]:
    data = json.loads(received.content)
    return data["vector"], Usage(prompt_tokens=data["tokens"], completion_tokens=0)


class Embedding:
    """A request that is not a completion. If it is refused, its body gets another member."""

    def __init__(self) -> None:
        self.member = "text"

    def body(self) -> Mapping[str, Any]:
        return {self.member: "A river."}

    def refused(self, status: int, error: object, body: Mapping[str, Any]) -> str | None:
        if status != 400:
            return ""
        assert error == {"message": "no such member"}
        self.member = "input"
        return None if self.body() != body else "ask for less"

    def exchange(self) -> Exchange[list[float]]:
        return Exchange(
            id="embed/1",
            path="/embeddings",
            body=self.body,
            most=MOST,
            read=read,
            refused=self.refused,
        )


class Budget:
    """A budget that allows every reservation and records it."""

    def __init__(self) -> None:
        self.reserved: list[tuple[str, Consumption, bool]] = []

    def reserve(self, request_id: str, most: Consumption, *, is_billed: bool) -> None:
        self.reserved.append((request_id, most, is_billed))


def sent(*replies: bytes) -> tuple[list[float], Budget, Script]:
    """Send an embedding request. Return the vector, the budget and the script of the server."""

    async def main() -> tuple[list[float], Budget, Script]:
        budget = Budget()
        async with scripted(*replies) as script:
            settings = EndpointSettings(model="m", base_url=script.url)
            async with EndpointClient(settings, environ={}, budget=budget) as opened:
                return await opened.send(Embedding().exchange()), budget, script

    return run_at_once(main())


def test_an_exchange_may_have_any_path() -> None:
    vector, budget, script = sent(VECTOR)
    assert vector == [0.5]
    assert script.paths == ["/v1/embeddings"]
    assert script.asked == [{"text": "A river."}]
    assert script.headers[0]["x-client-request-id"] == "embed/1"
    assert budget.reserved == []  # The caller reserves the first attempt.


def test_a_retry_reserves_the_worst_case() -> None:
    _, budget, script = sent(BUSY, VECTOR)
    assert budget.reserved == [("embed/1", MOST, False)]
    assert len(script.asked) == 2


def test_an_unreadable_reply_is_retried() -> None:
    vector, budget, script = sent(reply(body={"vector": 1}), VECTOR)
    assert vector == [0.5]
    assert budget.reserved == [("embed/1", MOST, True)]
    assert len(script.asked) == 2


def test_a_refusal_may_change_the_body() -> None:
    refusal = reply(400, {"error": {"message": "no such member"}})
    vector, budget, script = sent(refusal, VECTOR)
    assert vector == [0.5]
    assert script.asked == [{"text": "A river."}, {"input": "A river."}]
    assert budget.reserved == [("embed/1", MOST, False)]
    with pytest.raises(RequestRejectedError, match="ask for less"):
        sent(refusal, refusal)


def test_the_client_does_not_depend_on_completions() -> None:
    names = {
        alias.name
        for node in ast.walk(ast.parse(inspect.getsource(client)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert not names & {"Completion", "Request", "Prompt", "Sampling", "RunConfig"}
