"""Tests of the end of a run: its last line, and the --on-finish command."""

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE_S, until

from selfinstruct import cli
from selfinstruct.cli import signals
from selfinstruct.cli.on_finish import Ending, run_on_finish
from selfinstruct.errors import JournalError, LimitReachedError
from selfinstruct.pipeline.summary import summarize
from selfinstruct.runner.directory import read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

SAVE = "cat > report.json"
UNTIL = "until test -e"


def start(*arguments: object, cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "run", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def rest_of_stderr(process: "subprocess.Popen[str]") -> str:
    """Wait until the process ends and return the rest of its stderr."""
    try:
        return process.communicate(timeout=PATIENCE_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Return a function that runs `selfinstruct run …` in this process.

    It returns the exit code, stdout and stderr.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["selfinstruct", "run", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert isinstance(left.value.code, int)
        return left.value.code, *capfd.readouterr()

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def report_in(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def journal(folder: Path) -> bytes:
    path = folder / "run/journal.jsonl"
    return path.read_bytes() if path.exists() else b""


def flags(endpoint: SimulatedEndpoint, target: int = 12) -> list[object]:
    return ["-o", "run", "-m", "simulated", "--base-url", endpoint.base_url, "-n", target]


def test_a_complete_run_reports_to_the_command(
    tmp_path: Path, run: Run, endpoint: SimulatedEndpoint
) -> None:
    command = f"{SAVE}; echo to stdout; echo to stderr >&2; exit 7"
    code, out, err = run(*flags(endpoint), "--json", "--on-finish", command)
    assert code == 0  # the exit code of the command does not matter
    report = report_in(tmp_path)
    assert {name: report[name] for name in ("directory", "reason", "exit_code", "detail")} == {
        "directory": str(tmp_path / "run"),
        "reason": "complete",
        "exit_code": 0,
        "detail": "",
    }
    assert report["summary"] == json.loads(out)  # stdout contains only the summary
    lines = err.splitlines()
    assert lines[-4:-1] == [
        "to stdout",
        "to stderr",
        "selfinstruct: the --on-finish command failed (exit 7)",
    ]
    summary = summarize(read_run(tmp_path / "run").state)
    beginning = (
        f"selfinstruct: run complete: {summary.accepted} instructions, {summary.rows} rows, "
        f"{sum(summary.requests.values())} requests, "
    )
    assert lines[-1].startswith(beginning)
    # The summary comes before the last line.
    assert "run complete:" in err.removesuffix(lines[-1] + "\n")
    assert sum(line.startswith("selfinstruct: run ") for line in lines) == 1

    # The --on-finish command also runs if the run was already complete.
    (tmp_path / "report.json").unlink()
    code, _, err = run("run", "--on-finish", SAVE)
    assert (code, report_in(tmp_path)["reason"]) == (0, "complete")
    assert err.splitlines()[-1].startswith("selfinstruct: run complete: ")


def test_the_run_is_closed_when_the_command_runs(
    tmp_path: Path, run: Run, endpoint: SimulatedEndpoint
) -> None:
    again = f"cat > report.json; {sys.executable} -m selfinstruct run run -n 14 --json > again.json"
    code, _, err = run(*flags(endpoint), "--on-finish", again)
    assert code == 0, err
    assert json.loads((tmp_path / "again.json").read_text())["accepted"] >= 14


def test_an_endpoint_that_gives_up_is_reported(tmp_path: Path, run: Run) -> None:
    code, _, err = run(
        *("-o", "run", "-m", "m", "--base-url", "http://127.0.0.1:9/v1", "--set", "max_attempts=1"),
        *("--give-up-after", 0, "--on-finish", SAVE),
    )
    report = report_in(tmp_path)
    assert (code, report["exit_code"], report["reason"]) == (4, 4, "failed")
    assert "no connection to" in report["detail"]
    assert f"selfinstruct: {report['detail']}" in err.splitlines()
    assert err.splitlines()[-1].startswith(
        "selfinstruct: run stopped (gave up on the endpoint): 0 instructions"
    )


def test_a_limit_is_reported(tmp_path: Path, run: Run, endpoint: SimulatedEndpoint) -> None:
    limits = ["-t", 0, "--set", "stall_after=1"]
    code, _, err = run(*flags(endpoint), *limits, "--on-finish", SAVE)
    report = report_in(tmp_path)
    assert (code, report["exit_code"], report["reason"]) == (3, 3, "limit")
    assert "yielded a new instruction" in report["detail"]
    assert "selfinstruct: run stopped (limit stall_after): " in err.splitlines()[-1]
    assert err.endswith("To continue: selfinstruct run run --set stall_after=MORE\n")


def test_a_failed_journal_is_reported(
    tmp_path: Path, run: Run, endpoint: SimulatedEndpoint
) -> None:
    # A limit on the size of files has the same effect as a full disk.
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limit[1]))
    try:
        code, _, err = run(*flags(endpoint, 200), "--on-finish", SAVE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    report = report_in(tmp_path)
    assert (code, report["exit_code"], report["reason"]) == (1, 1, "failed"), err
    assert "run/journal.jsonl: cannot be written (File too large)" in report["detail"]
    assert err.splitlines()[-1].startswith("selfinstruct: run stopped (failed): ")


def test_ctrl_c_does_not_reach_the_command(
    tmp_path: Path,
) -> None:
    with SimulatedEndpoint(latency_ms=(200, 300)) as endpoint:
        process = start(
            *flags(endpoint, 1000),
            *("--on-finish", f"{SAVE}; {UNTIL} go; do sleep 0.01; done; echo > done"),
            *("--log-file", "night.jsonl", "--log-level", "debug"),
            cwd=tmp_path,
            start_new_session=True,
        )
        with process:
            until(lambda: b"received" in journal(tmp_path))
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
            until((tmp_path / "report.json").exists)
            os.killpg(process.pid, signal.SIGINT)  # meant for the run
            (tmp_path / "go").touch()
            err = rest_of_stderr(process)
    assert process.returncode == 130, err
    report = report_in(tmp_path)
    assert (report["reason"], report["exit_code"], report["detail"]) == ("interrupted", 130, "")
    assert report["summary"]["requests"]
    assert (tmp_path / "done").exists()
    assert err.splitlines()[-1].startswith("selfinstruct: run stopped (interrupted): ")
    logged = [json.loads(line) for line in (tmp_path / "night.jsonl").read_text().splitlines()]
    asked = [line for line in logged if line["event"] == "stop_asked"]
    assert [(line["signal"], line["at_once"]) for line in asked] == [("SIGINT", False)]
    assert [line["event"] for line in logged[-2:]] == ["finished", "on_finish_ended"]
    assert logged[-1]["exit_code"] == 0


def test_a_second_signal_still_runs_the_command(tmp_path: Path) -> None:
    simulate = [sys.executable, "-m", "selfinstruct", "simulate", "--port", "0"]
    with subprocess.Popen(
        [*simulate, "--latency-ms", "60000"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        arguments = ["-o", "run", "-m", "simulated", "--base-url", url, "--on-finish", SAVE]
        with start(*arguments, cwd=tmp_path) as process:
            assert process.stderr is not None
            until(lambda: b"run_started" in journal(tmp_path))
            process.send_signal(signal.SIGTERM)
            while "after the requests in flight finish" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            rest_of_stderr(process)
        server.kill()
    assert process.returncode == 130
    assert report_in(tmp_path)["reason"] == "interrupted"


# Once a command has read all of its stdin, the run forwards signals to it.
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_ends_an_endless_command(
    run: Run, endpoint: SimulatedEndpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(signals, "_SAME_KEY_PRESS_S", 0.0)
    command = f"{SAVE}; kill -{name} $PPID; exec sleep 600"
    code, _, err = run(*flags(endpoint, 3), "--on-finish", command)
    assert code == 0
    assert "the --on-finish command failed (ended by SIGTERM)" in err
    assert err.splitlines()[-1].startswith("selfinstruct: run complete: ")


def test_a_second_ctrl_c_spares_the_command(
    run: Run, endpoint: SimulatedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_SAME_KEY_PRESS_S", math.inf)
    command = f"{SAVE}; kill -INT $PPID; kill -INT $PPID; exit 7"
    code, _, err = run(*flags(endpoint, 3), "--on-finish", command)
    assert code == 0
    assert "the --on-finish command failed (exit 7)" in err


def test_the_second_signal_kills_a_deaf_command(run: Run, endpoint: SimulatedEndpoint) -> None:
    # Repeat the signal, because the system merges signals that arrive at almost the same time.
    command = f"trap '' TERM; {SAVE}; while kill -TERM $PPID; do sleep 0.1; done"
    code, _, err = run(*flags(endpoint, 3), "--on-finish", command)
    assert code == 0
    assert "failed (ended by SIGKILL)" in err


def test_background_processes_do_not_delay_the_end(
    run: Run, endpoint: SimulatedEndpoint, tmp_path: Path
) -> None:
    command = f"exec <&-; ({UNTIL} over; do sleep 0.1; done) >/dev/null 2>&1 &"
    # The run ends without waiting for the background process.
    code, _, err = run(*flags(endpoint, 3), "--on-finish", command)
    (tmp_path / "over").touch()
    assert code == 0, err
    assert "--on-finish failed" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "run"], "model: is missing"),
        (["-o", "run", "-m", "m", "-t", "7"], "threshold: must be between"),
        (["none.yaml"], "none.yaml does not exist"),
        (["-o", "run", "-m", "m", "--on-finish", " "], "--on-finish requires a command"),
    ],
)
def test_no_command_runs_if_no_run_started(
    tmp_path: Path, run: Run, arguments: list[str], said: str
) -> None:
    all_arguments = arguments if "--on-finish" in arguments else [*arguments, "--on-finish", SAVE]
    code, _, err = run(*all_arguments)
    assert code == 2
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


# ── the ending ───────────────────────────────────────────────────────────────────────────────────────────


def ending(tmp_path: Path, endpoint: SimulatedEndpoint, **changes: Any) -> Ending:
    from selfinstruct.api import run as run_from_python

    settings = {"model": "simulated", "base_url": endpoint.base_url, "num_instructions": 3}
    summary = run_from_python(tmp_path / "run", settings)
    fields: dict[str, Any] = {
        "directory": tmp_path / "run",
        "summary": summary,
        "is_complete": False,
        "failure": None,
        "took_s": 7500.0,
        "is_continued": False,
        "again": "selfinstruct run my-run",
    }
    return Ending(**(fields | changes))


def test_the_last_line_is_complete(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    failure = LimitReachedError("max_cost", "$5.00 are spent")
    line = ending(tmp_path, endpoint, failure=failure).line()
    assert re.fullmatch(
        rf"selfinstruct: {tmp_path}/run stopped \(limit max_cost\): \d+ instructions, \d+ rows?, "
        r"\d+ requests, [\d,]+ tokens, (\$.*, )?2 h 5 min\. To continue: selfinstruct run my-run "
        r"--max-cost MORE",
        line,
    )
    assert "2 h 5 min this time. To" in ending(tmp_path, endpoint, is_continued=True).line()
    complete = ending(tmp_path, endpoint, is_complete=True, took_s=0.1)
    assert "To continue" not in complete.line()
    assert " s" not in complete.line().rpartition(",")[2]
    assert (complete.exit_code, complete.reason) == (0, "complete")


def test_an_unexpected_error_shows_its_type_only(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    crashed = ending(tmp_path, endpoint, failure=KeyError("what a model wrote"))
    assert (crashed.exit_code, crashed.reason, crashed.detail) == (1, "failed", "KeyError")
    broken = ending(tmp_path, endpoint, failure=JournalError(Path("j"), "is broken"))
    assert (broken.exit_code, broken.detail) == (1, "j: is broken")


def test_a_missing_shell_is_reported(
    tmp_path: Path,
    endpoint: SimulatedEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "Popen", none)
    assert run_on_finish("true", ending(tmp_path, endpoint)) is None
    assert "the --on-finish command did not start" in capsys.readouterr().err
