"""Faults over real sockets: what the client receives, and what the request log contains."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from simulate.connection import Connection, length_in
from support import request_log
from virtual_clock import run_at_once
from waiting import PATIENCE_S, until

from selfinstruct.simulate import FaultPlan, SimulatedEndpoint
from selfinstruct.simulate.faults.assignment import attempt_fault
from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    ErrorObject,
    Hang,
    NoChoices,
    Outage,
    Page,
    Plain,
    RateLimits,
    RequestFault,
    RequestFaultName,
    RetryAfter,
    Status,
    Timed,
)
from selfinstruct.simulate.faults.plan_file import read_fault_plan
from selfinstruct.simulate.faults.transport import FaultyTransport
from selfinstruct.simulate.protocol.replies import json_reply

PATH = "/v1/chat/completions"
SHARE = 0.04
LIMITED = Status(
    share=SHARE,
    status=429,
    code="rate_limit_exceeded",
    message="Slow down.",
    retry_after=RetryAfter(seconds=0.2),
)
LIMITED_MS = Status(share=SHARE, status=429, retry_after=RetryAfter(milliseconds=200))
OVERLOADED = Status(share=SHARE, status=529, retry_after=RetryAfter(date=1.5))
CLOSING = Status(share=SHARE, status=500, then_close=True)
CONFLICT = Status(share=SHARE, status=409)
HANG = Hang(share=SHARE)
SHORT_HANG = Hang(share=SHARE, seconds=0.1)
# These two faults last so long that the client always disconnects first.
LATE = Timed(fault="late", share=SHARE, seconds=3600)
DRIP = Timed(fault="drip", share=SHARE, seconds=3600)
SHORT_DRIP = Timed(fault="drip", share=SHARE, seconds=0.25)
RESET = Plain(fault="reset", share=SHARE)
DROP = Plain(fault="drop", share=SHARE)
BROKEN = Plain(fault="broken_json", share=SHARE)
PAGE = Page(share=SHARE)
PLAIN = Page(share=SHARE, format="plain")
ERROR = ErrorObject(share=SHARE, code="overloaded", message="Try again.")
MISSING = NoChoices(share=SHARE)
NULL = NoChoices(share=SHARE, choices="null")
EMPTY = NoChoices(share=SHARE, choices="empty")
BROKEN_OFF = Plain(fault="broken_off", share=SHARE)
BILLED = (HANG, LATE, DRIP, RESET, DROP, BROKEN, PAGE, PLAIN, MISSING, NULL, EMPTY, BROKEN_OFF)
UNBILLED = (LIMITED, OVERLOADED, CLOSING, CONFLICT, ERROR)
FAULTS: tuple[AttemptFault, ...] = (*BILLED, *UNBILLED, LIMITED_MS, SHORT_HANG, SHORT_DRIP)
PLAN = FaultPlan(seed=1, per_attempt=FAULTS)
_SALTS = itertools.count()


def chat(prompt: str) -> bytes:
    """Return the body of a chat request."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": "simulated", "messages": messages}).encode()


def body_with(*faults: AttemptFault | None, plan: FaultPlan = PLAN) -> bytes:
    """Return a new request body whose first attempts get these faults, one fault per attempt."""
    salt = next(_SALTS)
    for number in itertools.count():
        body = chat(f"Say {salt} and {number}.")
        request = f"{PATH}/{hashlib.sha256(body).hexdigest()}"
        if all(attempt_fault(plan, request, n) == fault for n, fault in enumerate(faults, 1)):
            return body
    raise AssertionError


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the faulty endpoint's request log."""
    return tmp_path_factory.mktemp("faulty") / "requests.jsonl"


@pytest.fixture(scope="module")
def faulty(log: Path) -> Iterator[SimulatedEndpoint]:
    """Yield an endpoint whose plan contains every per-attempt fault."""
    with SimulatedEndpoint(faults=PLAN, log=log) as served:
        yield served


def post(
    endpoint: SimulatedEndpoint | str, body: bytes, *, patience_s: float = PATIENCE_S
) -> httpx2.Response:
    """Send a request on a new connection, and return the reply. `endpoint` may also be a base URL."""
    base_url = endpoint if isinstance(endpoint, str) else endpoint.base_url
    return httpx2.post(
        base_url + "/chat/completions", content=body, trust_env=False, timeout=patience_s
    )


