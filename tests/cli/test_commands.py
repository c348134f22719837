"""Tests of each command's output, messages and exit codes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rouge_score import rouge_scorer
from support import ROOT, ScriptedBackend, command, make_seed_task, scripted_text, typed
from waiting import PATIENCE_S

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import RunStarted
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Request
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

NEW = ["-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run that tests must not change."""
    place = tmp_path_factory.mktemp("finished")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=12, seed_tasks=place / "seeds.jsonl")
    run(place / "run", config, backend=ScriptedBackend())
    return place / "run"


def test_set_takes_any_setting(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("show_input: true\nstall_after: 5\n")
    settings = ["show_input=false", "generate-temperature=null", "max_time_s=8h", "api_key_env=X"]
    sets = [part for setting in settings for part in ("--set", setting)]
    flags = [*NEW[2:], "--give-up-after", 0, "--set", "max_attempts=1"]
    done = typed("run", "run.yaml", "-o", "out", *flags, *sets, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    stored = yaml.safe_load((tmp_path / "out/config.yaml").read_text())["settings"]
    assert (stored["show_input"], stored["stall_after"], stored["max_attempts"]) == (False, 5, 1)
    assert (stored["generate_temperature"], stored["api_key_env"]) == (None, "X")
    assert stored["max_time_s"] == 28800


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        (["--set", "treshold=1"], "treshold"),
        (["--set", "threshold"], "--set"),
        (["--set", "threshold=high"], "threshold"),
        (["--set", "max_attempts=[1"], "max_attempts"),
        (["--set", "seed=1", "--set", "seed=1"], "seed is given twice"),
        (["--set", "threshold=0.5", "-t", 0.5], "threshold is given twice"),
    ],
)
def test_set_refuses_what_is_no_setting(tmp_path: Path, flags: list[object], place: str) -> None:
    done = typed("run", *NEW, *flags, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert place in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_shown() -> None:
    assert command("--version").stdout.startswith("selfinstruct 0.")


def test_the_demo_needs_no_key(tmp_path: Path) -> None:
    done = typed("demo", "-n", 12, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "demo-run/exports/alpaca_data.json").read_text())
    assert len(rows) >= 6
    assert all(set(row) == {"instruction", "input", "output"} for row in rows)
    for word in (
        "requests",
        "candidates",
        "accepted",
        "with instances",
        "selfinstruct run -o my-run",
    ):
        assert word in done.stderr
    assert done.stderr.count("  instruction  ") == 3
    # Running the demo again changes no files.
    again = typed("demo", "-n", 12, cwd=tmp_path)
    assert again.returncode == 0
    assert "is complete" in again.stderr


