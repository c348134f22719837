"""What is sent: the members of a request, the headers beside it, and what a refusal of one leads to."""

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
from selfinstruct.config.address import for_a_new_run
from selfinstruct.config.request_extras import filled_in, header_problem, headers_problem
from selfinstruct.config.schema import RunConfig, fingerprint, plain
from selfinstruct.errors import (
    BackendError,
    ConfigChangedError,
    ConfigError,
    RequestRejectedError,
)
from selfinstruct.events import RunStarted
from selfinstruct.llm.endpoint import client
from selfinstruct.llm.online import OnlineBackend
from selfinstruct.llm.request_body import advice, parameters
from selfinstruct.pipeline.recipes import sampling
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Stage
from selfinstruct.runner.directory import open_run, read_run
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
    """Ask, several times at once if wanted; gives completions or errors, and what the server saw."""

    async def asked() -> tuple[list[Completion | BaseException], Script]:
        async with scripted(*replies) as script:
            config = RunConfig(model="m", base_url=script.url, max_attempts=2, **settings)
            async with OnlineBackend(config, environ=environ or {}) as backend:
                asking = [backend.complete(request) for _ in range(count)]
                return await asyncio.gather(*asking, return_exceptions=True), script

    return asyncio.run(asked())


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────


def with_extra(**extra: Any) -> dict[str, Any]:
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra=extra))
    return {n: v for n, v in parameters(request).items() if n not in ("model", "messages")}


def test_members_are_added_and_replace_those_of_the_same_name() -> None:
    assert with_extra(top_k=20, temperature=0.1) == {
        "temperature": 0.1,
        "presence_penalty": 2.0,
        "max_tokens": 64,
        "top_k": 20,
    }


def test_a_member_that_is_null_takes_the_parameter_out() -> None:
    assert with_extra(temperature=None, presence_penalty=None) == {"max_tokens": 64}


def test_an_added_token_limit_stands_alone_under_whatever_name() -> None:
    assert with_extra(max_completion_tokens=9) == {
        "temperature": 0.7,
        "presence_penalty": 2.0,
        "max_completion_tokens": 9,
    }
    assert "max_tokens" not in with_extra(max_tokens=None)


@pytest.mark.parametrize("stage", ["generate", "classify", "instances"])
def test_added_members_go_with_the_requests_of_every_stage(stage: Stage) -> None:
    config = RunConfig(model="m", extra_body={"reasoning_effort": "low"})
    assert sampling(config, stage).extra == {"reasoning_effort": "low"}


def test_added_members_arrive_in_the_body() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": None}
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra=extra))
    _, script = ask(GOOD, request=request)
    assert script.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert "temperature" not in script.asked[0]


def test_added_members_are_part_of_what_a_run_is(tmp_path: Path, config: RunConfig) -> None:
    config = config.changed(extra_body={"top_k": 20, "min_p": None}, num_instructions=1)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_body == {"top_k": 20, "min_p": None}
    run(tmp_path / "run", {"extra_body": {"min_p": None, "top_k": 20}}, backend=ScriptedBackend())
    with pytest.raises(ConfigChangedError, match="extra_body"):
        run(tmp_path / "run", {"extra_body": {"top_k": 40}}, backend=ScriptedBackend())


def test_a_run_that_knew_no_added_members_opens_with_its_fingerprint(
    tmp_path: Path, config: RunConfig
) -> None:
    run(tmp_path / "run", config.changed(num_instructions=1), backend=ScriptedBackend())
    path = tmp_path / "run/config.yaml"
    document = yaml.safe_load(path.read_text())
    newer = ("extra_body", "extra_header", "token_limit")
    document["settings"] = {n: v for n, v in document["settings"].items() if n not in newer}
    document["fingerprint"] = fingerprint(
        document["settings"], hashes=document["hashes"], versions=document["versions"]
    )
    path.write_text(yaml.safe_dump(document))
    with open_run(tmp_path / "run", {"extra_header": ["X-Title: mine"]}) as opened:
        assert opened.config.extra_body is None
        assert opened.config.extra_header == ("X-Title: mine",)


def test_what_a_config_holds_cannot_be_changed_from_outside() -> None:
    body = {"stop": ["a"]}
    config = RunConfig(model="m", extra_body=body)
    body["stop"].append("b")
    assert config.extra_body == {"stop": ["a"]}


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "said"),
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
def test_a_header_that_cannot_be_sent_or_must_not_be_stored_is_refused(
    line: str, said: str
) -> None:
    problem = header_problem(line)
    assert problem is not None
    assert said in problem
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
def test_a_header_that_shows_no_secret_is_taken(line: str) -> None:
    assert header_problem(line) is None


def test_a_header_that_is_given_twice_is_refused() -> None:
    assert headers_problem(["X-Title: a", "x-title: b"]) == "x-title is given twice"


