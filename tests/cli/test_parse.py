"""`selfinstruct parse` writes one JSON line for each JSON line that it reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Told, typed


def parse(*arguments: object, lines: str | bytes = "") -> Told:
    data = lines.encode() if isinstance(lines, str) else lines
    return typed("parse", *arguments, stdin=data)


def out(told: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.splitlines()]


def test_candidates_and_rejections_come_out_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(
        '{"completion": " Name a river in Spain.\\n10. Draw a house.\\n11. Sum", '
        '"finish_reason": "length", "id": 7}\n'
        "\n"
        '{"completion": null}\n'
    )
    line = [sys.executable, "-m", "selfinstruct", "parse", str(path), "--stage", "generate"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert out(done.stdout) == [
        {
            "candidates": [{"instruction": "Name a river in Spain."}],
            "rejections": [
                {"reason": "too_short", "text": "Draw a house."},
                {"reason": "truncated", "text": "Sum"},
            ],
        },
        {"candidates": [], "rejections": [{"reason": "empty_reply", "text": ""}]},
    ]


def test_profile_and_recipe_select_the_parser() -> None:
    answers = '{"completion": "Yes."}\n{"completion": " YES\\n"}\n{"completion": "continue"}\n'
    found = {
        profile: [
            line["is_classification"]
            for line in out(parse("-", "-s", "classify", "-p", profile, lines=answers).stdout)
        ]
        for profile in ("default", "paper")
    }
    assert found == {"default": [True, True, None], "paper": [False, True, False]}

    block = {
        "completion": " Add the two numbers up.\n4. Input:\n3, 4\n4. Output:\n7\n###\n5. Instruction:",
        "num_prompt_instructions": 3,
    }
    done = parse("-", "-s", "generate", "--recipe", "alpaca", lines=json.dumps(block))
    assert out(done.stdout)[0]["candidates"] == [
        {"instruction": "Add the two numbers up.", "input": "3, 4", "output": "7"}
    ]


def test_instances_are_not_capped() -> None:
    text = "\n".join(f"Example {n}\nInput: {n}\nOutput: {n + 1}" for n in range(1, 9))
    done = parse("-", "--stage", "instances", lines=json.dumps({"completion": text}))
    assert len(out(done.stdout)[0]["instances"]) == 8  # type: ignore[arg-type]


def test_a_lone_surrogate_stays_an_escape() -> None:
    done = parse("-", "-s", "instances", lines='{"completion": "Output: a \\ud83d b"}')
    assert '"a \\ud83d b"' in done.stdout


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (b'{"completion": "x"}\n{"completion": ', "stdin:2: is not JSON: expecting value"),
        (b"[]", "stdin:1: is a list, not an object"),
        (b'{"text": "x"}', "stdin:1: has no 'completion'"),
        (b'{"completion": 7}', "stdin:1: has a 'completion' that is not text"),
        (
            b'{"completion": "x", "num_prompt_instructions": 0}',
            "stdin:1: has a 'num_prompt_instructions' below 1",
        ),
        (b'{"completion": "\xff"}', "stdin:1: is not UTF-8 text"),
        (b"[" * 100_000, "stdin:1: is nested more than 200 levels deep"),
    ],
)
def test_a_bad_line_is_reported_with_its_number(lines: bytes, problem: str) -> None:
    done = parse("-", "--stage", "classify", lines=lines)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_or_stage_exits_2(tmp_path: Path) -> None:
    done = parse(tmp_path / "none.jsonl", "--stage", "generate")
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)
    done = parse("-", "--stage", "classify", "--recipe", "alpaca")
    assert (done.returncode, "only the stage generate" in done.stderr) == (2, True)
