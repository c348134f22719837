"""Tests of the online backend, over a real socket."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_server import CUT, HANG, RESET, Script, chat, reply, scripted
from virtual_clock import run_at_once

from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.errors import (
    BackendError,
    ConfigError,
    EndpointError,
    LimitReachedError,
    RequestRejectedError,
    SelfInstructError,
    TransientError,
)
from selfinstruct.llm import retry
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.outcome_rules import AttemptOutcome, error_of
from selfinstruct.llm.reply import Reply, read_completion
from selfinstruct.llm.retry import MAX_BACKOFF_S, MAX_RETRY_AFTER_S, OnWait, stated_wait_s
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Usage

REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", temperature=0.7, max_tokens=64),
)
CONFIG = RunConfig(model="m", max_attempts=4, request_timeout_s=60)


def ask(
    *replies: bytes,
    config: RunConfig = CONFIG,
    on_wait: OnWait | None = None,
    request: Request = REQUEST,
) -> tuple[Completion | BackendError, Script]:
    """Send one request. Return the completion or error, and the script of the server."""

    async def main() -> tuple[Completion | BackendError, Script]:
        async with scripted(*replies) as script:
            backend = open_backend(
                replace(config, base_url=script.url),
                environ={"OPENAI_API_KEY": "sk-secret"},
                on_wait=on_wait,
            )
            async with backend:
                try:
                    return await backend.complete(request), script
                except BackendError as error:
                    return error, script

    return run_at_once(main())


def test_a_request_gets_its_reply() -> None:
    completion, script = ask(reply(body=chat()))
    assert isinstance(completion, Completion)
    assert completion.latency_s > 0
    assert replace(completion, latency_s=0) == Completion(
        text="9. Name a river.",
        finish_reason="stop",
        model="named-by-server",
        usage=Usage(prompt_tokens=7, completion_tokens=5),
        attempts=1,
        reached_limit=False,
    )
    assert script.asked == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Continue."}],
            "temperature": 0.7,
            "max_tokens": 64,
        }
    ]
    assert script.paths == ["/v1/chat/completions"]
    assert script.headers[0]["x-client-request-id"] == "generate/000001"
    assert script.headers[0]["authorization"] == "bearer sk-secret"


def test_a_text_goes_to_the_completions_api() -> None:
    request = replace(
        REQUEST,
        prompt=Prompt(template="t@0", text="1. Name a lake.\n2."),
        sampling=replace(REQUEST.sampling, stop=("\n\n", "\n16")),
    )
    body = chat(choices=[{"index": 0, "text": " Name a river.", "finish_reason": "stop"}])
    completion, script = ask(reply(body=body), request=request)
    assert isinstance(completion, Completion)
    assert completion.text == " Name a river."
    assert script.paths == ["/v1/completions"]
    assert script.asked == [
        {
            "model": "m",
            "prompt": "1. Name a lake.\n2.",
            "temperature": 0.7,
            "max_tokens": 64,
            "stop": ["\n\n", "\n16"],
        }
    ]


@pytest.mark.parametrize("left", ["\n16", "\n16.", "\n\nOr else:\n16"])
def test_stop_texts_are_removed_from_the_reply(left: str) -> None:
    request = replace(
        REQUEST,
        prompt=Prompt(template="t@0", text="9."),
        sampling=replace(REQUEST.sampling, stop=("\n\n", "\n16")),
    )
    choice = {
        "index": 0,
        "text": f" Name a river.\n10. Name a lake.{left}",
        "finish_reason": "stop",
    }
    completion, _ = ask(reply(body=chat(choices=[choice])), request=request)
    assert isinstance(completion, Completion)
    assert completion.text == " Name a river.\n10. Name a lake."


@pytest.mark.parametrize("finish", ["length", "stop", None])
def test_a_text_before_a_stop_is_complete(finish: str | None) -> None:
    request = replace(
        REQUEST,
        prompt=Prompt(template="t@0", text="9."),
        sampling=replace(REQUEST.sampling, stop=("\n\n", "\n16")),
    )
    for text, expected in ((" A.\n\nB", ("stop", " A.")), (" A.\nB", (finish, " A.\nB"))):
        choice = {"index": 0, "text": text, "finish_reason": finish}
        completion, _ = ask(reply(body=chat(choices=[choice])), request=request)
        assert isinstance(completion, Completion)
        assert (completion.finish_reason, completion.text) == expected


GOOD = reply(body=chat())


@pytest.mark.parametrize(
    "fault",
    [
        *[
            pytest.param(reply(status, {"error": {"message": "later"}}), id=str(status))
            for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)
        ],
        pytest.param(
            reply(502, b"<html>Bad gateway</html>", content_type="text/html"), id="502 page"
        ),
        pytest.param(RESET, id="reset"),
        pytest.param(CUT + GOOD, id="cut in mid-body"),
        pytest.param(reply(200, b'{"choices": [{"mess'), id="cut JSON"),
        pytest.param(reply(200, b""), id="empty body"),
        pytest.param(
            reply(200, b"<html>Log in</html>", content_type="text/html"), id="page with 200"
        ),
        pytest.param(reply(200, {"error": {"message": "overloaded"}}), id="error with 200"),
        pytest.param(reply(200, chat(choices=[])), id="no choices"),
        pytest.param(reply(200, chat(choices=...)), id="choices missing"),
        pytest.param(reply(200, ["a list"]), id="a list"),
    ],
)
def test_a_temporary_fault_is_retried(fault: bytes) -> None:
    completion, script = ask(fault, fault, GOOD)
    assert isinstance(completion, Completion)
    assert completion.attempts == len(script.asked) == 3


def test_a_late_reply_is_retried() -> None:
    completion, script = ask(HANG, GOOD)
    assert isinstance(completion, Completion)
    assert len(script.asked) == 2


def test_attempts_are_limited_and_counted() -> None:
    error, script = ask(reply(503, {"error": {"message": "overloaded"}}))
    assert isinstance(error, TransientError)
    assert error.attempts == len(script.asked) == 4
    assert str(error) == "the endpoint answered 503: overloaded"


@pytest.mark.parametrize(
    ("status", "error", "kind", "problem"),
    [
        (401, {"message": "bad key"}, EndpointError, "the key was refused"),
        (403, {"message": "no access"}, EndpointError, "may not use this model"),
        (404, {"message": "no model"}, EndpointError, "check --model and --base-url"),
        (429, {"message": "pay", "code": "insufficient_quota"}, EndpointError, "no credit left"),
        (402, {"message": "pay"}, EndpointError, "no credit left"),
        (
            400,
            {"message": "x", "code": "billing_hard_limit_reached"},
            EndpointError,
            "no credit left",
        ),
        (400, {"message": "a\ud800b"}, RequestRejectedError, "a\ufffdb"),
        (
            400,
            {"message": "too long"},
            RequestRejectedError,
            r"refused the request \(400: too long\)",
        ),
        (422, {"message": "bad"}, RequestRejectedError, r"\(422: bad\)"),
    ],
)
def test_a_permanent_fault_is_not_retried(
    status: int, error: dict[str, str], kind: type[BackendError], problem: str
) -> None:
    result, script = ask(reply(status, {"error": error}))
    assert isinstance(result, kind)
    assert result.exit_code == 4
    with pytest.raises(kind, match=problem):
        raise result
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("odd", [["a"], {"a": ["b"]}, 7, None, True, [[["a"]]]])
def test_errors_of_any_shape_are_handled(status: int, odd: object) -> None:
    for error in ({"message": "x", "type": odd}, {"message": odd, "code": odd, "param": odd}, odd):
        for body in ({"error": error}, error, [error]):
            result, _ = ask(reply(status, body, headers={"x-should-retry": "false"}))
            assert isinstance(result, BackendError)
    named = {"message": "x", "code": odd, "type": "insufficient_quota"}
    result, _ = ask(reply(status, {"error": named}))
    assert "no credit left" in str(result)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("depth", [50, 200, 300, 400, 490, 700, 990])
def test_errors_of_any_depth_are_handled(status: int, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    headers = {"x-should-retry": "false"}
    for name in (b"message", b"code", b"type", b"param"):
        body = b'{"error": {"%s": %s}}' % (name, nested)
        error, _ = ask(reply(status, body, headers=headers), config=replace(CONFIG, max_attempts=1))
        assert isinstance(error, BackendError)


@pytest.mark.parametrize("status", [200, 400])
def test_an_unexpected_exception_is_retried(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("selfinstruct.llm.reply.error_message", fail)
    error, script = ask(reply(status, {"error": {"message": "x"}}))
    assert isinstance(error, TransientError)
    assert str(error) == "the reply cannot be read (ZeroDivisionError)"
    assert (error.outcome, len(script.asked)) == (AttemptOutcome.NOT_JSON.name, 4)


def test_a_missing_endpoint_is_named() -> None:
    async def main() -> None:
        config = replace(CONFIG, base_url="http://127.0.0.1:9/v1", max_attempts=1)
        async with open_backend(config, environ={}) as backend:
            await backend.complete(REQUEST)

    with pytest.raises(TransientError, match=r"no connection to http://127.0.0.1:9/v1"):
        run_at_once(main())


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"message": {"content": None, "refusal": "I will not."}}, ("I will not.", None)),
        ({"message": {"content": None}, "finish_reason": "content_filter"}, ("", "content_filter")),
        ({"message": {"content": "half"}, "finish_reason": "length"}, ("half", "length")),
        ({"message": None}, ("", None)),
        ({"message": {"content": ["parts"]}}, ("", None)),
        (
            {"message": {"content": [{"type": "text", "text": "9. A"}, {"text": "\n10. B"}]}},
            ("9. A\n10. B", None),
        ),
        ({"message": {"content": "a\ud800b\x1b[31m"}}, ("a\ufffdb\x1b[31m", None)),
    ],
)
def test_a_reply_without_plain_text_is_a_completion(
    choice: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    completion, script = ask(reply(body=chat(choices=[choice])))
    assert isinstance(completion, Completion)
    assert (completion.text, completion.finish_reason) == expected
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "usage",
    [
        ...,
        None,
        {},
        {"prompt_tokens": "7", "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": -7, "completion_tokens": 5},
        {"prompt_tokens": 7, "completion_tokens": -5},
        {"prompt_tokens": 7, "completion_tokens": 10**30},
        {"prompt_tokens": 10**400, "completion_tokens": 5},
    ],
)
def test_missing_or_impossible_usage_is_unknown(usage: object) -> None:
    completion, _ = ask(reply(body=chat(usage=usage)))
    assert isinstance(completion, Completion)
    assert completion.usage is None


@pytest.mark.parametrize(
    ("counts", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, 4),
        ({"prompt_cache_hit_tokens": 4}, 4),
        ({"prompt_tokens_details": {"cached_tokens": None}, "prompt_cache_hit_tokens": 4}, 4),
        ({"prompt_tokens_details": {"cached_tokens": 8}}, 0),  # The prompt has only 7 tokens.
        ({"prompt_tokens_details": {"cached_tokens": -1}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": "4"}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": 4.0}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": True}}, 0),
        ({"prompt_tokens_details": [4]}, 0),
        ({"prompt_tokens_details": None}, 0),
    ],
)
def test_possible_cached_tokens_are_counted(counts: dict[str, Any], cached: int) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 5} | counts
    completion, _ = ask(reply(body=chat(usage=usage)))
    assert isinstance(completion, Completion)
    assert completion.usage == Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=cached)


# ── reservations ────────────────────────────────────────────────────────────────────────────────────────


class Reservations:
    """A budget that allows `most` reservations and records all of them."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.asked: list[tuple[str, bool]] = []

    def reserve(self, request_id: str, most: Consumption, *, is_billed: bool) -> None:
        assert most.requests == 1
        self.asked.append((request_id, is_billed))
        if len(self.asked) > self.most:
            raise LimitReachedError("max_requests", "enough")


