"""`selfinstruct doctor` detects endpoints with unusual behavior and wrong setups."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_server import (
    CUT,
    HANG,
    RESET,
    ByRequest,
    Script,
    Server,
    chat,
    reply,
    scripted,
    scripted_aside,
)
from support import ROOT, ScriptedBackend, typed
from virtual_clock import run_at_once

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.llm.client import EndpointClient
from selfinstruct.llm.doctor import Doctor, Finding
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.simulate.server.listening import SimulatedEndpoint


def refusal(param: str) -> bytes:
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    return reply(400, {"error": {"message": message, "param": param}})


def counting(path: str, body: dict[str, Any], *, ignores: Sequence[str] = ()) -> bytes:
    """Return a simulated reply that respects all parameters of a request, except those in `ignores`."""
    if path.endswith("/models"):
        return reply(body={"object": "list", "data": [{"id": "m"}, {"id": "m-large"}]})
    asked = {name: value for name, value in body.items() if name not in ignores}
    text, finish = "1 2 3 4 5 6 7 8 9", "stop"
    for stop in asked.get("stop", ()):
        text = text.partition(stop)[0]
    limit = asked.get("max_tokens") or asked.get("max_completion_tokens") or 99
    if len(text.split()) > limit:
        text, finish = " ".join(text.split()[:limit]), "length"
    choice: dict[str, Any] = {"finish_reason": finish}
    is_chat = "messages" in body
    choice |= {"message": {"content": text}} if is_chat else {"text": text}
    if asked.get("logprobs"):
        choice["logprobs"] = {"content": []}
    used = {"prompt_tokens": 7, "completion_tokens": len(text.split())}
    return reply(body=chat(model="m", choices=[choice] * asked.get("n", 1), usage=used))


def examine(server: Server, **settings: Any) -> tuple[dict[str, Finding], Script, Doctor]:
    """Return the findings by name, the server's script, and the doctor."""

    async def examined() -> tuple[dict[str, Finding], Script, Doctor]:
        async with scripted(b"") as script:
            script.replies = ByRequest(script, server)
            config = RunConfig(model="m", base_url=script.url, **settings)
            async with EndpointClient(config, environ={"MY_KEY": "topsecret"}) as client:
                doctor = Doctor(
                    client, config, {one.name: one.sampling(config) for one in SELF_INSTRUCT.stages}
                )
                return {f.name: f async for f in doctor.findings()}, script, doctor

    return run_at_once(examined())


def marks(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.mark for name, finding in findings.items()}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_good_server_passes_all_checks(api: str) -> None:
    findings, script, doctor = examine(counting, api=api)
    assert set(marks(findings).values()) == {"ok"}
    assert findings["stop"].said == "honoured: the text ends before “4”"
    assert "temperature 0.7, top_p 0.5, presence_penalty 2.0" in findings["generate sends"].said
    bodies = [body for body in script.asked if body]
    assert doctor.requests == len(bodies) <= 11
    for body in bodies:
        assert max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) in (3, 16)
    assert doctor.prompt_tokens == 7 * len(bodies)
    assert ("max_completion_tokens" in findings) == (api == "chat")


def test_ignored_parameters_are_detected() -> None:
    ignored = ("n", "stop", "logprobs", "max_completion_tokens")
    findings, _, _ = examine(lambda path, body: counting(path, body, ignores=ignored))
    assert "bad" not in marks(findings).values()
    for name in ignored:
        assert findings[name].mark == "open"
        assert findings[name].said.startswith("ignored")


def test_all_refused_parameters_are_named_at_once() -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"):
            if name in body:
                return refusal(name)
        return counting(path, body)

    findings, _, _ = examine(server)
    assert findings["generate sends"].remedy == (
        "fix: --set generate_temperature=null --set generate_top_p=null "
        "--set generate_presence_penalty=null"
    )
    assert findings["classify sends"].remedy == "fix: --set classify_temperature=null"
    assert findings["generate sends"].mark == "bad"
    assert findings["penalties"].said.startswith("refused (")
    assert findings["penalties"].mark == "open"
    assert findings["n"].mark == "ok"