def true_reply(endpoint: SimulatedEndpoint, body: bytes) -> dict[str, Any]:
    """Return the body of the endpoint's reply, with its creation time set to 0."""
    return {**post(endpoint, body).json(), "created": 0}


def entries_of(log: Path, body: bytes, number: int) -> list[dict[str, Any]]:
    """Wait until the log has `number` entries for the request with this body, and return these entries."""
    digest = hashlib.sha256(body).hexdigest()

    def found() -> list[dict[str, Any]] | None:
        entries = [entry for entry in request_log(log) if entry["body_sha256"] == digest]
        return entries if len(entries) >= number else None

    entries = until(found)
    assert entries is not None
    return entries


def logged(log: Path, body: bytes) -> dict[str, Any]:
    """Wait for the second log entry for the request with this body, and return that entry."""
    received, second = entries_of(log, body, 2)
    assert received["event"] == "received"
    assert received["attempt"] == second["attempt"] == 1
    assert "fault" not in received
    return second


def test_this_plan_has_every_fault() -> None:
    assert {type(fault) for fault in FAULTS} == set(get_args(AttemptFault))


def test_an_attempt_without_fault_is_answered(
    faulty: SimulatedEndpoint, endpoint: SimulatedEndpoint, log: Path
) -> None:
    body = body_with(None)
    assert true_reply(faulty, body) == true_reply(endpoint, body)
    assert "fault" not in logged(log, body)