def reserved(
    *replies: bytes, most: int = 100, check: bool = False
) -> tuple[Any, Reservations, Script]:
    """Send one request. Return the result or error, the reservations and the script of the server."""
    budget = Reservations(most)

    async def main() -> tuple[Any, Reservations, Script]:
        async with scripted(*replies) as script:
            config = replace(CONFIG, base_url=script.url)
            backend = open_backend(config, environ={}, budget=budget)
            async with backend:
                try:
                    if check:
                        return await backend.answers(), budget, script
                    return await backend.complete(REQUEST), budget, script
                except SelfInstructError as error:
                    return error, budget, script

    return run_at_once(main())


def test_every_retry_is_reserved() -> None:
    busy = reply(503, {"error": {"message": "x"}})
    for faults, billed in (
        ((), []),
        ((busy,), [False]),
        ((CUT + GOOD,), [True]),
        ((RESET, busy, HANG), [True, False, True]),
        ((reply(429, {}), reply(200, b"")), [False, True]),
    ):
        completion, budget, script = reserved(*faults, GOOD)
        assert isinstance(completion, Completion)
        assert budget.asked == [(REQUEST.id, is_billed) for is_billed in billed]
        assert completion.attempts == len(script.asked) == 1 + len(billed)


def test_no_attempt_is_sent_without_a_reservation() -> None:
    error, budget, script = reserved(RESET, most=2)
    assert isinstance(error, LimitReachedError)
    assert error.limit == "max_requests"
    assert (len(budget.asked), len(script.asked)) == (3, 3)


