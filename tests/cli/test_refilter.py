"""Tests of the command `refilter`, and of other commands on a refiltered run."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import ScriptedBackend, make_completion, scripted_text
from typer.testing import CliRunner

from selfinstruct.api import run
from selfinstruct.cli import app
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import SelfInstructError
from selfinstruct.records import Completion, Request
from selfinstruct.simulate.server.listening import SimulatedEndpoint

EVIL = "Tell me \x1b[2J\x9b31m what \u202e happens."


@dataclass(frozen=True)
class Told:
    """The exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object) -> Told:
    """Run a command in this process, which is faster than a subprocess."""
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100"})
    if isinstance(done.exception, SelfInstructError):
        return Told(done.exception.exit_code, done.stdout, str(done.exception))
    return Told(done.exit_code, done.stdout, done.stderr)


class Hostile(ScriptedBackend):
    """A backend that writes two similar texts with control sequences."""

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        text = scripted_text(request)
        if request.stage == "generate":
            number = len(self.asked)
            text = f"9. {EVIL}\n10. {EVIL} {number}\n{text.replace('9. ', '11. ', 1)}"
        return make_completion(text, model="\x1b[31mred")


@pytest.fixture(scope="module")
def _hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    config = RunConfig(model="m", num_instructions=12, profile="paper")
    run(place / "run", config, backend=Hostile())
    return place


@pytest.fixture
def hostile(_hostile: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, with a finished run whose model wrote control sequences."""
    monkeypatch.chdir(_hostile)
    return _hostile


def test_the_same_settings_change_nothing(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    config = RunConfig(model="simulated", base_url=endpoint.base_url, num_instructions=25)
    run(tmp_path / "run", config)
    line = [sys.executable, "-m", "selfinstruct", "refilter", "run", "-o", "same"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("same: run, decided again with the same settings\n")
    assert "Only " not in done.stdout
    for name in ("run", "same"):
        file = tmp_path / f"{name}.jsonl"
        assert command("export", tmp_path / name, "-o", file, "-f", "jsonl").returncode == 0
    data = (tmp_path / "run.jsonl").read_bytes()
    assert data
    assert (tmp_path / "same.jsonl").read_bytes() == data


def test_all_commands_read_a_refiltered_run(hostile: Path) -> None:
    flags = ["--threshold", "0.95", "--show", "1"]
    done = command("refilter", "run", "-o", "loose", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert told.startswith(
        "loose: run, decided again: threshold 0.7 → 0.95 before after candidates"
    )
    assert "have no instances, because the model was never asked" in told
    assert "Only after (" in told
    assert "then not_novel, ROUGE-L 0." in told
    assert done.stdout.count("then not_novel") == 1
    new = json.loads(command("refilter", "run", "-o", "same", *flags, "--json").stdout)
    explained = command("explain", "loose", new["only_after"][0]["task_id"]).stdout
    for label in ("kind     ", "instances"):
        assert f"  {label}    never requested\n" in explained
    assert "yet" not in explained
    status = command("status", "loose")
    assert status.stdout.startswith(f"loose: refiltered from {hostile / 'run'}, ")
    assert "decided again: threshold 0.7 → 0.95" in status.stdout
    assert "the model was never asked" in status.stdout
    fields = json.loads(command("status", "loose", "--json").stdout)
    assert (fields["condition"], fields["target"], fields["open"]) == ("refiltered", None, 0)
    assert fields["refiltered_from"]["settings"]["threshold"] == 0.7
    checked = command("verify", "loose")
    assert checked.returncode == 0
    assert "Its prompts come from" in checked.stdout
    exported = command("export", "loose", "-o", "loose.json")
    never_asked = "have no instances, because the model was never asked for them"
    assert exported.stderr.splitlines()[1:] == [
        f"{fields['never_asked']} of the run's {fields['accepted']} instructions {never_asked}"
    ]
    refused = command("run", "loose")
    assert refused.returncode == 2
    (sentence,) = refused.stderr.splitlines()
    assert f"loose: was refiltered from {hostile / 'run'}, so it cannot be continued" in sentence
    for one in (done, status, checked, exported, refused):
        assert not any(char in one.stdout + one.stderr for char in "\x1b\x9b\u202e")


@pytest.mark.usefixtures("hostile")
def test_json_shows_all_differences_by_default() -> None:
    done = command("refilter", "run", "-o", "a", "-t", "0.5", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["directory"], told["source"]) == ("a", "run")
    assert told["settings"]["threshold"] == 0.5
    assert len(told["only_before"]) == told["only_before_count"] > 1
    assert told["both"] + told["only_before_count"] == told["before"]["accepted"]
    assert told["only_before"][0]["witness"]["rouge_l"] > 0.5
    fewer = command("refilter", "run", "-o", "b", "-t", "0.5", "--json", "--show", 1)
    assert json.loads(fewer.stdout)["only_before"] == told["only_before"][:1]


def test_a_source_task_is_explained_by_its_name(hostile: Path) -> None:
    command("refilter", "run", "-o", "c", "-t", "0.5")
    journal = (hostile / "c/journal.jsonl").read_text().splitlines()
    name = next(e["task_id"] for e in map(json.loads, journal) if e["kind"] == "source_task")
    done = command("explain", "c", name)
    assert done.returncode == 0
    assert "rejected, not_novel" in done.stdout
    assert "nearest" in done.stdout
    assert "The matches have the same text as this task of the source run." in done.stdout
    assert command("explain", "c", "source:task_999999").returncode == 1
