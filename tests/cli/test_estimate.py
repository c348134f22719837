"""Tests of `selfinstruct estimate`, and of the cost that `run` announces and asks about."""

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_server import chat, reply, scripted_aside
from support import ROOT, ScriptedBackend, Told, typed
from waiting import PATIENCE_S

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.simulate.server.listening import SimulatedEndpoint

ENVIRON = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
NOWHERE = "http://127.0.0.1:9/v1"
PRICED = ["--price-input", 0.4, "--price-output", 1.6]
MODEL = ["-m", "gpt-4.1-mini"]


def arguments(*given: object) -> list[str]:
    return [sys.executable, "-m", "selfinstruct", *map(str, given)]


def command(*given: object, cwd: Path) -> Told:
    return typed(*given, cwd=cwd, environ={"COLUMNS": "80"})


def here(*given: object) -> tuple[int, str, str]:
    """Run a command in the current directory and return its exit code, stdout and stderr."""
    done = typed(*given, environ={"COLUMNS": "80"})
    return done.returncode, done.stdout, done.stderr


def plain(text: str) -> str:
    return " ".join(text.split())


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_documented_example_is_true_at_80_columns(tmp_path: Path) -> None:
    page = (ROOT / "docs/guides/estimate.md").read_text(encoding="utf-8")
    example = page.partition("-n 52000\n")[2].partition("```")[0]
    line = arguments("estimate", "-m", "gpt-5.4-mini", "-n", 52000)
    environ = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    for part in example.split("…\n"):
        assert part in done.stdout
    assert all(len(line) <= 80 or line.startswith("https://") for line in done.stdout.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_alpaca_is_shown_with_its_one_stage() -> None:
    _, out, _ = here("estimate", *MODEL, "-n", 300, "--recipe", "alpaca")
    assert out.startswith("300 instructions: $")
    assert "classify" not in out
    assert "in all" not in out


@pytest.mark.parametrize(
    ("flags", "first_line"),
    [
        (["--base-url", "https://gateway.example/v1"], "cost unknown: add --price-input and --pr"),
        (["--base-url", NOWHERE, "--free"], "free, "),
        (["--base-url", NOWHERE, *PRICED], "$0."),
    ],
)
def test_the_first_line_is_the_answer(flags: list[object], first_line: str) -> None:
    code, out, _ = here("estimate", "-m", "m", "-n", 500, *flags)
    assert code == 0
    assert out.startswith(f"500 instructions: {first_line}")


def test_json_numbers_have_units_in_their_names() -> None:
    _, out, _ = here("estimate", *MODEL, "-n", 1000, "--json")
    found = json.loads(out)
    assert found["base_url"] == "https://api.openai.com/v1"
    assert [stage["stage"] for stage in found["stages_left"]] == [
        "generate",
        "classify",
        "instances",
    ]
    for end in ("low", "expected", "high"):
        by_stage = sum(stage["usd"][end] for stage in found["stages_left"])
        assert by_stage == pytest.approx(found["left"]["usd"][end], abs=1e-5)
        assert found["batch_usd_left"][end] == pytest.approx(
            found["left"]["usd"][end] / 2, abs=1e-5
        )
    assert found["price"]["input_usd_per_million_tokens"] == 0.4
    assert found["price"]["as_of"] == "2025-07-04"
    assert found["probe"] is None
    assert found["assumptions"]["acceptance"]["basis"] == "assumed"


def test_an_address_in_the_environment_changes_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    _, out, _ = here("estimate", *MODEL, "--json")
    assert json.loads(out)["price"] is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["-m", "qwen3", "--base-url", NOWHERE, "--max-cost", 5],
            "max_cost: needs a price, but the price of qwen3 at 127.0.0.1 is unknown; add --price-input",
        ),
        (["-m", "qwen3", "--price-output", 5], "price_input: is missing, and the price of qwen3"),
        ([], "model: is missing"),
        ([*MODEL, "--probe", 0], "Invalid value for '--probe'"),
        ([*MODEL, "--probe", 1], "$OPENAI_API_KEY is not set"),
        (["none.yaml"], "does not exist"),
    ],
)
def test_bad_input_exits_2_with_a_remedy(flags: list[object], said: str) -> None:
    code, out, err = here("estimate", *flags)
    assert (code, out) == (2, "")
    assert said in plain(err.replace("│", " "))