def test_renaming_max_tokens_is_reserved_but_no_failure() -> None:
    renamed = {
        "error": {"message": "'max_tokens' is not supported, use 'max_completion_tokens' instead."}
    }
    completion, budget, script = reserved(reply(400, renamed), GOOD)
    assert completion.attempts == 1
    assert (budget.asked, len(script.asked)) == ([(REQUEST.id, False)], 2)
    error, _, script = reserved(reply(400, renamed), GOOD, most=0)
    assert isinstance(error, LimitReachedError)
    assert len(script.asked) == 1


def test_a_check_is_reserved_before_it_is_sent() -> None:
    answers, budget, script = reserved(GOOD, check=True)
    assert (answers, budget.asked, len(script.asked)) == (True, [("check", True)], 1)
    error, budget, script = reserved(GOOD, check=True, most=0)
    assert isinstance(error, LimitReachedError)
    assert script.asked == []


def test_the_next_check_releases_an_unbilled_check() -> None:
    async def main() -> list[tuple[str, bool]]:
        budget = Reservations()
        async with scripted(reply(503, {"error": {}}), CUT + GOOD, GOOD) as script:
            config = replace(CONFIG, base_url=script.url)
            async with open_backend(config, environ={}, budget=budget) as backend:
                assert [await backend.answers() for _ in range(3)] == [False, False, True]
        return budget.asked

    assert run_at_once(main()) == [("check", True), ("check", False), ("check", True)]


