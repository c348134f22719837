"""Each command: what it prints where, and how it exits."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rouge_score import rouge_scorer
from support import ROOT, ScriptedBackend, make_seed_task, scripted_text, typed
from waiting import PATIENCE_S

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.events import RunStarted
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Request
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

NEW = ["-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1"]
COMMANDS = [
    "run",
    "doctor",
    "estimate",
    "demo",
    "simulate",
    "status",
    "export",
    "parse",
    "explain",
    "verify",
    "filter",
    "refilter",
    "import",
    "decontaminate",
]


def command(
    *arguments: object, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **(environ or {})},
        timeout=PATIENCE_S,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, which tests only read."""
    place = tmp_path_factory.mktemp("finished")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=12, seed_tasks=place / "seeds.jsonl")
    run(place / "run", config, backend=ScriptedBackend())
    return place / "run"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str) -> None:
    done = typed(name, "--help")
    assert done.returncode == 0
    assert f"selfinstruct {name}" in done.stdout.split("Usage:")[1].replace("Usage", "", 1)
    assert "Example" in done.stdout


def test_help_of_run_has_a_flag_for_every_setting() -> None:
    text = typed("run", "--help").stdout
    for name in RunConfig.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text


def test_help_of_run_can_be_read_at_80_columns() -> None:
    text = typed("run", "--help", environ={"COLUMNS": "80"}).stdout
    for name in RunConfig.__dataclass_fields__:
        assert f"--{name.replace('_', '-')} " in text
    assert "alpaca: none" in " ".join(text.replace("│", " ").split())


def test_a_switch_of_a_file_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("show_input: true\nclassification_seeds_only: true\n")
    flags = [*NEW[2:], "--max-attempts", 1, "--give-up-after", 0]
    done = typed("run", "run.yaml", "-o", "out", *flags, "--no-show-input", cwd=tmp_path)
    assert done.returncode == 4
    stored = (tmp_path / "out/config.yaml").read_text()
    assert "show_input: false" in stored
    assert "classification_seeds_only: true" in stored
    both = typed("run", "-o", "new", *flags, "--show-input", "--no-show-input", cwd=tmp_path)
    assert both.returncode == 2
    assert "contradict each other" in both.stderr


def test_the_version_is_shown() -> None:
    assert command("--version").stdout.startswith("selfinstruct 0.")


def test_the_demo_runs_the_whole_pipeline_without_a_key(tmp_path: Path) -> None:
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
    # And again, which changes nothing.
    again = typed("demo", "-n", 12, cwd=tmp_path)
    assert again.returncode == 0
    assert "is complete" in again.stderr