def test_flags_override_the_settings_file(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    (tmp_path / "run.yaml").write_text(
        f"model: simulated\nbase-url: {endpoint.base_url}\nnum_instructions: 3\nthreshold: 0.6\n"
    )
    done = typed("run", "run.yaml", "-o", "out", "--num_instructions", 5, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["accepted"] >= 5
    assert summary["candidates"] == summary["accepted"] + sum(summary["rejected"].values())
    # Continuing a complete run needs no settings and changes no files.
    again = typed("run", "out", cwd=tmp_path)
    assert again.returncode == 0
    assert "is complete" in again.stderr
    # The run continues to a larger target and records it.
    assert typed("run", "out", "-n", 19, cwd=tmp_path).returncode == 0
    status = json.loads(typed("status", "out", "--json", cwd=tmp_path).stdout)
    assert status["target"] == 19
    assert status["accepted"] >= 19
    assert status["condition"] == "complete"
    changed = typed("run", "out", "--threshold", 0.8, cwd=tmp_path)
    assert changed.returncode == 2
    assert "threshold is 0.6 in the run, but 0.8 was given" in changed.stderr


def test_a_missing_endpoint_is_exit_4(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    flags = ["-m", "simulated", "-n", 3, "--set", "max_attempts=1", "--give-up-after", 0]
    done = typed("run", "-o", "out", *flags, "--base-url", "http://127.0.0.1:9/v1", cwd=tmp_path)
    assert done.returncode == 4
    assert "no connection to http://127.0.0.1:9/v1" in done.stderr
    assert "To continue: selfinstruct run out" in done.stderr
    assert "Traceback" not in done.stderr
    # The address is an operational setting, so it may change.
    again = typed("run", "out", "--base-url", endpoint.base_url, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_second_process_is_refused(tmp_path: Path, config: RunConfig) -> None:
    with open_run(tmp_path / "run", config):
        done = command("run", tmp_path / "run")
        assert done.returncode == 2
        assert f"process {os.getpid()} is writing to this run" in done.stderr
        status = command("status", tmp_path / "run")
    assert status.returncode == 0
    assert f"running (process {os.getpid()})" in status.stdout


def test_status_shows_the_funnel(finished: Path) -> None:
    done = typed("status", finished)
    assert done.returncode == 0
    assert "complete, " in done.stdout
    assert "not novel" in done.stdout
    summary = json.loads(typed("status", finished, "--json").stdout)
    assert summary["rejected"]["not_novel"] > 0
    assert "kind unclear" not in done.stdout


def test_status_counts_tasks_of_unclear_kind(tmp_path: Path, config: RunConfig) -> None:
    def write(request: Request) -> str:
        return "Go on." if request.stage == "classify" else scripted_text(request)

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    told = typed("status", tmp_path / "run").stdout
    number = read_run(tmp_path / "run").state.accepted
    assert f"kind unclear {number} treated as not a classification task" in " ".join(told.split())


def test_export_writes_the_formats_and_trims_tasks(finished: Path, tmp_path: Path) -> None:
    assert typed("export", finished, "-o", tmp_path / "a.json").returncode == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert all(list(row) == ["instruction", "input", "output"] for row in rows)

    done = typed("export", finished, "-o", tmp_path / "b.jsonl", "-f", "jsonl", "--limit", 5)
    assert done.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert {line["task_id"] for line in lines} <= {f"task_{n:06d}" for n in range(1, 6)}
    assert all(len(line["demonstration_ids"]) == 8 for line in lines)
    assert f"wrote {len(lines)} rows" in done.stderr

    piped = typed("export", finished, "-o", "-")
    assert piped.stdout == (tmp_path / "a.json").read_text()

    typed("export", finished, "-o", tmp_path / "c.json", "--include-seed-tasks")
    with_seeds = json.loads((tmp_path / "c.json").read_text())
    assert len(with_seeds) == len(rows) + 10
    assert with_seeds[10:] == rows


def test_pipes_and_links_are_not_replaced(finished: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    assert typed("export", finished, "-o", link).returncode == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())
    assert typed("export", finished, "-o", os.devnull).returncode == 0
    assert not Path(os.devnull).is_file()


def test_export_adds_the_similarities_of_the_published_data(finished: Path, tmp_path: Path) -> None:
    for name in ("alpaca", "jsonl"):
        done = typed(
            "export",
            finished,
            "-o",
            tmp_path / name,
            "-f",
            name,
            "--similarities",
            "--include-seed-tasks",
        )
        assert done.returncode == 0, done.stderr
    plain = json.loads((tmp_path / "alpaca").read_text())
    rows = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert len(plain) == len(rows)
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    for row, same in zip(rows, plain, strict=True):
        assert list(same) == [
            "instruction",
            "input",
            "output",
            "most_similar_instructions",
            "avg_similarity_score",
        ]
        assert same.items() <= row.items()
    # The pool before the last task has all seed tasks and all accepted tasks, with or without a row.
    pool = [t.instruction for t in read_run(finished).state.pool]
    last = rows[-1]
    before = pool[: pool.index(last["instruction"])]
    scores = [scorer.score(text, last["instruction"])["rougeL"].fmeasure for text in before]
    assert last["avg_similarity_score"] == pytest.approx(sum(scores) / len(scores), abs=1e-12)
    assert list(last["most_similar_instructions"].values()) == sorted(scores, reverse=True)[:10]


def test_a_run_without_rows_replaces_no_dataset(tmp_path: Path, config: RunConfig) -> None:
    with open_run(tmp_path / "run", config):
        pass
    (tmp_path / "data.json").write_text("old")
    for output in ("-", tmp_path / "data.json"):
        done = typed("export", tmp_path / "run", "-o", output)
        assert (done.returncode, done.stdout) == (2, "")
        assert "has no rows yet: none of its 0 instructions has instances" in done.stderr
    assert (tmp_path / "data.json").read_text() == "old"


def test_exporting_an_unfinished_run_warns(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", replace(config, num_instructions=3), backend=ScriptedBackend())
    with open_run(tmp_path / "run", {"num_instructions": 12}) as opened:
        assert opened.journal is not None
        started = RunStarted(versions={}, settings={"num_instructions": 12})
        opened.journal.append(started)
    done = typed("export", tmp_path / "run", "-o", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)
    assert "is not complete yet: 3 of 12 instructions" in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_closed_terminal_ends_no_run(tmp_path: Path, redirection: str) -> None:
    line = f"{sys.executable} -m selfinstruct demo -n 3 {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert done.returncode == 0
    assert (tmp_path / "demo-run/exports/alpaca_data.json").stat().st_size > 100


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full"])
def test_a_closed_stdout_is_exit_1(finished: Path, redirection: str) -> None:
    for arguments in (f"status {finished}", f"export {finished} -o -"):
        line = f"{sys.executable} -m selfinstruct {arguments} {redirection}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert done.returncode == 1 or (redirection == ">&-" and "status" in arguments)


def test_a_failed_export_leaves_the_target(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder.json"
    target.mkdir()
    done = typed("export", finished, "-o", target)
    assert done.returncode == 1
    assert "folder.json: cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_model_output_is_escaped() -> None:
    """Control characters in a reply are escaped."""
    from selfinstruct.cli.summary_lines import record_lines
    from selfinstruct.display import visible

    evil = "a\x1b[2J\x9b31m\u202eb\x07\rc"
    shown = "\n".join(record_lines([{"instruction": evil, "input": "", "output": evil}]))
    for text in (shown, visible(evil)):
        assert not any(char in text for char in "\x1b\x9b\u202e\x07\r")
    assert "\\x1b[2J" in shown


def test_simulate_serves_until_terminated(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "simulate", "--port", "0", "--log", str(log)],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        flags = ["-m", "simulated", "--base-url", url, "-n", 2]
        done = command("run", "-o", "out", *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        taken = typed("simulate", "--port", url.split(":")[2].split("/")[0])
        server.terminate()
        assert server.wait(timeout=PATIENCE_S) == 0
    assert taken.returncode == 2
    assert "choose another with --port" in taken.stderr
    assert len(log.read_text().splitlines()) > 4


def test_the_key_is_never_written(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    done = typed(
        "run", "-o", "out", "-m", "simulated", "--base-url", endpoint.base_url, "-n", 2,
        cwd=tmp_path, environ={"OPENAI_API_KEY": "sk-very-secret"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sk-very-secret" not in done.stdout + done.stderr
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"sk-very-secret" not in path.read_bytes()


def test_the_command_starts_in_any_directory() -> None:
    assert (ROOT / "prompts").is_dir()
    assert command("--help", cwd=Path("/")).returncode == 0