def test_a_limit_below_the_target_is_announced() -> None:
    _, out, _ = here("estimate", *MODEL, "-n", 52000, "--max-cost", 5)
    assert "max_cost, $5.00, will probably stop the run at about 6," in plain(out)
    _, out, _ = here("estimate", *MODEL, "-n", 1000, "--max-cost", 5)
    assert "max_cost" not in out
    _, out, _ = here("estimate", *MODEL, "-n", 1000, "--max-requests", 300)
    assert "max_requests, 300, will probably stop the run at about 1" in plain(out)


def test_an_existing_run_is_estimated_and_unchanged(tmp_path: Path, config: RunConfig) -> None:
    config = config.changed(base_url=NOWHERE, price_input=0.4, price_output=1.6)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    code, out, _ = here("estimate", tmp_path / "run", "-n", 100)
    assert code == 0
    assert " more instructions: $0." in out.splitlines()[0]
    assert "So far: " in out
    assert "measured in " in out
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before
    _, out, _ = here("estimate", tmp_path / "run", "--json")
    found = json.loads(out)
    assert found["left"]["requests"] == {"low": 0, "expected": 0, "high": 0}
    assert found["total"]["usd"]["low"] == found["total"]["usd"]["high"] == found["so_far"]["usd"]


# ── the probe ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_probe_reports_its_cost_and_writes_nothing(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 1000, *PRICED]
    done = command("estimate", *flags, "--probe", 3, "-o", "new", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "measured in 3 replies" in done.stdout
    # One of the tasks may need a second classification request.
    assert any(f"The probe took {n} requests, " in done.stdout for n in (9, 10, 11))
    assert "its replies are not kept." in plain(done.stdout)
    assert list(tmp_path.iterdir()) == []
    found = json.loads(here("estimate", *flags, "--probe", 3, "--json")[1])
    assert found["probe"]["requests"] in (9, 10, 11)
    assert 0 < found["probe"]["usd"] < 0.01


def test_a_refused_probe_exits_4_with_its_cost() -> None:
    refusal = reply(400, {"error": {"message": "'temperature' is not supported"}})
    listed = reply(body=chat("9. Name three rivers of Europe that flow north."))

    with scripted_aside(listed, refusal) as script:
        code, out, err = here("estimate", "-m", "m", "--base-url", script.url, "--probe", 1)
    assert (code, out) == (4, "")
    assert "'temperature' is not supported" in plain(err)
    assert "The probe took 1 request, " in plain(err)
    assert "Nothing was written." in err
    assert "Traceback" not in err


def test_a_probe_of_an_unreachable_endpoint_exits_4() -> None:
    flags = ["-m", "m", "--base-url", NOWHERE, "--set", "max_attempts=1", "--give-up-after", 0]
    code, _, err = here("estimate", *flags, "--probe", 2)
    assert code == 4
    assert "no connection to" in err


# ── what run says and asks ───────────────────────────────────────────────────────────────────────────────


def on_a_terminal(*given: object, cwd: Path, answer: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal and type an answer. Return the exit code and the output."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        arguments(*given),
        stdin=child,
        stdout=child,
        stderr=child,
        cwd=cwd,
        env=ENVIRON,
        start_new_session=True,
        # Otherwise, a typed ^C would not reach the process.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
    )
    os.close(child)
    said, answered_at, gives_up_at = b"", 0.0, time.monotonic() + PATIENCE_S
    while time.monotonic() < gives_up_at:
        if select.select([parent], [], [], 0.1)[0]:
            try:
                part = os.read(parent, 65536)
            except OSError:  # the process has closed its end of the terminal
                break
            if not part:
                break
            said += part
        # If ^C arrives just before the read starts, it takes effect only with the next key.
        is_unheard = answer == "\x03" and time.monotonic() - answered_at > 1
        if b"[y/N]" in said and (not answered_at or is_unheard):
            answered_at = time.monotonic()
            os.write(parent, answer.encode())
    code = process.wait(timeout=PATIENCE_S)
    os.close(parent)
    return code, said.decode(errors="replace")


def flags_of(endpoint: SimulatedEndpoint, **more: Any) -> list[object]:
    settings = {
        "set": "confirm_above=0.000001",
        "base-url": endpoint.base_url,
        "num-instructions": 4,
    }
    flags = [part for name, value in (settings | more).items() for part in (f"--{name}", value)]
    return ["-m", "simulated", *PRICED, *flags]


def test_a_yes_starts_the_run(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    code, said = on_a_terminal("run", "-o", "new", *flags_of(endpoint), cwd=tmp_path, answer="y\n")
    assert "expected: 4 instructions: $0.00" in said
    assert "Continue? [y/N]" in said
    assert code == 0
    assert (tmp_path / "new/journal.jsonl").exists()


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "\x03"], ids=["no", "enter", "end", "^C"])
def test_any_other_answer_starts_nothing(
    tmp_path: Path, endpoint: SimulatedEndpoint, answer: str
) -> None:
    code, said = on_a_terminal("run", "-o", "new", *flags_of(endpoint), cwd=tmp_path, answer=answer)
    assert "Continue? [y/N]" in said
    assert code == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_continued_run_asks_about_the_rest(
    tmp_path: Path, config: RunConfig, endpoint: SimulatedEndpoint
) -> None:
    made = config.changed(model="simulated", base_url=endpoint.base_url, num_instructions=4)
    run(tmp_path / "run", made, backend=ScriptedBackend())
    more = [*PRICED, "-n", 30, "--set", "confirm_above=0"]
    before = (tmp_path / "run/journal.jsonl").read_bytes()
    code, said = on_a_terminal("run", "run", *more, cwd=tmp_path, answer="n\n")
    assert code == 130
    assert " more instructions: $" in said
    assert (tmp_path / "run/journal.jsonl").read_bytes() == before
    done = command("run", "run", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "expected: " in done.stderr
    # For a complete run, no cost is announced.
    assert "expected: " not in command("run", "run", *PRICED, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("flags", "threshold"), [(["--yes"], 1e-6), (["-y"], 1e-6), ([], 1), (["--free"], 1e-6)]
)
def test_yes_or_a_low_cost_skips_the_question(
    tmp_path: Path, endpoint: SimulatedEndpoint, flags: list[object], threshold: float
) -> None:
    asked = typed(
        "run", "-o", "new", *flags_of(endpoint), cwd=tmp_path, stdin=b"n\n", on_a_terminal=True
    )
    assert "Continue? [y/N]" in asked.stderr
    assert asked.returncode == 130
    given = ["run", "-o", "new", *flags_of(endpoint, set=f"confirm_above={threshold:.6f}"), *flags]
    done = typed(*given, cwd=tmp_path, stdin=b"n\n", on_a_terminal=True)
    assert "expected: " in done.stderr
    assert "Continue?" not in done.stdout + done.stderr
    assert done.returncode == 0


def test_no_question_without_a_terminal(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    done = command("run", "-o", "new", *flags_of(endpoint), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "expected: 4 instructions: $0.00" in done.stderr
    assert "Continue?" not in done.stderr


def test_max_cost_without_a_price_makes_no_directory(tmp_path: Path) -> None:
    done = command(
        "run", "-o", "new", "-m", "qwen3", "--base-url", NOWHERE, "--max-cost", 5, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "max_cost: needs a price" in plain(done.stderr)
    assert "--price-input and --price-output" in plain(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_announces_no_cost(tmp_path: Path) -> None:
    done = command("demo", "-n", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "expected: " not in done.stderr
