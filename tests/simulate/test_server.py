"""The server starts, stops, delays replies and writes the request log."""

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
from simulate.connection import Connection
from support import request_log
from waiting import PATIENCE_S, until

from selfinstruct.simulate import FaultShares, SimulatedEndpoint

KEY = "a-key-that-must-not-show-up"
BODY = b'{"model": "simulated", "messages": [{"role": "user", "content": "Hello."}]}'


def ask(base_url: str, prompt: str = "Hello.", **headers: str) -> str:
    """Send a prompt with OpenAI's client, and return the reply's text."""
    with openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        reply = client.chat.completions.create(
            model="simulated",
            messages=[{"role": "user", "content": prompt}],
            extra_headers=headers,
        )
    return reply.choices[0].message.content or ""


def test_importing_loads_no_web_framework() -> None:
    code = "import sys, selfinstruct.simulate; print({'starlette', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_port_in_use_is_an_oserror(endpoint: SimulatedEndpoint) -> None:
    port = urlsplit(endpoint.base_url).port or 0
    with pytest.raises(OSError, match="in use"), SimulatedEndpoint(port=port):
        pass


def test_the_port_is_free_afterwards() -> None:
    with SimulatedEndpoint() as endpoint:
        port = urlsplit(endpoint.base_url).port or 0
        ask(endpoint.base_url)
        idle = socket.create_connection(("127.0.0.1", port))
    idle.close()
    with SimulatedEndpoint(port=port) as endpoint:
        assert ask(endpoint.base_url)


def test_impossible_latencies_are_refused() -> None:
    for latency in ((-1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="latency"):
            SimulatedEndpoint(latency_ms=latency)


def test_model_and_shares_can_be_set() -> None:
    with (
        SimulatedEndpoint(model="rehearsal-7b", shares=FaultShares(thinking=1.0)) as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key=KEY, max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["rehearsal-7b"]
        reply = client.chat.completions.create(
            model="rehearsal-7b", messages=[{"role": "user", "content": "Hello."}]
        )
        assert (reply.choices[0].message.content or "").startswith("<think>")
        with pytest.raises(openai.NotFoundError):
            ask(endpoint.base_url)


def test_replies_wait_for_the_latency() -> None:
    with SimulatedEndpoint(latency_ms=(120, 150)) as endpoint:
        began = time.monotonic()
        ask(endpoint.base_url)
        assert time.monotonic() - began >= 0.12


def test_the_log_has_two_lines_per_request(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    prompt = "An unmistakable prompt."
    with SimulatedEndpoint(log=log) as endpoint:
        text = ask(endpoint.base_url, prompt, **{"X-Client-Request-Id": "g-7"})
        with pytest.raises(openai.APIStatusError):
            ask(endpoint.base_url + "/..", prompt)
        with openai.OpenAI(base_url=endpoint.base_url, api_key=KEY) as client:
            reply = client.completions.create(model="simulated", prompt=prompt)
    received, answered, _, continued = request_log(log)
    assert (received["event"], answered["event"]) == ("received", "answered")
    assert {**received, **answered} == answered | {"at": answered["at"], "event": "answered"}
    assert (received["number"], received["client_request_id"]) == (1, "g-7")
    assert received["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert (answered["status"], answered["finish_reasons"]) == (200, ["stop"])
    assert reply.usage is not None
    assert continued["completion_tokens"] == reply.usage.completion_tokens
    for entry in (answered, continued):
        for name in ("prompt_tokens", "completion_tokens"):
            assert entry[f"billed_{name}"] == entry[name] != 0
    written = log.read_text(encoding="utf-8")
    assert not any(secret in written for secret in (KEY, prompt, text))
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_refused_request_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with (
        SimulatedEndpoint(log=log, model="another") as endpoint,
        pytest.raises(openai.NotFoundError),
    ):
        ask(endpoint.base_url)
    received, answered = request_log(log)
    assert received["prompt_sha256"] is None
    assert answered["status"] == 404
    assert answered["finish_reasons"] == []
    assert answered["billed_prompt_tokens"] == answered["billed_completion_tokens"] == 0


def test_a_client_that_hangs_up_pays(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with SimulatedEndpoint() as endpoint, Connection(endpoint) as connection:
        connection.send(BODY)
        usage = json.loads(connection.read()[1])["usage"]
    with SimulatedEndpoint(log=log, latency_ms=(3_600_000, 3_600_000)) as endpoint:
        with Connection(endpoint) as connection:
            connection.send(BODY)
            until(lambda: log.read_text(encoding="utf-8"))
        until(lambda: len(request_log(log)) == 2)
    received, hung_up = request_log(log)
    assert (received["event"], hung_up["event"]) == ("received", "hung_up")
    assert received["number"] == hung_up["number"]
    assert hung_up["billed_prompt_tokens"] == usage["prompt_tokens"]
    assert hung_up["billed_completion_tokens"] == usage["completion_tokens"]
    assert "fault" not in hung_up


def test_a_stopping_server_logs_open_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfinstruct.simulate.server.listening._SHUTDOWN_SECONDS", 0.2)
    log = tmp_path / "requests.jsonl"
    with SimulatedEndpoint(log=log, latency_ms=(60_000, 60_000)) as endpoint:
        connection = Connection(endpoint)
        connection.send(BODY)
        until(lambda: log.read_text(encoding="utf-8"))
    connection.socket.close()
    received, broken = request_log(log)
    assert (received["event"], broken["event"]) == ("received", "broken")
    assert "fault" not in broken
    assert isinstance(broken["billed_completion_tokens"], int)
    assert broken["billed_completion_tokens"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_foreground_server(number: signal.Signals) -> None:
    code = (
        "from selfinstruct.simulate import SimulatedEndpoint\n"
        "SimulatedEndpoint().serve(on_ready=lambda url: print(url, flush=True))\n"
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