def test_a_run_takes_settings_from_a_file_and_flags_win(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    (tmp_path / "run.yaml").write_text(
        f"model: simulated\nbase-url: {endpoint.base_url}\nnum_instructions: 3\nthreshold: 0.6\n"
    )
    done = typed("run", "run.yaml", "-o", "out", "--num_instructions", 5, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["accepted"] >= 5
    assert summary["candidates"] == summary["accepted"] + sum(summary["rejected"].values())
    # The directory alone suffices from now on, and says that there is nothing to do.
    again = typed("run", "out", cwd=tmp_path)
    assert again.returncode == 0
    assert "is complete" in again.stderr
    # A larger target goes on, and is remembered.
    assert typed("run", "out", "-n", 19, cwd=tmp_path).returncode == 0
    status = json.loads(typed("status", "out", "--json", cwd=tmp_path).stdout)
    assert status["target"] == 19
    assert status["accepted"] >= 19
    assert status["condition"] == "complete"
    changed = typed("run", "out", "--threshold", 0.8, cwd=tmp_path)
    assert changed.returncode == 2
    assert "threshold is 0.6 there, 0.8 was given" in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "say where the run goes: -o DIR"),
        (["run", "-o", "new"], "model: is missing; name the model"),
        (["run", "-o", "new", "-m", "m"], "$OPENAI_API_KEY is not set"),
        (["run", "-o", "new", "-m", "m", "-t", "7"], "threshold: must lie between 0 and 1, not 7"),
        (["run", "-o", "new", "-m", "m", "--treshold", "1"], "No such option: --treshold"),
        (["run", *NEW, "--seed-tasks", "no.jsonl"], "no.jsonl: cannot be read"),
        (
            ["run", *NEW, "--api-key-env", "sk-proj-1"],
            "must be the name of an environment variable",
        ),
        (["run", *NEW, "--generate-temperature", "nan"], "must be a finite number"),
        (["run", *NEW, "--num-instructions", "lots"], "Invalid value for '--num-instructions'"),
        (["run", "none.yaml"], "none.yaml does not exist; a new run is started with -o DIR"),
        (["run", "none.yaml", "-o", "new"], "none.yaml does not exist"),
        (["status", "none"], "none: does not exist"),
        (["status", "."], "is not a run directory"),
        (["export", "none", "-o", "x.json"], "none: does not exist"),
        (["simulate", "--latency-ms", "fast"], "expected milliseconds"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = typed(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "new").exists()


def test_an_endpoint_that_is_not_there_is_exit_4_and_the_run_can_go_on(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    flags = ["-m", "simulated", "-n", 3, "--max-attempts", 1, "--give-up-after", 0]
    done = typed("run", "-o", "out", *flags, "--base-url", "http://127.0.0.1:9/v1", cwd=tmp_path)
    assert done.returncode == 4
    assert "no connection to http://127.0.0.1:9/v1" in done.stderr
    assert "To continue: selfinstruct run out" in done.stderr
    assert "Traceback" not in done.stderr
    # The endpoint may move: its address is operational.
    again = typed("run", "out", "--base-url", endpoint.base_url, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_second_process_is_refused_with_the_pid_of_the_first(
    tmp_path: Path, config: RunConfig
) -> None:
    with open_run(tmp_path / "run", config):
        done = command("run", tmp_path / "run")
        assert done.returncode == 2
        assert f"process {os.getpid()} is writing this run" in done.stderr
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


def test_status_tells_of_how_many_tasks_the_kind_is_unclear(
    tmp_path: Path, config: RunConfig
) -> None:
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


def test_a_pipe_or_a_link_is_written_to_and_not_replaced(finished: Path, tmp_path: Path) -> None:
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
    # The pool before the last task: all seed tasks, and every task that was accepted, with or without a row.
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
        assert "has no rows yet: of 0 instructions none has instances" in done.stderr
    assert (tmp_path / "data.json").read_text() == "old"


def test_an_unfinished_run_is_exported_with_a_word_about_it(
    tmp_path: Path, config: RunConfig
) -> None:
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
def test_a_terminal_that_is_gone_ends_no_run(tmp_path: Path, redirection: str) -> None:
    line = f"{sys.executable} -m selfinstruct demo -n 3 {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert done.returncode == 0
    assert (tmp_path / "demo-run/exports/alpaca_data.json").stat().st_size > 100


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full"])
def test_output_that_cannot_be_written_is_exit_1_without_a_traceback(
    finished: Path, redirection: str
) -> None:
    for arguments in (f"status {finished}", f"export {finished} -o -"):
        line = f"{sys.executable} -m selfinstruct {arguments} {redirection}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert done.returncode == 1 or (redirection == ">&-" and "status" in arguments)


def test_help_can_be_shown_by_a_terminal_that_knows_only_ascii() -> None:
    done = command(
        "run", "--help", environ={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )
    assert done.returncode == 0, done.stderr


def test_an_export_that_cannot_be_written_leaves_what_was_there(
    finished: Path, tmp_path: Path
) -> None:
    target = tmp_path / "folder.json"
    target.mkdir()
    done = typed("export", finished, "-o", target)
    assert done.returncode == 1
    assert "folder.json: cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_model_output_never_drives_the_terminal() -> None:
    """What a reply holds is shown with its control characters written out."""
    from selfinstruct.cli.summary_lines import record_lines
    from selfinstruct.cli.terminal import visible

    evil = "a\x1b[2J\x9b31m\u202eb\x07\rc"
    shown = "\n".join(record_lines([{"instruction": evil, "input": "", "output": evil}]))
    for text in (shown, visible(evil)):
        assert not any(char in text for char in "\x1b\x9b\u202e\x07\r")
    assert "\\x1b[2J" in shown


def test_simulate_prints_its_address_and_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
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


def test_the_key_is_in_no_file_of_the_run_and_in_no_output(
    tmp_path: Path, endpoint: SimulatedEndpoint
) -> None:
    done = typed(
        "run", "-o", "out", "-m", "simulated", "--base-url", endpoint.base_url, "-n", 2,
        cwd=tmp_path, environ={"OPENAI_API_KEY": "sk-very-secret"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sk-very-secret" not in done.stdout + done.stderr
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"sk-very-secret" not in path.read_bytes()


def test_the_command_line_starts_from_any_directory_of_a_checkout() -> None:
    assert (ROOT / "prompts").is_dir()
    assert command("--help", cwd=Path("/")).returncode == 0