@pytest.mark.parametrize(
    ("fault", "may_bill"), [(reply(503, {"error": {}}), False), (CUT + GOOD, True)]
)
def test_stopping_keeps_the_cost_of_the_last_attempt(fault: bytes, may_bill: bool) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with scripted(fault) as script:
            backend = open_backend(
                replace(CONFIG, base_url=script.url),
                environ={},
                stop=stop,
                on_wait=lambda *_: stop.set(),
            )
            async with backend:
                with pytest.raises(TransientError, match="was stopped") as caught:
                    await backend.complete(REQUEST)
        assert (caught.value.attempts, caught.value.may_bill) == (1, may_bill)

    run_at_once(main())


def test_stopping_at_a_rate_limit_bills_nothing() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with scripted(GOOD) as script:
            config = replace(CONFIG, base_url=script.url, max_requests_per_minute=1)
            async with open_backend(config, environ={}, stop=stop) as backend:
                await backend.complete(REQUEST)
                waiting = asyncio.ensure_future(backend.complete(REQUEST))
                await asyncio.sleep(0.05)
                stop.set()
                with pytest.raises(TransientError, match="stopped while waiting") as caught:
                    await waiting
            assert (caught.value.attempts, caught.value.may_bill) == (0, False)
            assert len(script.asked) == 1

    run_at_once(main())


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "9999"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "-3"}, 0.0),
    ],
)
def test_a_stated_wait_is_honoured(headers: dict[str, str], waits: float) -> None:
    slept: list[float] = []
    refused = reply(429, {"error": {}}, headers=headers)
    ask(refused, GOOD, on_wait=lambda _, seconds: slept.append(seconds))
    assert waits <= slept[0] <= waits + max(1.0, waits / 4)  # jitter


