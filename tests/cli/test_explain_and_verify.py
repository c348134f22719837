"""Tests of the output and exit codes of the commands `explain` and `verify`."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support import ScriptedBackend, Told, make_completion, scripted_text, sealed_journal, typed

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import StalledError
from selfinstruct.records import Completion, Request

EVIL = "Tell me \x1b[2J\x9b31m what \u202e happens."


def command(*arguments: object, columns: int = 100) -> Told:
    return typed(*arguments, environ={"COLUMNS": str(columns)})


class Hostile(ScriptedBackend):
    """A backend whose replies and model name contain terminal control sequences."""

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        text = scripted_text(request)
        if request.stage == "generate":
            text = f"9. {EVIL}\n{text.replace('9. ', '10. ', 1)}\n\n\x1b]0;goodbye\x07"
        return make_completion(text, model="\x1b[31mred")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run whose model wrote control sequences."""
    directory = tmp_path_factory.mktemp("cli") / "run"
    run(directory, RunConfig(model="m", num_instructions=12), backend=Hostile())
    return directory


def test_verify_lists_its_checks(finished: Path) -> None:
    line = [sys.executable, "-m", "selfinstruct", "verify", str(finished)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "every decision follows from the replies" in done.stdout
    for words in (
        "prompts planned again",
        "candidates decided again",
        "with the rouge-score package",
    ):
        assert words in done.stdout


def test_verify_shows_first_problems_and_json_all(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    lines = [json.loads(line) for line in (copy / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "instances_written":
            line["instances"].append({"input": "", "output": "\x1b[2J" + "x " * 99})
        elif line["kind"] == "classified":
            line.update(answer="yes", is_classification=True)
    written = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    (copy / "journal.jsonl").write_bytes(sealed_journal(f"{line}\n".encode() for line in written))
    done = command("verify", copy, columns=80)
    assert (done.returncode, done.stderr) == (1, "")
    assert "problems" in done.stdout.splitlines()[0]
    assert done.stdout.count("  line ") == 20
    assert "--json shows all of them" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    machine = command("verify", copy, "--json")
    assert machine.returncode == 1
    told = json.loads(machine.stdout)
    assert told["holds"] is False
    assert len(told["problems"]) > 20
    assert set(told["problems"][0]) == {"seq", "what", "why"}


def test_verify_reports_the_usual_errors(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    journal = copy / "journal.jsonl"
    journal.write_text(journal.read_text().replace('{"seq":3,', '{"seq":4,', 1))
    done = command("verify", copy)
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 3" in done.stderr
    (copy / "seed_tasks.jsonl").write_text("")
    done = command("verify", copy)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "query", ["generate/000001", "generate/000001#1", "task_1", "what", "goodbye"]
)
def test_model_text_never_controls_the_terminal(finished: Path, query: str) -> None:
    done = command("explain", finished, query, columns=80)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(char in done.stdout for char in "\x1b\x9b\u202e\x07")
    told = done.stdout.splitlines()
    # A command that users may copy is not wrapped.
    assert max(len(line) for line in told if "  selfinstruct explain " not in line) <= 80
    commands = [line for line in told if "  selfinstruct explain " in line]
    assert all(line.split()[-1].startswith("generate/") for line in commands)
    assert bool(commands) == (query == "goodbye")
    assert done.stdout.isprintable() or set(done.stdout) - {"\n"}


def test_explain_respects_the_limit(finished: Path) -> None:
    some = command("explain", finished, "the", "--limit", 2).stdout
    assert some.count("  from  ") == 2
    assert "--limit" in some
    assert "raw replies: " in some
    told = json.loads(command("explain", finished, "the", "--json").stdout)
    assert len(told["found"]) == told["total"] > 10
    told = json.loads(command("explain", finished, "the", "--json", "--limit", 3).stdout)
    assert len(told["found"]) == 3


def test_an_unknown_id_is_reported(finished: Path) -> None:
    done = command("explain", finished, "seed_task_999")
    assert done.returncode == 1
    assert "“seed_task_999”: there is no such id in this run." in done.stdout
    assert "candidate now" not in done.stdout


def test_a_file_is_not_a_run_directory(finished: Path) -> None:
    done = command("explain", finished / "journal.jsonl", "x")
    assert done.returncode == 2
    assert "journal.jsonl: is a file, not a run directory" in done.stderr


def test_without_a_reply_there_is_nothing_to_verify(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "journal.jsonl").unlink()
    done = command("verify", copy)
    assert done.returncode == 1
    assert "there is nothing to verify: its journal.jsonl is missing" in done.stdout
    done = command("verify", copy, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["holds"], told["nothing_to_verify"]) == (False, True)


def test_verify_omits_stages_of_other_recipes(tmp_path: Path, config: RunConfig) -> None:
    def write(_: Request) -> str:
        return "4. Instruction: Name three rivers.\n4. Input:\n<noinput>\n4. Output:\nElbe"

    changed = config.changed(recipe="alpaca", num_instructions=1, stall_after=1)
    with suppress(StalledError):
        run(tmp_path / "run", changed, backend=ScriptedBackend(write))
    done = command("verify", tmp_path / "run")
    assert done.returncode == 0
    assert "with their instances" in done.stdout
    assert "parsed again" not in done.stdout


def test_explain_is_json_for_programs(finished: Path) -> None:
    done = command("explain", finished, "generate/1#1", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["how"], told["total"], told["threshold"]) == ("id", 1, 0.7)
    (result,) = told["found"]
    assert (result["kind"], result["outcome"]) == ("candidate", "rejected")
    assert (result["reason"], result["text"]) == ("control_characters", EVIL)
    assert 0 <= result["nearest"]["rouge_l"] <= 1


def test_an_unknown_text_is_checked_and_exits_1(finished: Path) -> None:
    done = command("explain", finished, "Draw a picture of a \x1b[31mwalrus.")
    assert (done.returncode, done.stderr) == (1, "")
    assert "does not occur in this run" in done.stdout
    assert "it would be rejected: control_characters" in done.stdout
    assert "not_for_text_model" in done.stdout
    assert "\x1b" not in done.stdout


def test_an_empty_query_exits_2(finished: Path) -> None:
    done = command("explain", finished, " ")
    assert done.returncode == 2
    assert "the query is empty" in done.stderr
    assert done.stdout == ""


def test_a_score_never_rounds_across_the_threshold() -> None:
    from selfinstruct.display import score

    assert score(2 / 3, 0.7) == "0.667"
    assert score(0.7, 0.7) == "0.700"
    assert score(0.7000000000000001, 0.7) == "0.7000000000000001"


def test_wide_characters_take_two_columns(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfinstruct.analysis.explain import explain
    from selfinstruct.analysis.explain.history import History
    from selfinstruct.cli.commands.explain import _Page
    from selfinstruct.display import cells
    from selfinstruct.runner.directory import read_history

    def write(request: Request) -> str:
        text = "川の名前を三つ挙げてください。" * 20
        return f"9. {text}" if request.id == "generate/000001" else scripted_text(request)

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    explanation = explain(History(*read_history(tmp_path / "run")), "generate/000001")
    monkeypatch.setenv("COLUMNS", "60")
    page = _Page(tmp_path, 0.7, is_continued=True)
    lines = [line for block in page.blocks(explanation) for line in block]
    assert max(map(cells, lines)) <= 60
    assert sum("川" in line for line in lines) > 3


@pytest.mark.parametrize("name", ["explain", "verify"])
def test_help_shows_an_example(name: str) -> None:
    done = command(name, "--help")
    assert f"Example: selfinstruct {name} my-run" in " ".join(done.stdout.split())


def test_each_candidate_shows_its_nearest_task(finished: Path) -> None:
    shown = command("explain", finished, "generate/000001").stdout
    items = shown[shown.index("  items") : shown.index("  reply")]
    fields = json.loads(command("explain", finished, "generate/000001", "--json").stdout)
    for item in fields["found"][0]["items"]:
        assert (
            f"nearest {item['nearest']['task_id']}, ROUGE-L {item['nearest']['rouge_l']:.3f}"
            in items
        )
    for query in ("task_000001", fields["found"][0]["items"][0]["id"]):
        (found,) = json.loads(command("explain", finished, query, "--json").stdout)["found"]
        assert found.get("candidate", found)["nearest"]["rouge_l"] > 0
