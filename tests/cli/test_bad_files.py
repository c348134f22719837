"""If an input file cannot be used, no run directory is created."""

import shutil
from pathlib import Path

import pytest
from bad_input import LONG, NEW, Typed, check, everything

from selfinstruct.config.shipped_files import resource as shipped
from selfinstruct.errors import InputError, SelfInstructError
from selfinstruct.pipeline.prompts import load_template
from selfinstruct.pipeline.seed_tasks import read_seed_tasks
from selfinstruct.runner.directory import read_run

UNREADABLE = [
    ("missing", "missing: cannot be read .No such file or directory.; check the name"),
    ("folder", "folder: cannot be read .Is a directory.; choose a file"),
    ("binary", r"binary: is not UTF-8 text \(byte \d+\); save it as UTF-8"),
    ("latin", r"latin: is not UTF-8 text \(byte 10\); save it as UTF-8"),
    (
        "loop",
        "loop: cannot be read .*a symbolic link that leads back to itself; choose another file",
    ),
    (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
    ("latin/x", "latin/x: cannot be read .Not a directory.; part of the path is a file, not"),
    ("/dev/zero", "/dev/zero: is larger than 100,000,000 bytes; choose a seed-task file"),
    (
        "/dev/null",
        "/dev/null: contains no seed tasks; write each task as a JSON object on one line",
    ),
    ("one\ntwo", r"one\\ntwo: cannot be read"),
    ("one\x1b[2Jtwo", r"one\\x1b\[2Jtwo: cannot be read"),
]


@pytest.mark.parametrize(("name", "pattern"), UNREADABLE)
def test_unreadable_seed_tasks_leave_no_directory(
    here: Path, typed: Typed, name: str, pattern: str
) -> None:
    before = everything(here)
    ended = typed(*NEW, "--seed-tasks", name)
    check(ended, pattern)
    assert "\x1b" not in ended.err
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("binary", "binary: is not UTF-8 text; save it as UTF-8"),
        ("latin", "latin: is not UTF-8 text; save it as UTF-8"),
        ("/dev/zero", "/dev/zero: is longer than 100,000 characters; choose another file"),
        ("folder", "folder is a directory; with -o, specify a settings file"),
        ("seeds.jsonl", "seeds.jsonl:2: is not YAML: "),
    ],
)
def test_unreadable_settings_leave_no_directory(
    here: Path, typed: Typed, name: str, pattern: str
) -> None:
    before = everything(here)
    ended = typed("run", name, *NEW[1:])
    check(ended, pattern)
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("missing", "missing: does not exist; choose a directory of templates, such as a copy"),
        ("latin", "latin: is not a directory; choose a directory of templates, such as a co"),
        (
            "loop",
            "loop: cannot be read .*a symbolic link that leads back to itself; choose another",
        ),
        (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
        ("loops", "loops/generate.txt: cannot be read .*a symbolic link that leads back to itself"),
        ("folder", "folder: lacks generate.txt, .*start from a copy of /"),
        ("alpaca", r"alpaca: lacks classify.txt, .*start from a copy of /.*prompts/self-instruct"),
        ("self-instruct-completions", "generate.txt: ends in the next task's number, which"),
    ],
)
def test_unusable_templates_leave_no_directory(
    here: Path, typed: Typed, name: str, pattern: str
) -> None:
    for folder in ("alpaca", "self-instruct-completions"):
        (here / folder).symlink_to(shipped("prompts") / folder)
    shutil.copytree(shipped("prompts") / "self-instruct", here / "loops")
    (here / "loops/generate.txt").unlink()
    (here / "loops/generate.txt").symlink_to("generate.txt")
    before = everything(here)
    ended = typed(*NEW, "--prompts", name)
    check(ended, pattern)
    assert everything(here) == before


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Task: {{ instrution }}", "classify.txt: uses an unknown value: instrution .*use one"),
        ("Task", "does not use 'instruction', .*; insert {{ instruction }} where the"),
        ("one\ntwo {{ instruction", "classify.txt:2: is not a valid template: "),
        ("{% for %}{{ instruction }}", "classify.txt:1: is not a valid template: "),
        ("{{ instruction }}{{ 1 / 0 }}", "cannot be rendered: division by zero; "),
        ("{{ instruction }}{% include 'x' %}", "cannot be rendered: no loader"),
        ("{{ 'x' * 10000000000 }}{{ instruction }}", r"cannot be rendered: .*\*"),
        ("{{ [1] * 9999999999 }}{{ instruction }}", r"cannot be rendered: .*\*"),
        ("{{ 9 ** 9 ** 9 ** 9 }}{{ instruction }}", r"cannot be rendered: .*\*\*"),
        (
            "{{ instruction }}{% for a in range(2000) %}{{ '-' * 2000 }}{% endfor %}",
            "cannot be rendered: a prompt of more than 1,000,000 characters; ",
        ),
        ("{{ " + "(" * 5000 + "1}} {{ instruction }}", "is nested too deeply; "),
        (b"\xff{{ instruction }}", "classify.txt: is not UTF-8 text; save it as UTF-8"),
        (b"x" * 1_000_001, "classify.txt: is longer than 1,000,000 characters"),
        ("{{ '-' * 20 }} {{ 3 * 4 }} {{ instruction }}", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_failing_template_fails_at_once(tmp_path: Path, text: str | bytes, pattern: str) -> None:
    path = tmp_path / "classify.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if not pattern:
        load_template(path, folder="f", required="instruction", sample={"instruction": "x"})
        return
    with pytest.raises(InputError, match=pattern) as caught:
        load_template(path, folder="f", required="instruction", sample={"instruction": "x"})
    assert "\n" not in str(caught.value)


# ── seed tasks ───────────────────────────────────────────────────────────────────────────────────────────

GOOD = '{"instruction": "Add.", "output": "3"}'


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "s.jsonl: contains no seed tasks; write each task as a JSON object on one line, or"),
        ("[]", "s.jsonl: contains no seed tasks"),
        (
            GOOD,
            "has too few seed tasks .1.: a prompt shows 8; add some, or show fewer with --set demonstra",
        ),
        (f"{GOOD}\n{GOOD[:-1]}", "s.jsonl:2: is not a JSON object .*; write each task as a JSON"),
        (f"{GOOD},\n", "s.jsonl:1: is not a JSON object"),
        ("instruction,output\na,b", "s.jsonl:1: is not a JSON object"),
        (f'{GOOD}\n{{"instruction": "b"}}', "s.jsonl:2: 'output' is missing; a task needs an i"),
        ('{"instruction": "a", "instances": [{"input": "x"}]}', "s.jsonl:1: 'output' is missing"),
        ('{"instruction": 5, "output": "b"}', "s.jsonl:1: 'instruction' is .* put it in quotes"),
        ('{"instruction": "a", "instances": 5}', "s.jsonl:1: 'instances' is not .*write .. for"),
        (
            "\n\n".join(['{"id": "x", "instruction": "a", "output": "b"}'] * 2),
            r"s.jsonl:3: the id 'x' appears twice \(first in line 1\); each id must be",
        ),
        ('{"id": "\\u001b[2J", "instruction": "a", "output": 1}', "s.jsonl:1: "),
        (f"[{GOOD},", "s.jsonl:1: is not JSON: .*; "),
        (f"[{GOOD}, 7]", "s.jsonl: entry 2 is not an object with an instruction"),
    ],
)
def test_a_bad_seed_task_leaves_no_directory(
    here: Path, typed: Typed, text: str, pattern: str
) -> None:
    (here / "s.jsonl").write_text(text)
    before = everything(here)
    ended = typed(*NEW, "--seed-tasks", "s.jsonl")
    check(ended, pattern)
    assert everything(here) == before


def test_python_refuses_names_with_nul() -> None:
    with pytest.raises(InputError, match="is not a valid file name; choose a seed-task file"):
        read_seed_tasks("a\0b")
    with pytest.raises(SelfInstructError, match="is not a valid directory name; choose another"):
        read_run("a\0b")