def test_rate_limits_use_no_attempts() -> None:
    limited = reply(429, {"error": {"message": "slow down"}}, headers={"retry-after": "1"})
    completion, script = ask(*[limited] * 20, GOOD)
    assert isinstance(completion, Completion)
    assert completion.attempts == len(script.asked) == 21


def test_the_wait_for_rate_limits_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MIN_RATE_LIMITED_S", 0.0)
    limited = reply(429, {"error": {"message": "slow down"}})
    error, script = ask(limited, config=replace(CONFIG, give_up_after_s=0))
    assert isinstance(error, TransientError)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("give_up_after_s", "waits"), [(0, 60), (60, 60), (600, 600), (7200, 3600)]
)
def test_rate_limits_respect_give_up_after(give_up_after_s: float, waits: float) -> None:
    assert retry.rate_limited_s(give_up_after_s) == waits


def test_a_stated_wait_respects_the_maximum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(seconds)

    async def main() -> int:
        attempts = 0
        # tenacity measures time with this clock.
        monkeypatch.setattr(time, "monotonic", asyncio.get_running_loop().time)

        async def limited() -> None:
            nonlocal attempts
            attempts += 1
            raise error_of(AttemptOutcome.RATE_LIMITED, "slow down", retry_after_s=300)

        with pytest.raises(TransientError):
            await retry.policy(max_attempts=2, sleep=sleep, rate_limited_s=200)(limited)
        return attempts

    assert run_at_once(main()) in (2, 3)
    assert sum(slept) == pytest.approx(200)


def test_a_stated_wait_may_be_a_date() -> None:
    now = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
    for text, waits in (
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("tomorrow", None),
        ("Sat, 31 Jan 2026 12:00:30 +99999999999999", None),
        ("Sat, 31 Jan 99999999999999999999 12:00:30 GMT", None),
        ("nan", None),
    ):
        assert stated_wait_s({"retry-after": text}, now=now) == waits


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=12)))
def test_no_header_makes_a_wait_impossible(headers: dict[str, str]) -> None:
    wait_s = stated_wait_s(headers, now=datetime.now(UTC))
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S


def test_every_wait_is_reported() -> None:
    waits: list[tuple[str, float]] = []

    async def main() -> None:
        async with scripted(reply(503, {"error": {"message": "busy"}}), GOOD) as script:
            config = replace(CONFIG, base_url=script.url)
            before = asyncio.get_running_loop().time()
            backend = open_backend(config, environ={}, on_wait=lambda *wait: waits.append(wait))
            async with backend:
                await backend.complete(REQUEST)
            ((problem, seconds),) = waits
            assert problem == "the endpoint answered 503: busy"
            assert 0 <= seconds <= asyncio.get_running_loop().time() - before

    run_at_once(main())


def test_backoff_grows_up_to_the_maximum() -> None:
    slept: list[float] = []
    config = replace(CONFIG, max_attempts=12)
    ask(reply(503, {}), config=config, on_wait=lambda _, seconds: slept.append(seconds))
    assert len(slept) == 11
    for n, seconds in enumerate(slept):
        assert 0 <= seconds <= min(2**n, MAX_BACKOFF_S)
    assert len(set(slept)) > 3  # jitter