def test_max_completion_tokens_is_used_if_requested() -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        if "max_tokens" in body:
            message = "'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return reply(400, {"error": {"message": message, "param": "max_tokens"}})
        return counting(path, body)

    findings, script, _ = examine(server)
    assert set(marks(findings).values()) == {"ok"}
    assert findings["max_completion_tokens"].said == "sent instead of max_tokens"
    assert sum("max_tokens" in body for body in script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            reply(500, {"error": "no cache"}),
            "GET /models answered 500; the completion check decides",
        ),
        (
            reply(404, {"detail": "Not Found"}),
            "GET /models answered 404; the completion check decides",
        ),
        (
            reply(200, b"<html>", content_type="text/html"),
            "GET /models did not return a list of models",
        ),
        (reply(200, {"data": [{"name": "m"}]}), "GET /models did not return a list of models"),
        (reply(200, b"[" * 100_000), "GET /models did not return a list of models"),
        (reply(200, {"data": [{"id": "mm"}]}), "m is not in the list of models"),
        (RESET, "GET /models failed"),
        (CUT + reply(200, {"data": []}), "GET /models failed"),
    ],
)
def test_without_a_list_of_models_the_completion_decides(answer: bytes, said: str) -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        return answer if path.endswith("/models") else counting(path, body)

    findings, _, _ = examine(server)
    assert findings["model"].mark == "open"
    assert said in findings["model"].said
    assert findings["completion"].mark == "ok"
    assert "bad" not in marks(findings).values()


NO_DATES: tuple[object, ...] = (None, "", "soon", True, [], {}, 1e300, -1e300, "2020-13-45")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("2999-01-14", ("open", "m will be shut down on 2999-01-14")),
        ("2999-01-14T00:00:00Z", ("open", "m will be shut down on 2999-01-14")),
        (32472921600, ("open", "m will be shut down on 2999-01-10")),
        ("2020-01-14", ("bad", "m was shut down on 2020-01-14")),
        (1578960000, ("bad", "m was shut down on 2020-01-14")),
        (1578960000.5, ("bad", "m was shut down on 2020-01-14")),
        *[(value, None) for value in NO_DATES],
    ],
)
def test_a_stated_shutdown_date_is_shown(stated: object, expected: tuple[str, str] | None) -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        if path.endswith("/models"):
            cards = [
                {"id": "m", "shutdown_date": stated},
                {"id": "n", "shutdown_date": "2020-01-01"},
            ]
            return reply(body={"data": cards})
        return counting(path, body)

    findings, _, _ = examine(server)
    assert findings["model"].mark == "ok"
    assert findings["completion"].mark == "ok"
    assert ("shutdown" in findings) == (expected is not None)
    if expected is not None:
        finding = findings["shutdown"]
        assert (finding.mark, finding.said) == expected
        assert finding.remedy == "choose another model"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(401, {"error": {"message": "Bearer topsecret is no key"}}), "the key was refused"),
        (reply(404, {"error": {"message": "no such model"}}), "check --model and --base-url"),
        (reply(402, {"error": {"message": "pay"}}), "no credit left"),
        (reply(200, b"<html>Log in</html>", content_type="text/html"), "200 without JSON"),
        (reply(503, {"error": {"message": "loading"}}), "answered 503: loading"),
        (reply(400, {"error": {"message": "this model does not chat"}}), "does not chat"),
        (HANG, "within 300 s"),
    ],
)
def test_a_run_needs_a_completion(answer: bytes, said: str) -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        return counting(path, body) if path.endswith("/models") else answer

    findings, script, _ = examine(server, extra_header=("Authorization: Bearer $MY_KEY",))
    assert list(findings) == ["endpoint", "model", "completion"]
    assert findings["completion"].mark == "bad"
    assert said in findings["completion"].said
    assert "topsecret" not in findings["completion"].said
    assert script.headers[0]["authorization"] == "bearer topsecret"


