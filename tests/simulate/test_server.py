"""Starting, stopping, delaying and logging."""

import ast
import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from waiting import PATIENCE_S, until

import selfinstruct.simulate
from selfinstruct.simulate import SimulatedEndpoint

KEY = "a-key-that-must-not-show-up"
PACKAGE = Path(selfinstruct.simulate.__file__).parent


def ask(base_url: str, prompt: str = "Hello.", **headers: str) -> str:
    """The text that the endpoint replies."""
    with openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        reply = client.chat.completions.create(
            model="simulated",
            messages=[{"role": "user", "content": prompt}],
            extra_headers=headers,
        )
    return reply.choices[0].message.content or ""


def read(log: Path) -> list[dict[str, object]]:
    """The entries of a request log."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_the_package_imports_nothing_else_of_selfinstruct() -> None:
    """A rehearsal must not share code with what it rehearses."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for name in names:
                ours = name.partition(".")[0] == "selfinstruct"
                assert not ours or name.startswith("selfinstruct.simulate"), f"{path}: {name}"


def test_importing_the_package_loads_no_web_framework() -> None:
    """Whoever only looks at the command line does not pay for the server."""
    code = "import sys, selfinstruct.simulate; print({'starlette', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_port_that_is_taken_is_an_oserror(endpoint: SimulatedEndpoint) -> None:
    """Nobody is served by two endpoints on one port."""
    port = urlsplit(endpoint.base_url).port or 0
    with pytest.raises(OSError, match="in use"), SimulatedEndpoint(port=port):
        pass


def test_the_port_is_free_again_afterwards() -> None:
    """Leaving the block closes the socket, also with a connection still open."""
    with SimulatedEndpoint() as endpoint:
        port = urlsplit(endpoint.base_url).port or 0
        ask(endpoint.base_url)
        idle = socket.create_connection(("127.0.0.1", port))
    idle.close()
    with SimulatedEndpoint(port=port) as endpoint:
        assert ask(endpoint.base_url)


def test_an_impossible_latency_is_a_valueerror() -> None:
    """Negative and upside-down ranges are refused before anything is opened."""
    for latency in ((-1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="latency"):
            SimulatedEndpoint(latency_ms=latency)


def test_a_model_goes_by_the_name_it_was_given() -> None:
    """The served model id can be set."""
    with (
        SimulatedEndpoint(model="rehearsal-7b") as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key=KEY, max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["rehearsal-7b"]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(
                model="simulated", messages=[{"role": "user", "content": "Hello."}]
            )


def test_replies_are_held_back_for_the_latency() -> None:
    """No reply comes sooner than the lower end of the range."""
    with SimulatedEndpoint(latency_ms=(120, 150)) as endpoint:
        began = time.monotonic()
        ask(endpoint.base_url)
        assert time.monotonic() - began >= 0.12


def test_the_log_tells_what_came_and_what_was_answered(tmp_path: Path) -> None:
    """Two lines per request, which agree, and neither the key nor any text."""
    log = tmp_path / "requests.jsonl"
    prompt = "An unmistakable prompt."
    with SimulatedEndpoint(log=log) as endpoint:
        text = ask(endpoint.base_url, prompt, **{"X-Client-Request-Id": "g-7"})
        with pytest.raises(openai.APIStatusError):
            ask(endpoint.base_url + "/..", prompt)
    received, answered = read(log)
    assert received["event"] == "received"
    assert answered["event"] == "answered"
    for name in ("number", "client_request_id", "body_sha256", "prompt_sha256"):
        assert received[name] == answered[name]
    assert received["number"] == 1
    assert received["client_request_id"] == "g-7"
    assert received["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert answered["status"] == 200
    assert answered["finish_reasons"] == ["stop"]
    assert isinstance(answered["completion_tokens"], int)
    for name in ("prompt_tokens", "completion_tokens"):
        assert answered[f"billed_{name}"] == answered[name]
    written = log.read_text(encoding="utf-8")
    assert not any(secret in written for secret in (KEY, prompt, text))


def test_a_refused_request_is_logged_with_its_status(tmp_path: Path) -> None:
    """A 404 is an answer too, without a prompt that could be read."""
    log = tmp_path / "requests.jsonl"
    with (
        SimulatedEndpoint(log=log, model="another") as endpoint,
        pytest.raises(openai.NotFoundError),
    ):
        ask(endpoint.base_url)
    received, answered = read(log)
    assert received["prompt_sha256"] is None
    assert answered["status"] == 404
    assert answered["finish_reasons"] == []
    assert answered["billed_prompt_tokens"] == answered["billed_completion_tokens"] == 0


def connected(endpoint: SimulatedEndpoint, log: Path) -> socket.socket:
    """A connection on which a request has arrived."""
    body = b'{"model": "simulated", "messages": [{"role": "user", "content": "Hello."}]}'
    connection = socket.create_connection(("127.0.0.1", urlsplit(endpoint.base_url).port or 0))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    until(lambda: log.read_text(encoding="utf-8"))
    return connection


def test_a_client_that_hangs_up_is_not_answered_and_pays_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with (
        SimulatedEndpoint() as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key=KEY) as client,
    ):
        reply = client.chat.completions.create(
            model="simulated", messages=[{"role": "user", "content": "Hello."}]
        )
    with SimulatedEndpoint(log=log, latency_ms=(3_600_000, 3_600_000)) as endpoint:
        connected(endpoint, log).close()
        until(lambda: len(read(log)) == 2)
    received, hung_up = read(log)
    assert (received["event"], hung_up["event"]) == ("received", "hung_up")
    assert received["number"] == hung_up["number"]
    assert reply.usage is not None
    assert hung_up["billed_prompt_tokens"] == reply.usage.prompt_tokens
    assert hung_up["billed_completion_tokens"] == reply.usage.completion_tokens
    assert "fault" not in hung_up


def test_a_server_that_ends_before_it_answers_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfinstruct.simulate.server.listening._SHUTDOWN_SECONDS", 0.2)
    log = tmp_path / "requests.jsonl"
    with SimulatedEndpoint(log=log, latency_ms=(60_000, 60_000)) as endpoint:
        connection = connected(endpoint, log)
    connection.close()
    received, broken = read(log)
    assert (received["event"], broken["event"], broken["fault"]) == ("received", "broken", None)
    assert isinstance(broken["billed_completion_tokens"], int)
    assert broken["billed_completion_tokens"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_ends_quietly_on_a_signal(number: signal.Signals) -> None:
    """`serve` gives its address, answers, and returns on SIGINT as on SIGTERM."""
    code = (
        "from selfinstruct.simulate import serve\n"
        "serve(on_ready=lambda url: print(url, flush=True))\n"
        "print('over')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        base_url = serving.stdout.readline().strip()
        assert ask(base_url)
        serving.send_signal(number)
        out, errors = serving.communicate(timeout=PATIENCE_S)
    assert (out, errors, serving.returncode) == ("over\n", "", 0)
