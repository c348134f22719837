"""Tests that keys and header values never appear in messages, even if the endpoint repeats them."""

import asyncio
import html
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import reply, scripted

from selfinstruct.config.request_extras import Header, filled_in
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import BackendError
from selfinstruct.llm.client import EndpointClient
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import Reply
from selfinstruct.records import Message, Prompt, Request, Sampling

KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"
REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m"),
)


def refused(answer: bytes, *, key: str = KEY, **settings: Any) -> BackendError:
    """Send one request to a server that sends this reply, and return the error."""

    async def main() -> BackendError:
        async with scripted(answer) as script:
            config = RunConfig(model="m", base_url=script.url, max_attempts=1, **settings)
            async with open_backend(
                config, environ={"OPENAI_API_KEY": key, "MY_KEY": key}
            ) as backend:
                with pytest.raises(BackendError) as caught:
                    await backend.complete(REQUEST)
                return caught.value

    return asyncio.run(main())


def probed(answer: bytes) -> Reply:
    async def main() -> Reply:
        async with scripted(answer) as script:
            config = RunConfig(model="m", base_url=script.url)
            async with EndpointClient(config, environ={"OPENAI_API_KEY": KEY}) as client:
                return await client.probe("/models")

    return asyncio.run(main())


def contains_part(text: str, secret: str, *, length: int = 6) -> bool:
    return any(secret[n : n + length] in text for n in range(len(secret) - length + 1))


@pytest.mark.parametrize("before", ["", "x" * 260, " " * 1170, "x" * 290, "x" * 1190])
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_no_part_of_a_key_survives_shortening(status: int, before: str) -> None:
    headers = {"x-should-retry": "false"}
    for body in (
        {"error": {"message": before + KEY}},
        {"error": {"message": ["a", {KEY: before + KEY}]}},
        {"detail": before + KEY},
        [before + KEY],
        f"<html>{before}{KEY}</html>".encode(),
        json.dumps({"error": {"message": before + KEY}}).encode("utf-16"),
    ):
        error = refused(reply(status, body, headers=headers))
        assert not contains_part(str(error) + repr(error) + error.problem, KEY)


def test_no_part_of_a_key_survives_a_redirect() -> None:
    error = refused(reply(302, b"", headers={"location": f"/{'x' * 280}{KEY}"}))
    assert not contains_part(str(error), KEY)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("secret", ["one  two\tthree", 'it\'s"quoted"', "back\\slash/es&more"])
def test_secrets_with_special_characters_are_redacted(status: int, secret: str) -> None:
    config = {"extra_header": ("X-Password: $MY_KEY",), "api_key_env": "NO_KEY_X"}
    for body in (
        {"error": {"message": f"no: {secret}"}},
        {"error": {"what": secret, "code": 1}},
        {"error": {"message": json.dumps({"said": secret})}},
        f"<p>{secret}</p>".encode(),
        json.dumps(["cut", secret]).encode()[:-1],
    ):
        headers = {"x-should-retry": "false"}
        error = refused(reply(status, body, headers=headers), key=secret, **config)
        for word in ("three", "quoted", "slash", "more"):
            assert word not in str(error)


@pytest.mark.parametrize("key", ["e", "local", "none"])
def test_a_placeholder_key_is_not_redacted(key: str) -> None:
    error = refused(reply(404, {"error": {"message": "the local model is none"}}), key=key)
    assert "the local model is none" in str(error)
    assert "check --model and --base-url" in str(error)


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize(
    "body",
    [
        f"Login failed for key {KEY}".encode(),
        {"error": {"message": f"Incorrect API key provided: {KEY}", "param": KEY}},
        {"data": [{"id": KEY}]},
        json.dumps({"data": [{"id": KEY}]}).encode("utf-16"),
    ],
)
def test_the_doctor_never_sees_a_key(status: int, body: object) -> None:
    probe = probed(reply(status, body))
    assert probe.status == status
    shown = repr(probe) + probe.content.decode() + str(probe.refusal)
    assert not contains_part(shown, KEY)
    assert "…" in probe.content.decode()


def test_content_without_secrets_is_unchanged() -> None:
    content = b'{"a": "\xff"}'
    assert redacted(content, [KEY]) is content
    assert redacted({"a": [1, None, "b"]}, [KEY]) == {"a": [1, None, "b"]}
    assert redacted("text", []) == "text"


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=30)


@given(SECRETS, st.text(max_size=9))
def test_a_secret_is_redacted_in_every_escaping(secret: str, around: str) -> None:
    for written in (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        repr(secret)[1:-1],
        html.escape(secret),
        quote(secret, safe=""),
        "".join(f"\\u{ord(c):04X}" if not c.isalnum() else c for c in secret),
    ):
        assert written not in redacted(f"<{around}|{written}|{around}>", [secret])
        assert written.encode() not in redacted(f"<|{written}|>".encode(), [secret])


def test_the_longest_secret_is_redacted_first() -> None:
    assert redacted("Bearer abcdefgh!", ["abcdefgh", "Bearer abcdefgh"]) == "…!"


def test_a_header_does_not_show_its_secret() -> None:
    header = filled_in("Authorization: Bearer $MY_KEY", {"MY_KEY": KEY})
    assert repr(header) == "Header(name='Authorization')"
    assert header == Header("Authorization", f"Bearer {KEY}", (f"Bearer {KEY}", KEY))