def test_variables_are_filled_in_when_a_header_is_sent() -> None:
    header = filled_in("Cookie: a=$ONE; b=${TWO}x", {"ONE": "first", "TWO": "second"})
    assert header.value == "a=first; b=secondx"
    assert header.secrets == ("a=first; b=secondx", "second", "first")
    assert filled_in("X-Price: $5", {}).secrets == ()


@pytest.mark.parametrize("environ", [{}, {"MY_KEY": " "}, {"MY_KEY": "a\nb"}, {"MY_KEY": "é"}])
def test_a_variable_that_gives_no_value_is_named(environ: dict[str, str]) -> None:
    settings = {
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "extra_header": ["api-key: $MY_KEY"],
    }
    with pytest.raises(ConfigError, match=r"api-key needs \$MY_KEY, which"):
        for_a_new_run(settings, environ=environ, client=client)


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
        assert "authorization" not in sent  # no key is set, and the header is one


def test_a_key_is_sent_beside_a_header_that_is_another_one() -> None:
    environ = {"MY_KEY": "topsecret", "OPENAI_API_KEY": "sk-mine"}
    _, script = ask(GOOD, extra_header=("x-gateway-token: $MY_KEY",), environ=environ)
    assert script.headers[0]["authorization"] == "bearer sk-mine"
    assert script.headers[0]["x-gateway-token"] == "topsecret"


def test_an_authorization_of_ones_own_replaces_that_of_the_client() -> None:
    environ = {"MY_KEY": "topsecret", "OPENAI_API_KEY": "sk-mine"}
    _, script = ask(GOOD, extra_header=("authorization: Basic $MY_KEY",), environ=environ)
    assert script.headers[0]["authorization"] == "basic topsecret"


def test_openai_needs_no_key_where_an_authorization_is_given() -> None:
    config = RunConfig(model="m", extra_header=("Authorization: Bearer $MY_KEY",))
    OnlineBackend(config, environ={"MY_KEY": "topsecret"})


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_a_value_that_the_endpoint_repeats_is_taken_out(status: int) -> None:
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


