"""Tests of the command `import`: its output and errors, and how other commands use its run."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support import typed

from selfinstruct.config.shipped_files import resource
from selfinstruct.runner import create_from_events
from selfinstruct.runner.directory import read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

NEW = ("-o", "new")
EVIL = "Tell me \x1b[2J\x9b31m what \u202e happens."
ROWS = [
    {"instruction": "Name a sea.", "input": "<noinput>", "output": "The Aral Sea."},
    {"instruction": "Name a sea.", "input": "", "output": "The Dead Sea."},
    {"instruction": "Name a sea.", "input": "", "output": "The Dead Sea."},
    {"instruction": EVIL, "input": "", "output": ""},
]


@pytest.fixture
def regen(tmp_path: Path) -> Path:
    """Return an Alpaca-style file with a duplicate row and a row without output."""
    path = tmp_path / "regen.json"
    path.write_text(json.dumps(ROWS, indent=4))
    return path


def same(text: str) -> str:
    return " ".join(text.split())


def test_the_summary_names_the_next_commands(regen: Path) -> None:
    done = typed("import", "regen.json", "-o", "my run", cwd=regen.parent)
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "my run: 2 tasks imported regen.json: rows, 4 records",
        "tasks 2",
        "with instances 1 2 rows",
        "still open 1 a run requests instances, and for 1 the classification first",
        "instances rejected 1 empty output 1",
        "records left out 1 repeated 1 other records contain the same statement",
        "To complete it: selfinstruct run 'my run' -m MODEL",
        "To grow it: selfinstruct run 'my run' -m MODEL -n 4",
        "To export it: selfinstruct export 'my run' -o alpaca_data.json",
    ):
        assert said in same(done.stdout)


def test_json_has_the_same_numbers(regen: Path) -> None:
    done = typed("import", regen, "-o", "new", "--json", "-m", "m", cwd=regen.parent)
    told = json.loads(done.stdout)
    assert done.stderr == ""
    (file,) = told.pop("files")
    assert (file["name"], file["form"], file["records"], file["tasks"]) == (
        "regen.json", "rows", 4, 2,
    )  # fmt: skip
    assert told == {
        "directory": "new",
        "tasks": 2,
        "with_instances": 1,
        "without_instances": 1,
        "without_kind": 1,
        "rows": 2,
        "instances_rejected": {"empty_output": 1},
        "left_out": {"repeated": 1},
        "repaired": 0,
        "model": "m",
    }


def test_flags_win_over_a_settings_file(regen: Path) -> None:
    (regen.parent / "run.yaml").write_text("model: one\nthreshold: 0.6\nnum-instructions: 9\n")
    flags = ["--config", "run.yaml", "--threshold", 0.5, "--profile", "paper"]
    assert typed("import", regen, "-o", "new", *flags, cwd=regen.parent).returncode == 0
    config = read_run(regen.parent / "new").config
    assert (config.model, config.threshold, config.num_instructions) == ("one", 0.5, 9)
    assert config.tokenizer == "rouge"


def test_status_counts_imported_tasks(regen: Path) -> None:
    typed("import", regen, "-o", "new", cwd=regen.parent)
    done = typed("status", "new", cwd=regen.parent)
    assert done.stdout.startswith("new: imported, 2 of 2 instructions, no model chosen yet\n")
    assert (
        "imported 2 before the run began, 1 without instances regen.json: rows, 4 records"
    ) in same(done.stdout)
    told = json.loads(typed("status", "new", "--json", cwd=regen.parent).stdout)
    assert told["condition"] == "imported"
    assert (told["imported"], told["imported_without_instances"], told["open"]) == (2, 1, 1)
    assert [(f["name"], f["records"]) for f in told["imported_from"]] == [("regen.json", 4)]
    assert told["candidates"] == 0


def test_explain_and_verify_know_imported_tasks(regen: Path) -> None:
    typed("import", regen, "-o", "new", cwd=regen.parent)
    done = typed("explain", "new", "name a sea.", cwd=regen.parent)
    assert done.returncode == 0
    assert done.stdout.startswith("task_000001: imported from regen.json: record 1\n")
    assert "kind not known" in same(done.stdout)
    assert "The Dead Sea." in done.stdout
    open_ = typed("explain", "new", "task_2", cwd=regen.parent).stdout
    assert "instances not requested yet rejected empty_output" in same(open_)
    item = typed("explain", "new", "import/task_000002#1", cwd=regen.parent).stdout
    assert "import/task_000002#1: rejected, empty_output" in item
    assert "from regen.json: record 4 (line 4 of the journal)" in same(item)
    done = typed("verify", "new", cwd=regen.parent)
    assert done.returncode == 0
    assert "new: everything that was checked is correct" in done.stdout
    assert "tasks imported 2 only their order was checked" in same(done.stdout)


def test_no_text_controls_the_terminal(regen: Path, endpoint: SimulatedEndpoint) -> None:
    evil = regen.with_name("re\x1b[2Jgen.json")
    regen.rename(evil)
    commands = [
        ("import", evil, "-o", "new"),
        ("import", evil, "-o", "again", "--recipe", "alpaca"),
        ("import", evil, evil, "-o", "again"),
        ("status", "new"),
        ("explain", "new", "task_2"),
        ("explain", "new", "import/task_000002#1"),
        ("verify", "new"),
        ("run", "new", "-m", "simulated", "--base-url", endpoint.base_url, "-n", 12),
        ("status", "new"),
        ("explain", "new", "task_2"),
        ("refilter", "new", "-o", "other", "-t", "0.5"),
    ]
    for command in commands:
        done = typed(*command, cwd=regen.parent)
        assert not set("\x1b\x9b\u202e") & set(done.stdout + done.stderr), command
        assert "\\x1b[2J" in done.stdout + done.stderr or command[0] in (
            "verify",
            "run",
            "refilter",
        )


def test_doctor_preview_and_estimate_read_it(regen: Path, endpoint: SimulatedEndpoint) -> None:
    typed("import", regen, "-o", "new", cwd=regen.parent)
    online = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 20]
    assert typed("doctor", "new", *online, cwd=regen.parent).returncode == 0
    preview = typed("run", "new", "--preview", *online, cwd=regen.parent)
    assert preview.returncode == 0, preview.stderr
    told = json.loads(typed("estimate", "new", *online, "--json", cwd=regen.parent).stdout)
    assert (told["accepted"], told["target"]) == (2, 20)
    for name in ("doctor", "estimate", "run"):
        done = typed(name, "new", cwd=regen.parent)
        assert done.returncode != 0
        assert "without a model; choose one" in same(done.stdout + done.stderr)
    done = typed("run", "new", *online, cwd=regen.parent)
    assert done.returncode == 0, done.stderr
    assert re.search(r"accepted +\d+ +\d+% of the candidates\n +imported +2 ", done.stderr)
    told = json.loads(typed("status", "new", "--json", cwd=regen.parent).stdout)
    assert told["condition"] == "complete"
    assert told["candidates"] == told["accepted"] - 2 + sum(told["rejected"].values())


def test_a_run_keeps_its_first_address(regen: Path, endpoint: SimulatedEndpoint) -> None:
    """As for a new run, a later change of the environment does not change the address."""
    typed("import", regen, "-o", "new", "-m", "simulated", cwd=regen.parent)
    environ = {"OPENAI_BASE_URL": endpoint.base_url}
    assert typed("run", "new", "-n", 8, cwd=regen.parent, environ=environ).returncode == 0
    assert read_run(regen.parent / "new").config.base_url == endpoint.base_url
    assert typed("run", "new", "-n", 16, cwd=regen.parent).returncode == 0


DEEP = '{"instruction": ' + "[" * 100_000 + "]" * 100_000 + "}"
SING = {"instruction": "Sing."}
BAD: list[tuple[str, object, str]] = [
    ("none.json", None, "none.json: cannot be read (No such file or directory); check the name"),
    ("empty.json", " \n", "empty.json: is empty"),
    ("list.json", "[]", "list.json: has no records; choose another file"),
    ("x.txt", "Name a sea.\n", "x.txt: has a format that cannot be determined"),
    ("x.jsonl", DEEP, "x.jsonl:1: is nested more than 200 levels deep"),
    ("x.jsonl", '{"instruction": "a", \n', "x.jsonl:1: is not JSON"),
    ("x.csv", "instruction,output\na\n", "x.csv:2: has 1 cell, but the header has 2"),
    ("x.json", [SING | {"output": {}}], "x.json: record 1: 'output' is an object, not text"),
    (
        "x.jsonl",
        {"prompt": "Sing."},
        "x.jsonl:1: has an unknown form (fields: 'prompt')",
    ),
    (
        "x.jsonl",
        {"output": "La."},
        "x.jsonl:1: has an unknown form (fields: 'output')",
    ),
    (
        "x.jsonl",
        '{"instruction": "Sing.", "output": "La."}\n{"instruction": "Dance."}\n',
        "x.jsonl:2: has no 'output', unlike the file's first record; add it",
    ),
    (
        "x.jsonl",
        '{"instruction": "Sing."}\n{"instruction": "Dance.", "output": "La."}\n',
        "x.jsonl:2: has 'output', unlike the file's first record; put such records into another file",
    ),
    (
        "x.jsonl",
        {"instruction": 7, "output": "x"},
        "x.jsonl:1: 'instruction' is a number, not text; put it in quotes",
    ),
    (
        "x.jsonl",
        {"instruction": ["a"], "output": "x"},
        "x.jsonl:1: 'instruction' is a list, not text",
    ),
    ("x.jsonl", SING | {"output": "b", "input": 1.5}, "x.jsonl:1: 'input' is a number, not text"),
    ("x.jsonl", SING | {"instances": "b"}, "x.jsonl:1: 'instances' is not a list of objects"),
    ("x.jsonl", SING | {"instances": [1]}, "x.jsonl:1: 'instances' is not a list of objects"),
    (
        "x.jsonl",
        SING | {"instances": [], "is_classification": "no"},
        "x.jsonl:1: 'is_classification' is neither true nor false",
    ),
    ("x.jsonl", SING | {"is_classification": 1}, "x.jsonl:1: 'is_classification' is a number"),
    ("x.jsonl", SING | {"raw_instances": []}, "x.jsonl:1: 'raw_instances' is a list, not text"),
    (
        "x.jsonl",
        {"instruction": " ", "output": "b"},
        "x.jsonl: has nothing to import (the instruction is empty: 1); choose other files",
    ),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD, ids=[said[:50] for *_, said in BAD])
def test_a_bad_file_is_one_sentence(tmp_path: Path, name: str, content: object, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    done = typed("import", name, "-o", "new", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"selfinstruct: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "new").exists()


def refused(place: Path, *arguments: Any) -> str:
    before = sorted(place.rglob("*"))
    done = typed("import", *arguments, cwd=place)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sorted(place.rglob("*")) == before
    return same(done.stderr.replace("│", " "))


def test_wrong_usage_leaves_nothing(regen: Path) -> None:
    place = regen.parent
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    (place / "link.json").symlink_to(regen)
    no_instance = "the task has no usable instance, and the recipe alpaca never requests"
    for arguments, said in (
        (["-o", "new"], "Missing argument 'FILE...'"),
        (["regen.json"], "Missing option '--output'"),
        (["folder", *NEW], "folder: cannot be read (Is a directory); choose a file"),
        (["pipe", *NEW], "pipe: cannot be imported, because its hash could not be checked"),
        (["-", *NEW], "stdin: cannot be imported"),
        (["regen.json", "./regen.json", *NEW], "regen.json: is specified twice; keep one"),
        (["regen.json", "link.json", *NEW], "link.json: is specified twice; keep one"),
        (["regen.json", "-o", "."], "is not a run directory and is not empty"),
        (["regen.json", "-o", "regen.json"], "regen.json: is a file; choose a new"),
        (
            ["regen.json", *NEW, "--profile", "best"],
            "profile: must be default or paper, not 'best'",
        ),
        (["regen.json", *NEW, "-n", 0], "num_instructions: must be at least 1, not 0"),
        (["regen.json", *NEW, "--seed-tasks", "no.jsonl"], "no.jsonl: cannot be read"),
        (["regen.json", *NEW, "--config", "no.yaml"], "no.yaml: cannot be read"),
        (["regen.json", *NEW, "--recipe", "alpaca"], f"regen.json: record 4: {no_instance}"),
    ):
        assert said in refused(place, *arguments)
    assert typed("import", regen, "-o", "new", cwd=place).returncode == 0
    assert "new: is already a run; choose a new directory" in refused(place, regen, "-o", "new")


def test_an_interrupted_import_can_be_repeated(
    regen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            create_from_events, "write_manifest", lambda *_: os.kill(os.getpid(), signal.SIGINT)
        )
        done = typed("import", regen, *NEW, cwd=regen.parent)
    assert (done.returncode, done.stdout) == (130, "")
    assert "interrupted; no run was created; repeat the command to try again" in done.stderr
    left = typed("run", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1", cwd=regen.parent)
    assert left.returncode == 2
    assert "run that command again to complete it" in same(left.stderr)
    assert typed("import", regen, *NEW, cwd=regen.parent).returncode == 0


def test_seed_tasks_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_bytes(resource("seed_tasks.jsonl").read_bytes())
    said = refused(tmp_path, "seeds.jsonl", "-o", "new")
    assert "has nothing to import (the instruction is a seed task: 175)" in said
