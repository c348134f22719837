"""Tests of request bodies and headers, and of how refusals are handled."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import ByRequest, Script, chat, reply, scripted
from support import ROOT, ScriptedBackend, typed

from selfinstruct.api import run
from selfinstruct.config.request_extras import filled_in, header_problem, headers_problem
from selfinstruct.config.schema import RunConfig, plain
from selfinstruct.errors import (
    BackendError,
    ConfigChangedError,
    ConfigError,
    RequestRejectedError,
)
from selfinstruct.journal_events import RunStarted
from selfinstruct.llm.http_client import http_client
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.request_body import advice, parameters
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import RecipeStage
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Stage
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.journal import read_journal

GOOD = reply(body=chat())
REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", temperature=0.7, presence_penalty=2.0, max_tokens=64),
)
TEXT = replace(REQUEST, prompt=Prompt(template="t@0", text="1."))


def ask(
    *replies: bytes,
    request: Request = REQUEST,
    environ: dict[str, str] | None = None,
    count: int = 1,
    **settings: Any,
) -> tuple[list[Completion | BaseException], Script]:
    """Send requests concurrently. Return their completions or errors, and the script of the server."""

    async def main() -> tuple[list[Completion | BaseException], Script]:
        async with scripted(*replies) as script:
            config = RunConfig(model="m", base_url=script.url, max_attempts=2, **settings)
            async with open_backend(config, environ=environ or {}) as backend:
                asking = [backend.complete(request) for _ in range(count)]
                return await asyncio.gather(*asking, return_exceptions=True), script

    return asyncio.run(main())


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────


def with_extra(**extra: Any) -> dict[str, Any]:
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra=extra))
    return {n: v for n, v in parameters(request).items() if n not in ("model", "messages")}


def test_extra_members_replace_parameters() -> None:
    assert with_extra(top_k=20, temperature=0.1) == {
        "temperature": 0.1,
        "presence_penalty": 2.0,
        "max_tokens": 64,
        "top_k": 20,
    }


def test_a_null_member_removes_a_parameter() -> None:
    assert with_extra(temperature=None, presence_penalty=None) == {"max_tokens": 64}


def test_an_extra_max_tokens_replaces_both_names() -> None:
    assert with_extra(max_completion_tokens=9) == {
        "temperature": 0.7,
        "presence_penalty": 2.0,
        "max_completion_tokens": 9,
    }
    assert "max_tokens" not in with_extra(max_tokens=None)


@pytest.mark.parametrize("stage", SELF_INSTRUCT.stages, ids=lambda stage: stage.name)
def test_extra_members_apply_to_every_stage(stage: RecipeStage) -> None:
    config = RunConfig(model="m", extra_body={"reasoning_effort": "low"})
    assert stage.sampling(config).extra == {"reasoning_effort": "low"}


def test_extra_members_are_sent() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": None}
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra=extra))
    _, script = ask(GOOD, request=request)
    assert script.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert "temperature" not in script.asked[0]


def test_extra_members_cannot_change_in_a_run(tmp_path: Path, config: RunConfig) -> None:
    config = config.changed(extra_body={"top_k": 20, "min_p": None}, num_instructions=1)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_body == {"top_k": 20, "min_p": None}
    run(tmp_path / "run", {"extra_body": {"min_p": None, "top_k": 20}}, backend=ScriptedBackend())
    with pytest.raises(ConfigChangedError, match="extra_body"):
        run(tmp_path / "run", {"extra_body": {"top_k": 40}}, backend=ScriptedBackend())


def test_a_config_copies_its_values() -> None:
    body = {"stop": ["a"]}
    config = RunConfig(model="m", extra_body=body)
    body["stop"].append("b")
    assert config.extra_body == {"stop": ["a"]}


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("X-Title", "must be 'Name: value'"),
        ("X Title: mine", "must be 'Name: value'"),
        (": mine", "must be 'Name: value'"),
        ("X-Title:  ", "X-Title has no value"),
        ("X-Title: a\r\nEvil: b", "a line break"),
        ("X-Title: café", "non-ASCII"),
        ("X-Title\r\nEvil: b", "must be 'Name: value'"),
        ("Content-Length: 7", "is reserved: selfinstruct sets it"),
        ("X-Title: ${", "without the name"),
        ("Authorization: Bearer abc", "write 'Authorization: Bearer $MY_KEY'"),
        ("api-key: 0123", "write 'api-key: $MY_KEY'"),
        ("X-Goog-Api-Key: 0123", "looks like a secret"),
        ("Cookie: a=b", "looks like a secret"),
        ("X-Auth: b", "looks like a secret"),
        ("CF-Access-Client-Secret: b", "looks like a secret"),
        ("X-Thing: Bearer abc", "looks like a secret"),
        ("X-Thing: sk-abc", "looks like a secret"),
        ("Authorization: Bearer sk-abc$X", "put the whole secret into an environment variable"),
        ("Authorization: Bearer $X abc", "looks like a secret"),
        ("X-Password: abc$word123", "looks like a secret"),
        ("X-Password: ${X}0123", "looks like a secret"),
        ("X-Thing: sk-abc$X", "looks like a secret"),
        ("Cookie: a=$A; b=abc", "looks like a secret"),
        ("Authorization: Bearer token abc$X", "looks like a secret"),
    ],
)
def test_an_invalid_or_secret_header_is_refused(line: str, expected: str) -> None:
    problem = header_problem(line)
    assert problem is not None
    assert expected in problem
    for secret in ("0123", "abc", "a=b"):
        assert secret not in problem


@pytest.mark.parametrize(
    "line",
    [
        "X-Title: my run",
        "HTTP-Referer: https://example.org/a?b=c",
        "X-Author: Jane",
        "Authorization: Bearer $MY_KEY",
        "api-key: ${MY_KEY}",
        "Cookie: session=$SESSION; theme=${THEME}",
        "X-Auth: $USER_NAME:$PASSWORD",
        "Authorization: Api-Key $MY_KEY",
        "X-Price: $5",
        "OpenAI-Organization: org-1",
    ],
)
def test_a_header_without_secrets_is_valid(line: str) -> None:
    assert header_problem(line) is None


def test_a_duplicate_header_is_refused() -> None:
    assert headers_problem(["X-Title: a", "x-title: b"]) == "x-title is given twice"


def test_variables_in_headers_are_replaced() -> None:
    header = filled_in("Cookie: a=$ONE; b=${TWO}x", {"ONE": "first", "TWO": "second"})
    assert header.value == "a=first; b=secondx"
    assert header.secrets == ("a=first; b=secondx", "second", "first")
    assert filled_in("X-Price: $5", {}).secrets == ()


@pytest.mark.parametrize("environ", [{}, {"MY_KEY": " "}, {"MY_KEY": "a\nb"}, {"MY_KEY": "é"}])
def test_an_unusable_variable_is_named(environ: dict[str, str]) -> None:
    config = RunConfig(
        model="m", base_url="http://127.0.0.1:9/v1", extra_header=("api-key: $MY_KEY",)
    )
    with pytest.raises(ConfigError, match=r"api-key needs \$MY_KEY, which"):
        http_client(config, environ=environ)


@given(st.text(max_size=30))
def test_any_line_is_a_header_or_has_a_problem(line: str) -> None:
    if header_problem(line) is None:
        name, _, value = line.partition(":")
        assert line.isascii()
        assert "\n" not in value
        assert name.strip()


def test_headers_are_sent_with_every_request() -> None:
    _, script = ask(
        GOOD,
        count=2,
        extra_header=("X-Title: my run", "api-key: $MY_KEY"),
        environ={"MY_KEY": "topsecret"},
    )
    for sent in script.headers:
        assert sent["x-title"] == "my run"
        assert sent["api-key"] == "topsecret"
        # No key is set, because the api-key header authenticates.
        assert "authorization" not in sent


def test_a_key_and_a_token_header_are_sent() -> None:
    environ = {"MY_KEY": "topsecret", "OPENAI_API_KEY": "sk-mine"}
    _, script = ask(GOOD, extra_header=("x-gateway-token: $MY_KEY",), environ=environ)
    assert script.headers[0]["authorization"] == "bearer sk-mine"
    assert script.headers[0]["x-gateway-token"] == "topsecret"


def test_an_authorization_header_replaces_the_key() -> None:
    environ = {"MY_KEY": "topsecret", "OPENAI_API_KEY": "sk-mine"}
    _, script = ask(GOOD, extra_header=("authorization: Basic $MY_KEY",), environ=environ)
    assert script.headers[0]["authorization"] == "basic topsecret"


def test_an_authorization_header_is_enough_for_openai() -> None:
    config = RunConfig(model="m", extra_header=("Authorization: Bearer $MY_KEY",))
    open_backend(config, environ={"MY_KEY": "topsecret"})


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_a_repeated_header_value_is_redacted(status: int) -> None:
    refusal = reply(
        status,
        {"error": {"message": "bad: Bearer topsecret"}},
        headers={"x-should-retry": "false"},
    )
    (error,), _ = ask(
        refusal,
        extra_header=("Authorization: Bearer $MY_KEY",),
        environ={"MY_KEY": "topsecret"},
    )
    assert isinstance(error, BackendError)
    assert "bad: …" in str(error)
    assert "topsecret" not in str(error) + repr(error)


def test_no_file_contains_the_value_of_a_variable(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "topsecret")
    config = config.changed(extra_header=("api-key: $MY_KEY", "X-Title: a run"), num_instructions=1)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or b"topsecret" not in path.read_bytes()
    first = next(read_journal(tmp_path / "run/journal.jsonl")).event
    assert isinstance(first, RunStarted)
    assert first.settings["extra_header"] == ("api-key: $MY_KEY", "X-Title: a run")


def test_headers_are_remembered_until_they_change(tmp_path: Path, config: RunConfig) -> None:
    first = config.changed(extra_header=("X-Title: one",), num_instructions=1)
    run(tmp_path / "run", first, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_header == ("X-Title: one",)
    more = {"num_instructions": 9, "extra_header": []}
    run(tmp_path / "run", more, backend=ScriptedBackend())
    run(tmp_path / "run", {"num_instructions": 16}, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_header == ()


# ── max_tokens ──────────────────────────────────────────────────────────────────────────────────────────

WANTS_NEWER = reply(
    400,
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    },
)


def test_max_tokens_is_renamed_on_request() -> None:
    async def main() -> Script:
        async with scripted(WANTS_NEWER, GOOD) as script:
            config = RunConfig(model="m", base_url=script.url, max_attempts=1)
            async with open_backend(config, environ={}) as backend:
                completion = await backend.complete(REQUEST)
                assert completion.attempts == 1  # A renamed parameter is not a failed attempt.
                await backend.complete(REQUEST)
            return script

    script = asyncio.run(main())
    names = [{n for n in body if n.endswith("tokens")} for body in script.asked]
    assert names == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


def test_requests_in_flight_are_sent_again_after_renaming() -> None:
    async def main() -> Script:
        async with scripted(b"") as script:
            script.replies = ByRequest(
                script, lambda _, body: WANTS_NEWER if "max_tokens" in body else GOOD
            )
            config = RunConfig(model="m", base_url=script.url, max_attempts=1)
            async with open_backend(config, environ={}) as backend:
                completions = await asyncio.gather(*[backend.complete(REQUEST) for _ in range(8)])
            assert {completion.attempts for completion in completions} == {1}
            return script

    script = asyncio.run(main())
    assert sum("max_completion_tokens" in body for body in script.asked) == 8
    assert len(script.asked) <= 16


def test_an_endpoint_may_refuse_both_names() -> None:
    (error,), script = ask(WANTS_NEWER)
    assert isinstance(error, RequestRejectedError)
    assert len(script.asked) == 2


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_configured_name_is_kept(limit: str) -> None:
    (error,), script = ask(WANTS_NEWER, token_limit=limit)
    assert isinstance(error, RequestRejectedError)
    assert [limit in body for body in script.asked] == [True]


def test_an_extra_max_tokens_is_not_renamed() -> None:
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra={"max_tokens": 5}))
    (error,), script = ask(WANTS_NEWER, request=request)
    assert isinstance(error, RequestRejectedError)
    assert "change or remove 'max_tokens' in --extra-body" in str(error)
    assert len(script.asked) == 1


def test_the_completions_api_keeps_max_tokens() -> None:
    (error,), script = ask(WANTS_NEWER, request=TEXT, token_limit="max_completion_tokens")
    assert isinstance(error, RequestRejectedError)
    assert [body["max_tokens"] for body in script.asked] == [64]


def test_a_too_large_number_is_not_renamed() -> None:
    too_large = "'max_tokens' or 'max_completion_tokens' is too large: 64."
    (error,), script = ask(reply(400, {"error": {"message": too_large}}))
    assert isinstance(error, RequestRejectedError)
    assert len(script.asked) == 1


# ── refused parameters ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stage", "error", "expected"),
    [
        ("generate", {"param": "temperature", "message": "no"}, "--set generate_temperature=null"),
        (
            "instances",
            {"message": "Unsupported parameter: 'presence_penalty' is not supported."},
            "remove presence_penalty with --set instances_presence_penalty=null",
        ),
        ("classify", {"message": 'unknown field "temperature"'}, "--set classify_temperature=null"),
        (
            "classify",
            {"param": "max_tokens", "message": "too large"},
            "max_tokens with --set classify_max_tokens=N, or remove it with --set classify_max_tokens=null",
        ),
        ("generate", {"param": "stop", "message": "no"}, "with --extra-body '{\"stop\": null}'"),
        (
            "generate",
            {"param": "top_k", "message": "no"},
            "change or remove 'top_k' in --extra-body",
        ),
        ("generate", {"param": "messages", "message": "too long"}, ""),
        ("generate", {"message": "'logit_bias' is not supported"}, ""),
        ("generate", {"param": None, "message": None}, ""),
        ("generate", [1], ""),
        ("generate", None, ""),
        (
            "generate",
            {"detail": [{"loc": ["body", "temperature"], "msg": "too high"}]},
            "--set generate_temperature=null",
        ),
    ],
)
def test_advice_removes_the_refused_parameter(stage: Stage, error: object, expected: str) -> None:
    request = replace(
        REQUEST,
        stage=stage,
        sampling=replace(REQUEST.sampling, stop=("x",), extra={"top_k": 1}),
    )
    text = advice(400, error, request, parameters(request))
    assert expected in text
    assert bool(expected) == bool(text)
    assert advice(401, error, request, parameters(request)) == ""


def test_a_refusal_ends_with_advice() -> None:
    refusal = reply(400, {"error": {"message": "'presence_penalty' is not supported"}})
    (error,), _ = ask(refusal)
    assert str(error).endswith(
        "(400: 'presence_penalty' is not supported); remove presence_penalty with "
        "--set generate_presence_penalty=null"
    )


@given(st.text(max_size=60) | st.recursive(st.none() | st.text(), st.lists, max_leaves=5))
def test_advice_survives_any_error(message: object) -> None:
    advice(400, {"message": message, "param": message}, REQUEST, parameters(REQUEST))
    advice(400, message, REQUEST, parameters(REQUEST))


# ── the command line ────────────────────────────────────────────────────────────────────────────────────


NEW = ["-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1"]


def stored(tmp_path: Path, *flags: str) -> dict[str, Any]:
    """Start a run without an endpoint, and return its stored settings."""
    (tmp_path / "run.yaml").write_text("max_attempts: 1\ngive_up_after_s: 0\n")
    done = typed("run", "run.yaml", *NEW, *flags, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    settings = yaml.safe_load((tmp_path / "new/config.yaml").read_text())["settings"]
    assert isinstance(settings, dict)
    return settings


def test_set_accepts_null(tmp_path: Path) -> None:
    settings = stored(
        tmp_path,
        *["--set", "max_cost=null", "--set", "price_input=null", "--max-requests", "320"],
        *["--extra-body", '{"top_k": 1}', "--set", "seed_tasks=null"],
        *["--extra-header", "X-A: 1", "--extra-header", "api-key: $HOME"],
    )
    assert settings["max_cost"] is None
    assert settings["price_input"] is None
    assert settings["max_requests"] == 320
    assert settings["extra_body"] == {"top_k": 1}
    assert settings["seed_tasks"] is None
    assert settings["extra_header"] == ["X-A: 1", "api-key: $HOME"]
    assert set(settings) == set(plain(RunConfig(model="m")))


def test_paths_may_be_named_none(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes((ROOT / "seed_tasks.jsonl").read_bytes())
    (tmp_path / "Null").symlink_to(ROOT / "prompts/self-instruct")
    settings = stored(tmp_path, "--seed-tasks", "none", "--prompts", "Null")
    assert (settings["seed_tasks"], settings["prompts"]) == ("none", "Null")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--seed-tasks", "none"], "none: cannot be read"),
        (["--max-cost", "nil"], "'--max-cost': Input should be a valid number"),
        (["--set", "max_requests=1.5"], "--set max_requests: must be a whole number"),
        (["--extra-body", "top_k=1"], "must be a JSON object, such as"),
        (["--extra-body", "[1]"], "must be a JSON object, such as"),
        (["--extra-body", json.dumps({"messages": []})], "must not contain 'messages'"),
        (["--extra-header", "api-key: hunter2"], "in single quotes"),
        (["--extra-header", "api-key: $NOT_THERE_X"], "needs $NOT_THERE_X, which is not set"),
    ],
)
def test_an_invalid_flag_creates_no_run(tmp_path: Path, flags: list[str], problem: str) -> None:
    done = typed("run", *NEW, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.replace("│", " ").split())
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "new").exists()