def test_no_value_of_a_variable_is_in_any_file_of_the_run(
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


def test_headers_are_remembered_until_others_are_given(tmp_path: Path, config: RunConfig) -> None:
    first = config.changed(extra_header=("X-Title: one",), num_instructions=1)
    run(tmp_path / "run", first, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_header == ("X-Title: one",)
    more = {"num_instructions": 9, "extra_header": []}
    run(tmp_path / "run", more, backend=ScriptedBackend())
    run(tmp_path / "run", {"num_instructions": 16}, backend=ScriptedBackend())
    assert read_run(tmp_path / "run").config.extra_header == ()


# ── the token limit ──────────────────────────────────────────────────────────────────────────────────────

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


def test_the_limit_takes_its_newer_name_once_the_endpoint_asks_for_it() -> None:
    async def asked() -> Script:
        async with scripted(WANTS_NEWER, GOOD) as script:
            config = RunConfig(model="m", base_url=script.url, max_attempts=1)
            async with OnlineBackend(config, environ={}) as backend:
                completion = await backend.complete(REQUEST)
                assert completion.attempts == 1  # it was no failure
                await backend.complete(REQUEST)
            return script

    script = asyncio.run(asked())
    names = [{n for n in body if n.endswith("tokens")} for body in script.asked]
    assert names == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


def test_requests_that_were_out_when_the_limit_took_its_newer_name_are_sent_again_too() -> None:
    async def asked() -> Script:
        async with scripted(b"") as script:
            script.replies = ByRequest(
                script, lambda _, body: WANTS_NEWER if "max_tokens" in body else GOOD
            )
            config = RunConfig(model="m", base_url=script.url, max_attempts=1)
            async with OnlineBackend(config, environ={}) as backend:
                completions = await asyncio.gather(*[backend.complete(REQUEST) for _ in range(8)])
            assert {completion.attempts for completion in completions} == {1}
            return script

    script = asyncio.run(asked())
    assert sum("max_completion_tokens" in body for body in script.asked) == 8
    assert len(script.asked) <= 16


def test_an_endpoint_that_takes_neither_name_refuses_the_request() -> None:
    (error,), script = ask(WANTS_NEWER)
    assert isinstance(error, RequestRejectedError)
    assert len(script.asked) == 2


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_name_that_was_chosen_stays(limit: str) -> None:
    (error,), script = ask(WANTS_NEWER, token_limit=limit)
    assert isinstance(error, RequestRejectedError)
    assert [limit in body for body in script.asked] == [True]


def test_a_limit_among_the_added_members_is_not_renamed() -> None:
    request = replace(REQUEST, sampling=replace(REQUEST.sampling, extra={"max_tokens": 5}))
    (error,), script = ask(WANTS_NEWER, request=request)
    assert isinstance(error, RequestRejectedError)
    assert "'max_tokens' is a member of --extra-body" in str(error)
    assert len(script.asked) == 1


def test_a_text_to_continue_keeps_the_older_name() -> None:
    (error,), script = ask(WANTS_NEWER, request=TEXT, token_limit="max_completion_tokens")
    assert isinstance(error, RequestRejectedError)
    assert [body["max_tokens"] for body in script.asked] == [64]


def test_a_limit_that_is_too_large_is_not_renamed() -> None:
    too_large = "'max_tokens' or 'max_completion_tokens' is too large: 64."
    (error,), script = ask(reply(400, {"error": {"message": too_large}}))
    assert isinstance(error, RequestRejectedError)
    assert len(script.asked) == 1


# ── what a refusal blames ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stage", "error", "said"),
    [
        ("generate", {"param": "temperature", "message": "no"}, "--set generate_temperature=null"),
        (
            "instances",
            {"message": "Unsupported parameter: 'presence_penalty' is not supported."},
            "remove it with --set instances_presence_penalty=null",
        ),
        ("classify", {"message": 'unknown field "temperature"'}, "--set classify_temperature=null"),
        (
            "classify",
            {"param": "max_tokens", "message": "too large"},
            "another one with --set classify_max_tokens=N, or remove it with --set classify_max_tokens=null",
        ),
        ("generate", {"param": "stop", "message": "no"}, "with --extra-body '{\"stop\": null}'"),
        ("generate", {"param": "top_k", "message": "no"}, "'top_k' is a member of --extra-body"),
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
def test_a_parameter_that_is_blamed_can_be_left_out(stage: Stage, error: object, said: str) -> None:
    request = replace(
        REQUEST,
        stage=stage,
        sampling=replace(REQUEST.sampling, stop=("x",), extra={"top_k": 1}),
    )
    told = advice(400, error, request, parameters(request))
    assert said in told
    assert bool(said) == bool(told)
    assert advice(401, error, request, parameters(request)) == ""


def test_a_refusal_ends_with_what_to_type() -> None:
    refusal = reply(400, {"error": {"message": "'presence_penalty' is not supported"}})
    (error,), _ = ask(refusal)
    assert str(error).endswith(
        "(400: 'presence_penalty' is not supported); remove it with "
        "--set generate_presence_penalty=null"
    )


@given(st.text(max_size=60) | st.recursive(st.none() | st.text(), st.lists, max_leaves=5))
def test_no_words_of_an_endpoint_make_advice_fail(said: object) -> None:
    advice(400, {"message": said, "param": said}, REQUEST, parameters(REQUEST))
    advice(400, said, REQUEST, parameters(REQUEST))


# ── from the command line ────────────────────────────────────────────────────────────────────────────────


NEW = ["-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1"]


def stored(tmp_path: Path, *flags: str) -> dict[str, Any]:
    """The settings of a run that was started with these flags and found nobody to ask."""
    done = typed("run", *NEW, "--set", "max_attempts=1", "--give-up-after", 0, *flags, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    settings = yaml.safe_load((tmp_path / "new/config.yaml").read_text())["settings"]
    assert isinstance(settings, dict)
    return settings


def test_a_null_on_the_command_line_leaves_a_parameter_out(tmp_path: Path) -> None:
    settings = stored(
        tmp_path,
        *["--set", "generate_top_p=null", "--set", "instances_presence_penalty=null"],
        *["--set", "classify_max_tokens=32", "--extra-body", '{"top_k": 1}'],
        *["--set", "seed_tasks=null"],
        *["--extra-header", "X-A: 1", "--extra-header", "api-key: $HOME"],
    )
    assert settings["generate_top_p"] is None
    assert settings["instances_presence_penalty"] is None
    assert settings["classify_max_tokens"] == 32
    assert settings["extra_body"] == {"top_k": 1}
    assert settings["seed_tasks"] is None
    assert settings["extra_header"] == ["X-A: 1", "api-key: $HOME"]
    assert set(settings) == set(plain(RunConfig(model="m")))


def test_a_file_or_a_folder_may_be_named_none(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes((ROOT / "seed_tasks.jsonl").read_bytes())
    (tmp_path / "Null").symlink_to(ROOT / "prompts/self-instruct")
    settings = stored(tmp_path, "--seed-tasks", "none", "--prompts", "Null")
    assert (settings["seed_tasks"], settings["prompts"]) == ("none", "Null")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed-tasks", "none"], "none: cannot be read"),
        (["--set", "generate_top_p=nil"], "generate_top_p: must be a number"),
        (["--set", "classify_max_tokens=1.5"], "classify_max_tokens: must be a whole number"),
        (["--extra-body", "top_k=1"], "must be a JSON object, such as"),
        (["--extra-body", "[1]"], "must be a JSON object, such as"),
        (["--extra-body", json.dumps({"messages": []})], "must not contain 'messages'"),
        (["--extra-header", "api-key: hunter2"], "in single quotes"),
        (["--extra-header", "api-key: $NOT_THERE_X"], "needs $NOT_THERE_X, which is not set"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_anything_is_made(
    tmp_path: Path, flags: list[str], said: str
) -> None:
    done = typed("run", *NEW, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "new").exists()
