"""`--log-file` writes a run's events as JSON lines that contain no keys and no model output."""

import io
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import support
from scripted_server import ByRequest, Script, chat, reply, scripted_aside

from selfinstruct import cli
from selfinstruct.cli import run_log
from selfinstruct.cli.log_file import LOGGER, JsonLines, LogFile, check_log_file, logging_to
from selfinstruct.cli.run_log import log
from selfinstruct.errors import InputError
from selfinstruct.runner.directory import read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that runs `selfinstruct …` in this process and returns the exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["selfinstruct", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert isinstance(left.value.code, int)
        return left.value.code

    return call


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the logged lines, after checking that each has the same first fields."""
    logged = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for line in logged:
        assert list(line)[:3] == ["at", "level", "event"]
        assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    return logged


def events(path: Path) -> list[str]:
    return [line["event"] for line in lines(path)]


def test_a_log_has_start_progress_end_and_no_text(
    tmp_path: Path,
    endpoint: SimulatedEndpoint,
    typed: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_log, "PROGRESS_EVERY_S", 0.01)
    directory, path = tmp_path / "run", tmp_path / "night.jsonl"
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "--max-time", "8h"]
    umask = os.umask(0)
    try:
        assert typed("run", "-o", directory, *flags, "-n", 12, "--log-file", path) == 0
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600
    first, *between, last = lines(path)
    assert (first["event"], first["level"]) == ("run_started", "info")
    assert first["directory"] == str(directory)
    assert (first["model"], first["address"]) == ("simulated", endpoint.base_url)
    assert (first["target"], first["limits"]) == (12, {"max_time_s": 28800.0})
    assert set(first["versions"]) == {"selfinstruct", "python", "openai"}

    assert {line["event"] for line in between} == {"progress"}
    assert any(line["in_flight"] for line in between)
    accepted = [line["accepted"] for line in between]
    assert accepted == sorted(accepted)
    assert all(line["candidates"] >= line["accepted"] for line in between)
    assert between[-1]["prompt_tokens"] > 0

    assert (last["event"], last["level"]) == ("finished", "info")
    assert (last["reason"], last["exit_code"], last["detail"]) == ("complete", 0, "")
    state = read_run(directory).state
    assert last["summary"]["accepted"] == state.accepted
    for task in state.pool.generated:
        assert task.instruction not in path.read_text()

    # When the run is continued, the log is appended to the same file.
    assert typed("run", directory, "-n", 20, "--log-file", path) == 0
    assert events(path).count("run_started") == events(path).count("run_continued") == 1
    assert events(path)[-1] == "finished"


def test_debug_logs_each_request_without_text(
    tmp_path: Path, endpoint: SimulatedEndpoint, typed: Callable[..., int]
) -> None:
    directory, path = tmp_path / "run", tmp_path / "night.jsonl"
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 3, "--log-level", "debug"]
    assert typed("run", "-o", directory, *flags, "--log-file", path) == 0
    requests = [line for line in lines(path) if line["event"] == "request_completed"]
    state = read_run(directory).state
    assert len(requests) == state.counts.requests.total()
    assert {line["stage"] for line in requests} == {"generate", "classify", "instances"}
    assert sum(line["prompt_tokens"] for line in requests) == state.counts.prompt_tokens
    for line in requests:
        assert line["level"] == "debug"
        assert line["id"].startswith(f"{line['stage']}/")
        assert line["latency_s"] >= 0
        assert line["attempts"] == 1
    for task in state.pool.generated:
        assert task.instruction not in path.read_text()


def bad_day(script: Script, number: int) -> bytes:
    """Return reply `number`. The first and some classifications are errors that quote the key."""
    said = {"error": {"message": f"no, Bearer {KEY}, not {KEY}"}}
    stage, _, name = script.headers[-1]["x-client-request-id"].partition("/")
    if number == 1:
        return reply(503, said)
    if stage == "classify":
        return reply(400, said) if name.endswith("3") else reply(200, chat("No"))
    if stage == "generate":
        return reply(200, chat(f"9. Explain {' '.join(support.WORDS[number % 40 :][:6])}."))
    return reply(200, chat("Output: It is so."))


def test_waits_and_refusals_are_logged_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "night.jsonl"

    with scripted_aside() as script:
        script.replies = ByRequest(script, lambda *_: bad_day(script, len(script.asked)))
        done = support.typed(
            *("run", "-o", "run", "-m", "m", "--base-url", script.url, "-n", 4),
            *("--max-concurrency", 2, "--log-file", path, "--log-level", "debug"),
            cwd=tmp_path,
            environ={"OPENAI_API_KEY": KEY},
        )
        assert any(KEY.lower() in headers["authorization"] for headers in script.headers)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    text = path.read_text()
    assert KEY[3:] not in text + said
    assert KEY[-12:] not in text + said
    logged = lines(path)
    (wait,) = [line for line in logged if line["event"] == "wait"]
    assert "503" in wait["problem"]
    assert wait["seconds"] >= 0
    refused = [line for line in logged if line["event"] == "request_failed"]
    assert refused
    assert len(refused) == sum(read_run(tmp_path / "run").state.counts.failed.values())
    for line in refused:
        assert (line["level"], line["stage"], line["status"]) == ("warning", "classify", 400)
        assert line["id"].startswith("classify/task_")
        assert "no, " in line["problem"]


def test_an_outage_and_its_end_are_logged(tmp_path: Path, typed: Callable[..., int]) -> None:
    directory, path = tmp_path / "run", tmp_path / "night.jsonl"
    flags = ["-m", "m", "--base-url", "http://127.0.0.1:9/v1", "--set", "max_attempts=1"]
    assert typed("run", "-o", directory, *flags, "--give-up-after", "1.5s", "--log-file", path) == 4
    logged = lines(path)
    assert [line["event"] for line in logged] == ["run_started", "pause", "finished"]
    assert logged[1]["stage"] == "generate"
    assert "no connection to" in logged[1]["problem"]
    assert 0 < logged[1]["seconds"] <= logged[1]["left_s"] <= 1.5
    assert (logged[2]["level"], logged[2]["reason"], logged[2]["exit_code"]) == (
        "error",
        "failed",
        4,
    )
    assert "no connection to" in logged[2]["detail"]


def test_a_limit_is_logged_with_its_name(
    tmp_path: Path, endpoint: SimulatedEndpoint, typed: Callable[..., int], capsys: Any
) -> None:
    directory, path = tmp_path / "run", tmp_path / "night.jsonl"
    flags = [
        "-m",
        "simulated",
        "--base-url",
        endpoint.base_url,
        "-n",
        100,
        "--set",
        "stall_after=1",
    ]
    # With this threshold, no candidate is novel.
    assert typed("run", "-o", directory, *flags, "-t", "0", "--log-file", path) == 3
    logged = lines(path)
    assert logged[-2]["event"] == "limit_reached"
    assert logged[-2]["limit"] == "stall_after"
    assert (logged[-1]["reason"], logged[-1]["exit_code"]) == ("limit", 3)
    assert f"{directory} stopped (limit stall_after): 0 instructions" in capsys.readouterr().err


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run/journal.jsonl", "run/journal.jsonl: is a file of the run in"),
        ("run/prompts/classify.txt", "is a file of the run in"),
        ("link.jsonl", "link.jsonl: is a file of the run in"),
        ("new/config.yaml", "new/config.yaml: is a file of the run in new"),
        ("none/night.jsonl", "none/night.jsonl: cannot be written (No such file or directory)"),
        (".", "cannot be written (Is a directory); choose a file"),
        ("seeds.jsonl/x", "cannot be written (Not a directory)"),
    ],
)
def test_an_unsuitable_log_file_prevents_the_run(
    tmp_path: Path,
    typed: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    (run / "prompts").mkdir(parents=True)
    for part in ("config.yaml", "journal.jsonl", "run.lock", "prompts/classify.txt"):
        (run / part).write_text("")
    (tmp_path / "link.jsonl").symlink_to("run/journal.jsonl")
    (tmp_path / "seeds.jsonl").write_text("")
    flags = ["-m", "m", "--base-url", "http://127.0.0.1:9/v1", "--log-file", name]
    assert typed("run", "-o", "new", *flags) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert (run / "journal.jsonl").read_text() == ""


def test_the_log_may_be_in_the_run_directory(
    tmp_path: Path, endpoint: SimulatedEndpoint, typed: Callable[..., int]
) -> None:
    path = tmp_path / "run/night.jsonl"
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 1]
    for expected in (1, 2):
        assert typed("run", "-o", tmp_path / "run", *flags, "--log-file", path) == 0
        assert events(path).count("finished") == expected


def test_checking_creates_nothing(tmp_path: Path) -> None:
    check_log_file(tmp_path / "night.jsonl", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="contains a NUL character"):
        check_log_file(tmp_path / "a\0b", tmp_path / "run")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--log-level", "debug"], "add --log-file FILE"),
        (["--log-level", "loud", "--log-file", "x"], "'loud'"),
        (["--preview", "--log-file", "x"], "--preview cannot be combined with"),
    ],
)
def test_contradicting_options_are_refused(
    tmp_path: Path,
    typed: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert typed("run", "-o", tmp_path / "new", "-m", "m", *flags) == 2
    assert said in capsys.readouterr().err


def test_a_failing_log_is_reported_once(
    tmp_path: Path,
    endpoint: SimulatedEndpoint,
    typed: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 3, "--log-level", "debug"]
    assert typed("run", "-o", tmp_path / "run", *flags, "--log-file", "/dev/full") == 0
    said = capsys.readouterr().err
    assert said.count("cannot write the log (No space left on device)") == 1
    assert "the run continues" in said


def test_a_torn_line_spoils_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "night.jsonl"
    path.write_text('{"at":"of a crash')
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with logging_to(path, level=logging.INFO):
            log("first")
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9, limit[1]))
            log("cut")
            log("lost")
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            log("second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    crash, first, cut, second = path.read_text().splitlines()
    assert crash == '{"at":"of a crash'
    assert json.loads(first)["event"] == "first"
    assert len(cut) == 9
    assert json.loads(second)["event"] == "second"
    assert capsys.readouterr().err.count("cannot write the log (File too large)") == 1


def test_logged_text_is_escaped(tmp_path: Path) -> None:
    hostile = 'red \x1b[31m \x9b \u202e \ud800 "\n'
    path = tmp_path / "night.jsonl"
    with logging_to(path, level=logging.INFO):
        log("wait", problem=hostile, path=tmp_path)
    text = path.read_text()
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert text.count("\n") == 1
    assert json.loads(text)["problem"] == hostile


def test_other_handlers_get_the_same_events(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])  # pytest installs handlers
        log("warned", level=logging.WARNING, id="generate/000001")
    # Python prints no warning, although no handler is installed.
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(LOGGER, "handlers", [*LOGGER.handlers, handler])
    log("warned", level=logging.WARNING, id="generate/000001")
    log("informed")
    assert json.loads(stream.getvalue())["id"] == "generate/000001"


def test_the_logger_is_restored(tmp_path: Path) -> None:
    before = LOGGER.level, list(LOGGER.handlers)
    with logging_to(tmp_path / "night.jsonl", level=logging.DEBUG):
        assert any(isinstance(handler, LogFile) for handler in LOGGER.handlers)
    assert (LOGGER.level, list(LOGGER.handlers)) == before