def test_a_silent_server_gets_no_more_requests() -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        return HANG if "n" in body else counting(path, body)

    findings, script, _ = examine(server)
    assert list(findings)[-1] == "n"
    assert findings["n"].said.startswith("unknown: no")
    assert "n" in script.asked[-1]


def test_a_reasoning_model_needs_more_tokens() -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        if path.endswith("/models"):
            return counting(path, body)
        choice = {"message": {"content": ""}, "finish_reason": "length"}
        return reply(body=chat(choices=[choice], usage=...))

    findings, _, doctor = examine(server)
    assert findings["completion"].mark == "open"
    assert "--set classify_max_tokens=2000" in findings["completion"].remedy
    assert findings["usage"].mark == "open"
    assert findings["name in replies"].said == "named-by-server, not m"
    assert doctor.completion_tokens == 0


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16},
            "token counts are reported",
        ),
        ({"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 516}, "omits 500 tokens"),
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            "impossible token counts",
        ),
        ({"prompt_tokens": 9, "completion_tokens": -7}, "completion_tokens is -7"),
        ({"prompt_tokens": 9, "completion_tokens": 10**12}, "impossible token counts"),
        (None, "token counts are not reported"),
    ],
)
def test_odd_token_counts_are_reported(counts: dict[str, int] | None, said: str) -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        if path.endswith("/models"):
            return counting(path, body)
        return reply(body=chat("1 2 3", usage=counts))

    findings, _, _ = examine(server)
    assert said in findings["usage"].said
    assert findings["usage"].mark == ("ok" if said == "token counts are reported" else "open")


def test_added_members_are_sent_without_the_limit() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "max_tokens": 9000}
    _, script, _ = examine(counting, extra_body=extra)
    for body in filter(None, script.asked):
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
        assert max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) <= 16


def test_an_added_member_that_is_refused_is_named() -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        return refusal("top_k") if "top_k" in body else counting(path, body)

    findings, _, _ = examine(server, extra_body={"top_k": 1})
    assert findings["completion"].mark == "bad"
    assert findings["completion"].remedy == "remove 'top_k' from --extra-body"


@pytest.mark.parametrize("body", [{"choices": 7}, {"choices": [7]}, [], "x", {"choices": [{}]}])
def test_no_reply_makes_the_doctor_fail(body: object) -> None:
    findings, _, _ = examine(lambda *_: reply(body=body))
    assert findings["completion"].mark in ("bad", "open")


KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"


@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize(
    ("models", "answer"),
    [
        (None, reply(200, f"Login failed for key {KEY}".encode(), content_type="text/html")),
        (None, reply(200, {"error": {"message": f"Incorrect API key provided: {KEY}"}})),
        (None, reply(400, {"error": {"message": "x" * 80 + KEY, "param": KEY}})),
        (None, reply(body=chat(f"1 2 3 {KEY}", model=KEY))),
        (reply(200, {"data": [{"id": KEY}]}), None),
        (reply(200, {"data": [{"id": KEY}]}), reply(401, {"error": {"message": KEY}})),
    ],
)
def test_a_repeated_key_is_not_shown(
    tmp_path: Path, models: bytes | None, answer: bytes | None, flags: list[str]
) -> None:
    def server(path: str, body: dict[str, Any]) -> bytes:
        return (models if path.endswith("/models") else answer) or counting(path, body)

    with scripted_aside(b"") as script:
        script.replies = ByRequest(script, server)
        flags = ["-m", "m", "--base-url", script.url, *flags]
        done = typed("doctor", *flags, cwd=tmp_path, environ={"OPENAI_API_KEY": KEY})
    said = done.stdout + done.stderr
    assert "reachable" in said
    assert not any(KEY[n : n + 8] in said for n in range(len(KEY) - 8))


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────


