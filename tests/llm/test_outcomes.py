"""Tests of every rule for the outcomes of attempts, over a real socket."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scripted_server import CUT, DRIP, HANG, RESET, Script, chat, reply, scripted
from support import ROOT
from virtual_clock import run_at_once
from waiting import PATIENCE_S

from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import (
    BackendError,
    EndpointError,
    RequestRejectedError,
    TransientError,
)
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.outcome_rules import Action, AttemptOutcome, error_of, from_status
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Usage

ATTEMPTS = 6
CONFIG = RunConfig(model="m", max_attempts=ATTEMPTS)
# Short timeouts, because failing connections are tested in real time.
IMPATIENT = replace(CONFIG, request_timeout_s=0.3, connect_timeout_s=0.3)
REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", temperature=0.7, max_tokens=64),
)


@dataclass(frozen=True)
class Case:
    """Something that a server does and that leads to an outcome."""

    name: str
    does: bytes


def status(code: int, error: object = "words of the server", **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = error if isinstance(error, dict) else {"error": {"message": error}}
    return reply(code, body, headers=named)


def choice(**members: Any) -> bytes:
    whole = {"index": 0, "message": {"role": "assistant", "content": "9. Name a river."}}
    return reply(body=chat(choices=[whole | {"finish_reason": "stop"} | members]))


def error_with_200(**members: Any) -> bytes:
    return reply(200, {"error": {"message": "words of the server"} | members})


CASES: Mapping[AttemptOutcome, Sequence[Case]] = {
    AttemptOutcome.DROPPED: [Case("reset before a reply", RESET)],
    AttemptOutcome.CUT: [Case("cut in mid-body", CUT + choice())],
    AttemptOutcome.SILENT: [Case("hang", HANG)],
    AttemptOutcome.TOO_SLOW: [Case("drip", DRIP + choice())],
    AttemptOutcome.UNSENDABLE: [],  # Tested below, because such a request never reaches a server.
    AttemptOutcome.NO_CONNECTION: [],
    AttemptOutcome.CONNECT_TIMEOUT: [],
    AttemptOutcome.NO_TRUST: [],
    AttemptOutcome.BUSY: [
        *[Case(str(code), status(code)) for code in (408, 409, 425, 500, 502, 503, 529)],
        Case("page of a proxy", reply(502, b"<html>Bad gateway</html>", content_type="text/html")),
        Case("x-should-retry", status(422, x_should_retry="true")),
    ],
    AttemptOutcome.GATEWAY_TIMEOUT: [Case(str(code), status(code)) for code in (504, 524)],
    AttemptOutcome.RATE_LIMITED: [Case("429", status(429, retry_after="0"))],
    AttemptOutcome.BAD_KEY: [Case("401", status(401))],
    AttemptOutcome.FORBIDDEN: [Case("403", status(403))],
    AttemptOutcome.UNKNOWN: [
        *[Case(str(code), status(code)) for code in (404, 405)],
        Case(
            "model by its code", status(400, {"error": {"message": "x", "code": "model_not_found"}})
        ),
        Case("redirect without address", reply(302, b"")),
        Case("endless redirect", reply(302, b"", headers={"location": "/v1/chat/completions"})),
    ],
    AttemptOutcome.NO_CREDIT: [
        Case("402", status(402)),
        Case(
            "429 by its code",
            status(429, {"error": {"message": "x", "code": "insufficient_quota"}}),
        ),
        Case(
            "429 by its type",
            status(429, {"error": {"message": "x", "type": "insufficient_quota"}}),
        ),
        Case("in a relay's 200", error_with_200(code=402)),
    ],
    AttemptOutcome.REJECTED: [
        *[Case(str(code), status(code)) for code in (400, 413, 418, 422)],
        Case("in a relay's 200", error_with_200(code=400)),
    ],
    AttemptOutcome.NOT_JSON: [
        Case("cut JSON", reply(200, b'{"choices": [{"mess')),
        Case("nothing", reply(200, b"")),
        Case("page", reply(200, b"<html>Log in</html>", content_type="text/html")),
        Case("text", reply(200, b"ok", content_type="text/plain")),
        Case("not UTF-8", reply(200, b'{"choices": "\xff\xfe"}')),
        Case("bad compression", reply(200, b"no gzip", headers={"content-encoding": "gzip"})),
    ],
    AttemptOutcome.TOO_LARGE: [Case("8 MiB and more", reply(200, b" " * (8 * 2**20 + 1)))],
    AttemptOutcome.ERROR_BODY: [
        Case("message", error_with_200()),
        Case("with an unknown code", error_with_200(code="server_error")),
        Case("text", reply(200, {"error": "words of the server"})),
        Case("next to choices", reply(body=chat(error={"message": "upstream failed"}))),
        Case("inside the choice", choice(error={"message": "Provider disconnected"})),
        Case("a client error inside the choice", choice(error={"code": 400, "message": "x"})),
        Case("a spent credit inside the choice", choice(error={"code": 402, "message": "x"})),
        Case("a relay's word for a failure", choice(native_finish_reason="network_error")),
        Case("a text inside the choice", choice(error="Provider disconnected")),
        Case("inside the message", choice(message={"content": "9. Na", "error": {"message": "x"}})),
        *[
            Case(f"finish reason {word}", choice(finish_reason=word))
            for word in ("error", "ERROR", "abort", "insufficient_system_resource", "network_error")
        ],
    ],
    AttemptOutcome.NO_CHOICES: [
        Case("missing", reply(body=chat(choices=...))),
        Case("null", reply(body=chat(choices=None))),
        Case("empty", reply(body=chat(choices=[]))),
        Case("null inside", reply(body=chat(choices=[None]))),
        Case("a list", reply(200, ["a list"])),
    ],
    AttemptOutcome.COMPLETE: [
        Case("complete", choice()),
        Case("error null", reply(body=chat(error=None))),
        Case("error without content", reply(body=chat(error={"message": "", "code": None}))),
    ],
    AttemptOutcome.LENGTH: [
        Case("length", choice(finish_reason="length")),
        Case("MAX_TOKENS", choice(finish_reason="MAX_TOKENS")),
        Case("the vendor's word", choice(native_finish_reason="MAX_TOKENS")),
    ],
    AttemptOutcome.CONTENT_FILTER: [Case("content_filter", choice(finish_reason="content_filter"))],
    AttemptOutcome.REFUSAL: [
        Case("refusal", choice(message={"content": None, "refusal": "I will not."}))
    ],
    AttemptOutcome.NO_TEXT: [
        Case("null", choice(message={"content": None})),
        Case("empty", choice(message={"content": ""})),
        Case("no message", choice(message=None)),
    ],
    AttemptOutcome.NO_USAGE: [
        Case("missing", reply(body=chat(usage=...))),
        Case("null", reply(body=chat(usage=None))),
        Case("text", reply(body=chat(usage={"prompt_tokens": "7", "completion_tokens": 5}))),
    ],
    AttemptOutcome.OTHER_MODEL: [Case("other model", reply(body=chat(model="m-2026-01-31")))],
    AttemptOutcome.OTHER_COUNT: [Case("two", reply(body=chat(choices=chat()["choices"] * 2)))],
}

ROWS = [(outcome, case) for outcome in AttemptOutcome for case in CASES[outcome]]


def name_of(value: AttemptOutcome | Case) -> str:
    return value.name


def ask(
    *replies: bytes, config: RunConfig = CONFIG, environ: dict[str, str] | None = None
) -> tuple[Completion | BackendError, Script]:
    """Send one request, and retry without waiting.

    Return the completion or error, and the script of the server.
    """

    async def main() -> tuple[Completion | BackendError, Script]:
        async with scripted(*replies) as script:
            backend = open_backend(
                replace(config, base_url=script.url),
                environ=environ or {"OPENAI_API_KEY": "sk-secret"},
            )
            async with backend:
                try:
                    return await backend.complete(REQUEST), script
                except BackendError as error:
                    return error, script

    return run_at_once(main(), under_way_s=0.005)


def attempts_allowed(outcome: AttemptOutcome) -> int:
    return outcome.rule.max_per_round or ATTEMPTS


def test_every_outcome_has_cases() -> None:
    assert set(CASES) == set(AttemptOutcome)


@pytest.mark.parametrize(("outcome", "case"), ROWS, ids=name_of)
def test_an_outcome_follows_its_rule(outcome: AttemptOutcome, case: Case) -> None:
    rule = outcome.rule
    if rule.action is Action.ACCEPT:
        completion, script = ask(case.does)
        assert isinstance(completion, Completion)
        assert len(script.asked) == completion.attempts == 1
        return
    error, script = ask(case.does)
    assert isinstance(error, BackendError)
    assert error.exit_code == 4
    assert error.attempts == len(script.asked)
    assert error.may_bill == rule.may_bill
    if rule.action is Action.RETRY:
        assert isinstance(error, TransientError)
        assert error.outcome == outcome.name
        assert len(script.asked) == attempts_allowed(outcome)
    else:
        assert isinstance(
            error, EndpointError if rule.action is Action.STOP else RequestRejectedError
        )
        assert len(script.asked) == 1
        assert rule.remedy in str(error)


@pytest.mark.parametrize(
    ("outcome", "case"),
    [row for row in ROWS if row[0].rule.action is Action.RETRY],
    ids=name_of,
)
def test_the_last_attempt_can_succeed(outcome: AttemptOutcome, case: Case) -> None:
    failures = attempts_allowed(outcome) - 1
    completion, script = ask(*[case.does] * failures, choice())
    assert isinstance(completion, Completion)
    assert completion.attempts == len(script.asked) == failures + 1


def test_a_failed_connection_names_the_address() -> None:
    error = ask_at(f"http://127.0.0.1:{unused_port()}/v1")
    assert isinstance(error, TransientError)
    assert (error.outcome, error.attempts) == (AttemptOutcome.NO_CONNECTION.name, ATTEMPTS)
    assert not error.may_bill
    assert "no connection to http://127.0.0.1:" in str(error)
    unknown = ask_at("http://nowhere.invalid/v1", IMPATIENT)
    assert isinstance(unknown, TransientError)
    assert unknown.outcome in ("NO_CONNECTION", "CONNECT_TIMEOUT")


def test_a_connection_can_time_out() -> None:
    # Its queue will be full, so the kernel makes further connections wait.
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            error = ask_at(f"http://127.0.0.1:{port}/v1", replace(IMPATIENT, max_attempts=2))
        finally:
            for one in waiting:
                one.close()
    assert isinstance(error, TransientError)
    assert error.outcome == AttemptOutcome.CONNECT_TIMEOUT.name
    assert not error.may_bill


def test_an_unsendable_request_stops_without_showing_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import httpx2

    async def refuse(*_: object, **__: object) -> None:
        raise httpx2.LocalProtocolError("Illegal header value b'Bearer sk-secret\\n'")

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", refuse)
    error = ask_at("http://127.0.0.1:9/v1")
    assert isinstance(error, EndpointError)
    assert "cannot be sent" in str(error)
    assert "sk-secret" not in str(error)


def test_an_unknown_failure_may_be_billed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import httpx2

    async def fail(*_: object, **__: object) -> None:
        raise ssl.SSLError("bad record mac")  # This can happen in the middle of a reply.

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", fail)
    error = ask_at("http://127.0.0.1:9/v1")
    assert isinstance(error, TransientError)
    assert error.may_bill
    assert "dropped the connection (SSLError)" in str(error)


def test_an_untrusted_certificate_names_the_trust_store(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with untrusted_server(tmp_path_factory.mktemp("tls")) as port:
        error = ask_at(f"https://127.0.0.1:{port}/v1", under_way_s=PATIENCE_S)
    assert isinstance(error, EndpointError)
    assert "operating system's trust store" in str(error)
    assert "ca-certificates" in str(error)
    assert "SSL_CERT_FILE" in str(error)


@contextmanager
def untrusted_server(folder: Any) -> Iterator[int]:
    """Start a TLS server that has a self-signed certificate."""
    import subprocess
    import threading

    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=PATIENCE_S)


def ask_at(
    url: str, config: RunConfig = CONFIG, *, under_way_s: float = 0.05
) -> Completion | BackendError:
    async def main() -> Completion | BackendError:
        backend = open_backend(
            replace(config, base_url=url),
            environ={"OPENAI_API_KEY": "sk-secret"},
        )
        async with backend:
            try:
                return await backend.complete(REQUEST)
            except BackendError as error:
                return error

    return run_at_once(main(), under_way_s=under_way_s)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


# ── completions ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (AttemptOutcome.LENGTH, {"finish_reason": "length", "text": "9. Name a river."}),
        (
            AttemptOutcome.CONTENT_FILTER,
            {"finish_reason": "content_filter", "text": "9. Name a river."},
        ),
        (AttemptOutcome.REFUSAL, {"text": "I will not."}),
        (AttemptOutcome.NO_TEXT, {"text": ""}),
        (AttemptOutcome.NO_USAGE, {"usage": None, "text": "9. Name a river."}),
        (AttemptOutcome.OTHER_MODEL, {"model": "m-2026-01-31"}),
        (AttemptOutcome.OTHER_COUNT, {"usage": Usage(prompt_tokens=7, completion_tokens=5)}),
    ],
)
def test_a_completion_keeps_what_the_server_sent(
    outcome: AttemptOutcome, expected: dict[str, Any]
) -> None:
    completion, _ = ask(CASES[outcome][0].does)
    for name, value in expected.items():
        assert getattr(completion, name) == value


# ── retries ────────────────────────────────────────────────────────────────────────────────────────────────


def waits(*replies: bytes, config: RunConfig = CONFIG) -> list[float]:
    """Return the lengths of the waits between attempts, in seconds, without really waiting."""
    slept: list[float] = []

    async def main() -> None:
        async with scripted(*replies) as script:
            backend = open_backend(
                replace(config, base_url=script.url),
                environ={},
                on_wait=lambda _, seconds: slept.append(seconds),
            )
            async with backend:
                await backend.complete(REQUEST)

    run_at_once(main())
    return slept


def test_only_the_first_drop_retries_at_once() -> None:
    """Check that only the first dropped connection is retried at once, because it may have been idle."""
    first, second, third = waits(RESET, RESET, RESET, choice())
    assert first == 0
    assert 0 < second <= 2
    assert 0 < third <= 4


def test_an_outage_ends_retries_of_all_requests() -> None:
    """Check that no request is retried after twelve failures in a row, counted over all requests."""

    async def main() -> int:
        async with scripted(status(503)) as script:
            backend = open_backend(replace(CONFIG, base_url=script.url), environ={})
            async with backend:
                results = [
                    backend.complete(replace(REQUEST, id=f"generate/{n}")) for n in range(10)
                ]
                for result in await asyncio.gather(*results, return_exceptions=True):
                    assert isinstance(result, TransientError)
            return len(script.asked)

    assert 12 <= run_at_once(main()) <= 12 + 10


def test_a_missing_key_names_the_variable() -> None:
    error, _ = ask(status(401), environ={"OTHER": "x"})
    assert str(error).endswith("; no key was sent: $OPENAI_API_KEY is not set")
    error, _ = ask(status(401))
    assert "no key was sent" not in str(error)


def test_a_redirect_is_not_followed() -> None:
    error, _ = ask(reply(308, b"", headers={"location": "https://elsewhere.invalid/v1"}))
    assert "(308: redirect to https://elsewhere.invalid/v1)" in str(error)


def test_x_should_retry_false_ends_the_retries() -> None:
    error, script = ask(status(503, x_should_retry="false"))
    assert isinstance(error, TransientError)
    assert len(script.asked) == 1


def test_a_rate_limit_uses_no_attempts() -> None:
    replies = [status(429, retry_after="0"), status(503)] * (ATTEMPTS - 1)
    completion, script = ask(*replies, choice())
    assert isinstance(completion, Completion)
    assert len(script.asked) == 2 * (ATTEMPTS - 1) + 1


# ── all rules ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_error_status_has_an_outcome() -> None:
    for code in range(300, 600):
        error = error_of(from_status(code), "x", status=code)
        is_retried = code in (408, 409, 425, 429) or code >= 500
        assert isinstance(error, TransientError) == is_retried, code


def test_the_documented_table_has_every_rule() -> None:
    page = (ROOT / "docs/reference/outcomes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    documented = {first.replace("`", ""): (then, billed) for first, then, billed in rows}
    for rule in (outcome.rule for outcome in AttemptOutcome):
        then, billed = documented[rule.description]
        assert then.startswith(rule.action.value), rule.description
        if rule.max_per_round is not None:
            assert str(rule.max_per_round) in then
        if rule.action is Action.ACCEPT:
            assert billed == "yes"
        else:
            assert billed == ("may be" if rule.may_bill else "no"), rule.description


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in AttemptOutcome if outcome.rule.action is not Action.ACCEPT]
)
def test_an_error_states_whether_the_attempt_may_be_billed(outcome: AttemptOutcome) -> None:
    assert error_of(outcome, "x").may_bill == outcome.rule.may_bill


def test_only_possible_replies_may_be_billed() -> None:
    # After a gateway timeout, the model may still be writing.
    billed = {code for code in range(300, 600) if from_status(code).rule.may_bill}
    assert billed == {504, 524}
    written = (
        AttemptOutcome.DROPPED,
        AttemptOutcome.CUT,
        AttemptOutcome.SILENT,
        AttemptOutcome.TOO_SLOW,
        AttemptOutcome.NOT_JSON,
        AttemptOutcome.NO_CHOICES,
    )
    assert all(outcome.rule.may_bill for outcome in written)