def test_error_statuses_have_bodies_and_retry_times(faulty: SimulatedEndpoint, log: Path) -> None:
    body = body_with(LIMITED)
    reply = post(faulty, body)
    assert reply.status_code == 429
    assert reply.headers["retry-after"] == "0.2"
    assert reply.headers["x-request-id"]
    assert reply.json() == {
        "error": {
            "message": "Slow down.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }
    entry = logged(log, body)
    assert (entry["event"], entry["status"], entry["fault"]) == ("answered", 429, "status")
    assert (entry["finish_reasons"], entry["completion_tokens"]) == ([], 0)
    reply = post(faulty, body_with(LIMITED_MS))
    assert reply.headers["retry-after-ms"] == "200"
    assert "retry-after" not in reply.headers
    asked_at = datetime.now(UTC)
    reply = post(faulty, body_with(OVERLOADED))
    assert (reply.status_code, reply.json()["error"]["type"]) == (529, "server_error")
    wait = (parsedate_to_datetime(reply.headers["retry-after"]) - asked_at).total_seconds()
    assert wait >= 1.5


def test_only_then_close_closes_the_connection(faulty: SimulatedEndpoint) -> None:
    with Connection(faulty) as connection:
        for fault, status in ((CONFLICT, 409), (LIMITED, 429), (None, 200), (CLOSING, 500)):
            connection.send(body_with(fault))
            head = connection.read()[0]
            assert head.startswith(f"HTTP/1.1 {status} ")
            assert "connection:" not in head.lower()
        assert connection.socket.recv(1) == b""


def test_a_hang_sends_nothing(faulty: SimulatedEndpoint, log: Path) -> None:
    body = body_with(HANG)
    with Connection(faulty) as connection:
        connection.send(body)
        entries_of(log, body, 1)
        connection.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
    entry = logged(log, body)
    assert (entry["event"], entry["fault"]) == ("broken", "hang")
    assert "status" not in entry
    body = body_with(SHORT_HANG)
    began = time.monotonic()
    with Connection(faulty) as connection:
        connection.send(body)
        assert connection.socket.recv(1) == b""
    assert time.monotonic() - began >= 0.1
    assert logged(log, body)["event"] == "broken"


def test_a_late_reply_replaces_the_latency(endpoint: SimulatedEndpoint, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    plan = FaultPlan(per_attempt=(Timed(fault="late", share=1, seconds=0.2),), at_most=1)
    body = chat("Hello.")
    a_day_ms = 86_400_000
    with SimulatedEndpoint(faults=plan, log=log, latency_ms=(a_day_ms, a_day_ms)) as served:
        began = time.monotonic()
        assert true_reply(served, body) == true_reply(endpoint, body)
        assert time.monotonic() - began >= 0.2
        with Connection(served) as connection:
            connection.send(body)  # This attempt gets no fault, only the latency.
            entries_of(log, body, 3)
        entries_of(log, body, 4)
    _, first, _, second = request_log(log)
    assert (first["event"], first["fault"]) == ("answered", "late")
    assert second["event"] == "hung_up"
    assert first["billed_completion_tokens"] == second["billed_completion_tokens"]
    assert "fault" not in second


def test_clients_may_leave_slow_replies(faulty: SimulatedEndpoint, log: Path) -> None:
    for fault in (LATE, DRIP):
        body = body_with(fault)
        with Connection(faulty) as connection:
            connection.send(body)
            if fault is DRIP:
                connection.socket.recv(1)
        entry = logged(log, body)
        assert (entry["event"], entry["fault"]) == ("broken", fault.fault)


def test_a_dripping_reply_arrives_whole(
    faulty: SimulatedEndpoint, endpoint: SimulatedEndpoint, log: Path
) -> None:
    body = body_with(SHORT_DRIP)
    began = time.monotonic()
    assert true_reply(faulty, body) == true_reply(endpoint, body)
    assert time.monotonic() - began >= 0.25
    entry = logged(log, body)
    assert (entry["event"], entry["fault"]) == ("answered", "drip")
    assert entry["finish_reasons"] == ["stop"]


def test_a_drip_is_even_after_the_head() -> None:
    sent: list[tuple[float, int]] = []

    async def drip() -> bool:
        now = asyncio.get_running_loop().time

        async def receive() -> dict[str, object]:
            await asyncio.Event().wait()  # The client never disconnects.
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append((now(), len(message.get("body", b""))))

        scope = {"state": {"selfinstruct.connection": None}}
        reply = json_reply(200, {"text": "x" * 89})
        return await FaultyTransport().send(reply, SHORT_DRIP, scope, receive, send)

    assert run_at_once(drip())
    assert [length for _, length in sent] == [0, 20, 20, 20, 20, 20]
    assert [at for at, _ in sent] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25], abs=1e-3)


def test_half_a_reply_precedes_a_reset(faulty: SimulatedEndpoint, log: Path) -> None:
    body = body_with(RESET)
    pieces: list[bytes] = []
    with Connection(faulty) as connection:
        connection.send(body)
        with pytest.raises(ConnectionResetError):
            pieces.extend(iter(lambda: connection.socket.recv(65536), b""))
    head, _, half = b"".join(pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(half) == length_in(head.decode()) // 2
    entry = logged(log, body)
    assert (entry["event"], entry["fault"]) == ("broken", "reset")


def test_a_drop_sends_no_byte(faulty: SimulatedEndpoint, log: Path) -> None:
    body = body_with(DROP)
    with Connection(faulty) as connection:
        connection.send(body)
        assert connection.socket.recv(1) == b""
    assert logged(log, body)["event"] == "broken"


def test_other_bodies_may_have_status_200(faulty: SimulatedEndpoint, log: Path) -> None:
    for fault, media_type, text in (
        (PAGE, "text/html; charset=utf-8", "<h1>Please log in</h1>"),
        (PLAIN, "text/plain; charset=utf-8", "upstream connect error"),
        (ERROR, "application/json", '"message":"Try again."'),
        (BROKEN, "application/json", '{"id":"chatcmpl-'),
    ):
        body = body_with(fault)
        reply = post(faulty, body)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == media_type
        assert int(reply.headers["content-length"]) == len(reply.content)
        assert text in reply.text
        if fault is not ERROR:
            with pytest.raises(json.JSONDecodeError):
                reply.json()
        entry = logged(log, body)
        assert (entry["event"], entry["fault"]) == ("answered", fault.fault)
        assert entry["finish_reasons"] == []


def test_choices_may_be_missing_or_broken(
    faulty: SimulatedEndpoint, endpoint: SimulatedEndpoint, log: Path
) -> None:
    for fault in (MISSING, NULL, EMPTY):
        body = body_with(fault)
        expected = true_reply(endpoint, body)
        del expected["choices"]
        if fault is not MISSING:
            expected["choices"] = None if fault is NULL else []
        assert true_reply(faulty, body) == expected
        entry = logged(log, body)
        assert (entry["fault"], entry["finish_reasons"]) == ("no_choices", [])
        assert entry["prompt_tokens"] == expected["usage"]["prompt_tokens"]
    body = body_with(BROKEN_OFF)
    (choice,) = post(faulty, body).json()["choices"]
    whole = true_reply(endpoint, body)["choices"][0]["message"]["content"]
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)
    assert choice["message"]["content"] == whole[: len(whole) // 2]
    assert logged(log, body)["fault"] == "broken_off"


def test_every_written_reply_is_billed(
    faulty: SimulatedEndpoint, endpoint: SimulatedEndpoint, log: Path
) -> None:
    wrong = []
    for fault in (None, *BILLED, *UNBILLED):
        body = body_with(fault)
        with Connection(faulty) as connection:
            connection.send(body)
            entries_of(log, body, 1)
        entry = logged(log, body)
        billed = [entry["billed_prompt_tokens"], entry["billed_completion_tokens"]]
        usage = true_reply(endpoint, body)["usage"]
        expected = [usage["prompt_tokens"], usage["completion_tokens"]]
        if billed != ([0, 0] if fault in UNBILLED else expected):
            wrong.append((fault, billed, expected))
    assert wrong == []


def test_content_faults_are_billed_as_written(tmp_path: Path) -> None:
    bills = {}
    names: tuple[RequestFaultName | None, ...] = ("length", "no_usage", "never", None)
    for fault in names:
        log = tmp_path / f"{fault}.jsonl"
        faults = () if fault is None else (RequestFault(share=1, fault=fault),)
        with SimulatedEndpoint(faults=FaultPlan(per_request=faults), log=log) as served:
            reply = post(served, chat("Hello.")).json()
        entry = request_log(log)[1]
        bills[fault] = (entry["billed_prompt_tokens"], entry["billed_completion_tokens"])
        if fault == "length":
            usage = reply["usage"]
            assert bills[fault] == (usage["prompt_tokens"], usage["completion_tokens"])
    assert bills["no_usage"] == bills[None]
    assert bills["length"][0] == bills[None][0]
    assert 0 < bills["length"][1] < bills[None][1]
    assert bills["never"] == (0, 0)


def test_rate_limits_show_in_status_and_headers(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    limits = RateLimits(requests_per_minute=2, tokens_per_minute=1000)
    with SimulatedEndpoint(faults=FaultPlan(rate_limits=limits), log=log) as served:
        replies = [post(served, chat("Hello.")) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    remaining = [reply.headers["x-ratelimit-remaining-requests"] for reply in replies]
    assert remaining == ["1", "0", "0"]
    first, *_, last = replies
    used = first.json()["usage"]["total_tokens"]
    assert first.headers["x-ratelimit-remaining-tokens"] == str(1000 - used)
    assert last.json()["error"]["code"] == "rate_limit_exceeded"
    assert 29 < float(last.headers["retry-after"]) <= 30
    entry = request_log(log)[-1]
    assert (entry["status"], entry["fault"]) == (429, "rate_limit")
    assert entry["billed_prompt_tokens"] == 0


def test_wrong_requests_count_without_tokens() -> None:
    limits = RateLimits(requests_per_minute=1, tokens_per_minute=1)
    with SimulatedEndpoint(faults=FaultPlan(rate_limits=limits)) as served:
        assert [post(served, b"{}").status_code for _ in range(2)] == [400, 429]


def test_outages_precede_rate_limits_and_faults(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    plan = FaultPlan(
        per_attempt=(Status(share=1, status=500),),
        outages=(Outage(after=0, attempts=1), Outage(after=3, attempts=1, refuse="drop")),
        rate_limits=RateLimits(requests_per_minute=1),
    )
    with SimulatedEndpoint(faults=plan, log=log) as served:
        statuses = [post(served, chat("Hello.")).status_code for _ in range(3)]
        with pytest.raises(httpx2.RemoteProtocolError):
            post(served, chat("Hello."))
    assert statuses == [503, 500, 429]
    entries = [entry for entry in request_log(log) if entry["event"] != "received"]
    assert [e["fault"] for e in entries] == ["outage", "status", "rate_limit", "outage"]
    assert [e["attempt"] for e in entries] == [1, 2, 3, 4]
    assert {e["billed_prompt_tokens"] for e in entries} == {0}


def test_the_next_attempt_has_another_fault(faulty: SimulatedEndpoint, log: Path) -> None:
    body = body_with(CONFLICT, BROKEN, None)
    replies = [post(faulty, body) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [409, 200, 200]
    assert [entry["attempt"] for entry in entries_of(log, body, 6)] == [1, 1, 2, 2, 3, 3]


def test_wrong_requests_have_no_content_faults(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    plan = FaultPlan(
        per_attempt=(
            Timed(fault="drip", share=0.4, seconds=0),
            NoChoices(share=0.3),
            Plain(fault="broken_off", share=0.3),
        ),
        per_request=(RequestFault(share=1, fault="length"),),
    )
    with SimulatedEndpoint(faults=plan, log=log) as served:
        for number in range(12):
            reply = post(served, b"%d" % number)
            assert reply.status_code == 400
            assert reply.json()["error"]["message"].startswith("The request body must be")
    assert {entry.get("fault") for entry in request_log(log)} == {
        None,
        "drip",
        "no_choices",
        "broken_off",
    }


def test_models_may_fail() -> None:
    with SimulatedEndpoint(faults=FaultPlan(models=False)) as served:
        for path in ("/models", "/models/simulated", "/models/another"):
            reply = httpx2.get(served.base_url + path, trust_env=False)
            assert reply.status_code == 500
            assert reply.json()["error"]["type"] == "server_error"


def test_the_order_of_requests_changes_nothing(endpoint: SimulatedEndpoint) -> None:
    plan = FaultPlan(
        per_attempt=(
            Status(share=0.3, status=500),
            Page(share=0.1),
            Plain(fault="broken_json", share=0.1),
            Plain(fault="drop", share=0.1),
        ),
        at_most=2,
    )
    requests = [chat(f"Say {number % 25}.") for number in range(100)]

    def outcomes(arrivals: list[bytes]) -> dict[bytes, list[object]]:
        found: dict[bytes, list[object]] = {}
        with SimulatedEndpoint(faults=plan) as served, httpx2.Client(trust_env=False) as client:
            for body in arrivals:
                try:
                    reply = client.post(served.base_url + "/chat/completions", content=body)
                    outcome: object = (reply.status_code, len(reply.content))
                except httpx2.TransportError as error:
                    outcome = type(error)
                found.setdefault(body, []).append(outcome)
        return found

    there = outcomes(requests)
    assert outcomes(sorted(requests, reverse=True)) == there
    assert {first for first, *_ in there.values()} >= {httpx2.RemoteProtocolError}
    for body, met in there.items():
        true = (200, len(post(endpoint, body).content))
        assert sum(outcome != true for outcome in met) <= plan.at_most


def test_active_faults_do_not_delay_shutdown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With such a long timeout, a shutdown that waited for replies would never end.
    monkeypatch.setattr("selfinstruct.simulate.server.listening._SHUTDOWN_SECONDS", 3600)
    plan = FaultPlan(
        per_attempt=(
            Hang(share=0.3),
            Timed(fault="late", share=0.3, seconds=600),
            Timed(fault="drip", share=0.3, seconds=600),
        )
    )
    bodies = [body_with(fault, plan=plan) for fault in plan.per_attempt]
    with SimulatedEndpoint(faults=plan) as served:
        connections = [Connection(served) for _ in bodies]
        for connection, body in zip(connections, bodies, strict=True):
            connection.send(body)
        connections[-1].socket.recv(1)
    assert not caplog.records
    for connection in connections:
        connection.socket.close()


def test_no_fault_prints_anything(tmp_path: Path) -> None:
    """Check that the foreground server prints nothing while every connection fault occurs."""
    log = tmp_path / "requests.jsonl"
    (tmp_path / "plan.yaml").write_text(
        "per_attempt: [{fault: hang, share: 0.125}, {fault: hang, share: 0.125, seconds: 0.01},\n"
        "  {fault: drip, share: 0.125, seconds: 0.05}, {fault: reset, share: 0.125},\n"
        "  {fault: drop, share: 0.125}, {fault: broken_json, share: 0.125},\n"
        "  {fault: status, share: 0.125, status: 500, then_close: true},\n"
        "  {fault: page, share: 0.125}]\n",
        encoding="utf-8",
    )
    plan, endless = read_fault_plan(tmp_path / "plan.yaml"), Hang(share=0.125)
    names: set[str] = set()
    flags = ["--port", "0", "--faults", "plan.yaml", "--log", "requests.jsonl"]
    with subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "simulate", *flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        base_url = serving.stdout.readline().strip()
        for fault in plan.per_attempt:
            body = body_with(fault, plan=plan)
            patience_s = 0.1 if fault == endless else PATIENCE_S
            with contextlib.suppress(httpx2.TransportError):
                post(base_url, body, patience_s=patience_s)
            names.add(logged(log, body)["fault"])
        serving.send_signal(signal.SIGTERM)
        out, errors = serving.communicate(timeout=PATIENCE_S)
    assert (out, errors, serving.returncode) == ("", "", 0)
    assert names == {"hang", "drip", "reset", "drop", "broken_json", "status", "page"}