def command(*arguments: object, cwd: Path, **environ: str) -> tuple[int, str, str]:
    """Run the command and return its exit code, stdout and stderr."""
    done = typed("doctor", *arguments, cwd=cwd, environ={"COLUMNS": "80", **environ})
    return done.returncode, done.stdout, done.stderr


def test_the_simulated_endpoint_passes_all_checks(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    flags = ["-m", "simulated", "--base-url", endpoint.base_url]
    code, said, talk = command(*flags, "-o", "new", cwd=tmp_path)
    assert (code, talk) == (0, "")
    assert "✗" not in said
    assert "✓ output                new is new and writable" in said
    assert "A run can start. This check took 11 requests" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_the_example_in_the_documents_is_true(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    page = (ROOT / "docs/get-started/before-you-spend.md").read_text(encoding="utf-8")
    example = page.partition("-o my-run\n")[2].partition("```")[0]
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-o", "my-run"]
    line = [sys.executable, "-m", "selfinstruct", "doctor", *flags]
    environ = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert done.stdout.replace(endpoint.base_url, "http://127.0.0.1:8000/v1") == example


def test_findings_can_be_read_by_a_program(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "--recipe", "alpaca", "--json"]
    code, said, _ = command(*flags, cwd=tmp_path, OPENAI_API_KEY="sk-very-secret")
    report = json.loads(said)
    assert (code, report["ready"]) == (0, True)
    names = [finding["name"] for finding in report["findings"]]
    assert names[:3] == ["seed tasks", "templates", "address"]
    assert "classify sends" not in names
    assert report["requests"] == 9
    assert report["prompt_tokens"] > report["completion_tokens"] > 0
    assert "sk-very-secret" not in said


def test_an_existing_run_uses_its_settings(
    tmp_path: Path, config: RunConfig, endpoint: SimulatedEndpoint
) -> None:
    config = config.changed(model="simulated", base_url=endpoint.base_url, num_instructions=1)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    code, said, _ = command("run", cwd=tmp_path)
    assert code == 0
    assert "✓ output                run contains a run with " in said
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "m"], "✗ key                   $OPENAI_API_KEY is not set"),
        ([], "✗ setup                 model: is missing"),
        (["-m", "m", "--seed-tasks", "none.jsonl"], "none.jsonl: cannot be read"),
        (["-m", "m", "--prompts", "nowhere"], "nowhere: does not exist"),
        (["-m", "m", "--base-url", "localhost"], "✗ setup                 base_url: must be an"),
        (
            [
                "-m",
                "m",
                "--base-url",
                "http://127.0.0.1:9",
                "--extra-header",
                "api-key: $NOT_SET_X",
            ],
            "✗ headers               api-key needs $NOT_SET_X, which is not set",
        ),
        (["-m", "m", "--base-url", "http://127.0.0.1:9", "-o", "."], "is not a run directory"),
    ],
)
def test_a_wrong_set_up_sends_no_request(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "a file of somebody's").touch()
    code, told, _ = command(*arguments, cwd=tmp_path)
    assert code == 2
    assert said in told
    assert "No request was sent." in told
    assert "✓ endpoint" not in told


def test_several_problems_are_reported_at_once(tmp_path: Path) -> None:
    code, told, _ = command("-m", "m", "--seed-tasks", "none.jsonl", cwd=tmp_path)
    assert code == 2
    assert "✗ setup" in told
    assert "✗ key" in told


def test_a_missing_endpoint_is_exit_4(tmp_path: Path) -> None:
    code, told, _ = command("-m", "m", "--base-url", "http://127.0.0.1:9/v1", cwd=tmp_path)
    assert code == 4
    assert "✗ endpoint              no connection to http://127.0.0.1:9/v1" in told
    assert "A run cannot start. This check took 0 requests, 0 tokens." in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_output_is_reported(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    flags = ["-m", "m", "--base-url", "http://127.0.0.1:9/v1", "-o", "closed/new"]
    code, told, _ = command(*flags, cwd=tmp_path)
    assert code == 2
    assert "✗ output" in told