def test_stopping_ends_a_wait() -> None:
    async def main() -> Script:
        stop = asyncio.Event()
        async with scripted(reply(429, {}, headers={"retry-after": "60"})) as script:
            backend = open_backend(
                replace(CONFIG, base_url=script.url),
                environ={},
                stop=stop,
                on_wait=lambda *_: stop.set(),
            )
            async with backend:
                with pytest.raises(TransientError, match="was stopped"):
                    await backend.complete(REQUEST)
            return script

    assert len(run_at_once(main()).asked) == 1


# ── keys and hostile replies ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_a_repeated_key_is_redacted(status: int) -> None:
    error, _ = ask(reply(status, {"error": {"message": "bad token: Bearer sk-secret"}}))
    assert isinstance(error, BackendError)
    assert "bad token: Bearer …" in str(error)
    assert "sk-secret" not in str(error) + repr(error) + error.problem


def test_openai_needs_a_key() -> None:
    with pytest.raises(ConfigError, match=r"\$OPENAI_API_KEY is not set"):
        open_backend(RunConfig(model="m"), environ={})


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-a b", "sk-\u2026", "sk-a\x7f"])
def test_an_invalid_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="contains a space, line break or non-ASCII") as caught:
        open_backend(RunConfig(model="m"), environ={"OPENAI_API_KEY": key})
    assert "sk-" not in str(caught.value)


def test_spaces_around_a_key_are_removed() -> None:
    async def main() -> Script:
        async with scripted(GOOD) as script:
            config = replace(CONFIG, base_url=script.url)
            async with open_backend(config, environ={"OPENAI_API_KEY": " sk-a\r\n"}) as backend:
                await backend.complete(REQUEST)
            return script

    assert run_at_once(main()).headers[0]["authorization"] == "bearer sk-a"


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@localhost/v1", "http://localhost/v1?key=hunter2", "hunter2"]
)
def test_an_address_variable_may_not_contain_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(RunConfig(model="m"), environ={"OPENAI_BASE_URL": url})
    assert "hunter2" not in str(caught.value)


def test_key_and_address_come_from_the_environment() -> None:
    async def main() -> Script:
        async with scripted(GOOD) as script:
            config = RunConfig(model="m", api_key_env="MY_KEY")
            environ = {"MY_KEY": "sk-mine", "OPENAI_BASE_URL": script.url}
            async with open_backend(config, environ=environ) as backend:
                await backend.complete(REQUEST)
            return script

    assert run_at_once(main()).headers[0]["authorization"] == "bearer sk-mine"


def test_a_long_error_page_is_shortened() -> None:
    error, _ = ask(reply(400, b"x" * 100_000, content_type="text/plain"))
    assert isinstance(error, RequestRejectedError)
    assert len(str(error)) < 400
    for result in (error, *[ask(reply(status, {"error": {}}))[0] for status in (401, 503)]):
        assert "sk-secret" not in repr(result)
        assert "sk-secret" not in str(result)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices message content refusal usage model error prompt_tokens".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary() | JSON.map(lambda data: json.dumps(data).encode()))
@example(b"[" * 100_000)
def test_any_body_is_read_or_retried(body: bytes) -> None:
    with suppress(TransientError):
        read_completion(Reply(body))


def test_connections_are_reused_by_later_requests() -> None:
    """Check that a second wave of requests opens no connections, although there are several pools."""
    wave = 40

    async def twice() -> int:
        connections = 0
        all_there, serving = asyncio.Event(), asyncio.Semaphore(0)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            if connections == wave:
                all_there.set()
            try:
                while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                    await reader.readexactly(int(head.split(b"content-length: ")[1].split()[0]))
                    await serving.acquire()
                    writer.write(reply(body=chat()))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        config = RunConfig(model="m", base_url=url, max_concurrency=wave)
        async with open_backend(config, environ={}) as backend:
            for _ in range(2):
                asked = [asyncio.ensure_future(backend.complete(REQUEST)) for _ in range(wave)]
                await all_there.wait()
                for _ in range(wave):
                    serving.release()
                await asyncio.gather(*asked)
        server.close()
        await asyncio.sleep(0)  # Let the server notice the closed connections.
        return connections

    assert run_at_once(twice()) == wave
