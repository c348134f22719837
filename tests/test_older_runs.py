"""Runs that an earlier release made: they can be read, and are not continued."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from support import ScriptedBackend, exported, make_seed_task, typed

from selfinstruct.api import run
from selfinstruct.errors import OtherVersionError
from selfinstruct.explain import explain
from selfinstruct.explain.fates import CandidateFate, TaskFate
from selfinstruct.explain.history import History
from selfinstruct.frozen import VERSIONS
from selfinstruct.pool import Pool
from selfinstruct.refilter.directory import refilter_run
from selfinstruct.run_directory import read_history, read_run
from selfinstruct.seeds import render_seed_tasks
from selfinstruct.verify import verify

# What the first release wrote: fewer settings, no classify_again.txt, demonstrations that are texts.
SETTINGS: dict[str, Any] = {
    "model": "old",
    "recipe": "self-instruct",
    "seed_tasks": None,
    "prompts": None,
    "seed": 0,
    "threshold": 0.7,
    "max_instances": 5,
    "lag_min": 4,
    "lag_max": 512,
    "generate_temperature": 0.7,
    "generate_top_p": 0.5,
    "generate_presence_penalty": 2.0,
    "generate_max_tokens": 1024,
    "classify_temperature": 0.0,
    "classify_max_tokens": 16,
    "instances_temperature": 0.0,
    "instances_presence_penalty": 1.5,
    "instances_max_tokens": 1024,
}
OPERATIONAL: dict[str, Any] = {
    "num_instructions": 1,
    "base_url": "http://127.0.0.1:9/v1",
    "api_key_env": "NO_KEY",
    "max_concurrency": 32,
    "request_timeout_s": 300.0,
    "connect_timeout_s": 10.0,
    "stall_after": 100,
    "max_attempts": 6,
}
PROMPTS = {
    "generate.txt": "Tasks {{ first_number }} to {{ last_number }}:\n"
    "{% for instruction in demonstrations -%}\n{{ loop.index }}. {{ instruction }}\n{% endfor %}",
    "classify.txt": "Task: {{ instruction }}\nIs it?",
    "instances_input_first.txt": "At most {{ max_instances }}. Input:\nTask: {{ instruction }}",
    "instances_output_first.txt": "At most {{ max_instances }}. Label:\nTask: {{ instruction }}",
}
INSTRUCTION = "Name three rivers that flow north."


def sha256(data: str | bytes) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def journal(pool: Pool) -> Iterator[dict[str, Any]]:
    drawn = pool.draw(Random("0/generate/1"), count=8, generated=2, upto=len(pool))
    lines = (f"{n}. {' '.join(task.instruction.split())}" for n, task in enumerate(drawn, start=1))

    def reply(name: str, file: str, prompt: str, text: str, *ids: str) -> dict[str, Any]:
        return {
            "kind": "completion_received",
            "request_id": name,
            "stage": name.partition("/")[0],
            "template": f"self-instruct/{file}@{sha256(PROMPTS[file])[:12]}",
            "prompt_sha256": sha256(f"user\0{prompt}\0"),
            "demonstration_ids": list(ids),
            "completion": {"text": text, "finish_reason": "stop", "model": "old-7b"},
        }

    yield {"kind": "run_started", "versions": {"selfinstruct": "0.1.0"}, "settings": OPERATIONAL}
    prompt = "Tasks 9 to 16:\n" + "\n".join(lines)
    text = f"9. {INSTRUCTION}\n10. Draw a house."
    yield reply("generate/000001", "generate.txt", prompt, text, *(task.id for task in drawn))
    yield {
        "kind": "committed",
        "number": 1,
        "accepted": [
            {
                "candidate_id": "generate/000001#1",
                "task_id": "task_000001",
                "instruction": INSTRUCTION,
            }
        ],
        "rejected": [
            {
                "candidate_id": "generate/000001#2",
                "stage": "filter",
                "reason": "too_short",
                "text": "Draw a house.",
                "nearest": None,
            }
        ],
    }
    prompt = f"Task: {INSTRUCTION}\nIs it?"
    yield reply("classify/task_000001", "classify.txt", prompt, "Sure, go on.")
    yield {
        "kind": "classified",
        "task_id": "task_000001",
        "is_classification": False,
        "answer": "unclear",
    }
    prompt = f"At most 5. Input:\nTask: {INSTRUCTION}"
    text = "Output: Nile, Ob, Rhine"
    yield reply("instances/task_000001", "instances_input_first.txt", prompt, text)
    yield {
        "kind": "instances_written",
        "task_id": "task_000001",
        "instances": [{"input": "", "output": "Nile, Ob, Rhine"}],
        "rejected": [],
    }
    yield {"kind": "run_finished", "reason": "complete", "detail": ""}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A finished run of the first release."""
    seeds = [
        make_seed_task(n, instruction="Sort these  words:\nby length:" if n % 2 else "")
        for n in range(10)
    ]
    directory = tmp_path / "old"
    (directory / "prompts").mkdir(parents=True)
    for name, text in PROMPTS.items():
        (directory / "prompts" / name).write_text(text)
    (directory / "seed_tasks.jsonl").write_bytes(render_seed_tasks(seeds))
    hashes = {"seed_tasks.jsonl": sha256(render_seed_tasks(seeds))}
    hashes |= {f"prompts/{name}": sha256(text) for name, text in PROMPTS.items()}
    versions = {"rules": 1, "parsers": 1, "tokenizer": 1}
    data = {name: SETTINGS[name] for name in SETTINGS if name not in ("seed_tasks", "prompts")}
    document = {
        "created_at": "2026-01-31T23:59:59Z",
        "settings": SETTINGS | OPERATIONAL,
        "hashes": hashes,
        "versions": versions,
        "fingerprint": sha256(
            canonical({"settings": data, "hashes": hashes, "versions": versions})
        ),
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    at = "2026-01-31T23:59:59.000000Z"
    lines = [
        json.dumps({"seq": seq, "at": at, **event}, separators=(",", ":"))
        for seq, event in enumerate(journal(Pool(seeds)), start=1)
    ]
    (directory / "journal.jsonl").write_text("\n".join(lines) + "\n")
    return directory


def test_an_older_run_is_read_as_it_was_made(old_run: Path) -> None:
    opened = read_run(old_run)
    config = opened.config
    assert (config.profile, config.api, config.tokenizer) == ("default", "chat", "rouge")
    rows = json.loads(exported(opened.state, "alpaca"))
    assert rows == [{"instruction": INSTRUCTION, "input": "", "output": "Nile, Ob, Rhine"}]
    assert set(opened.templates) == set(PROMPTS)


def test_an_older_run_is_explained(old_run: Path) -> None:
    history = History(*read_history(old_run))
    (task,) = explain(history, "three rivers").found
    assert isinstance(task, TaskFate)
    (candidate,) = explain(history, "Draw a house.").found
    assert isinstance(candidate, CandidateFate)
    assert candidate.reason == "too_short"


def test_an_older_run_is_verified_but_for_its_decisions(old_run: Path) -> None:
    verification = verify(*read_history(old_run))
    assert verification.problems == ()
    assert verification.prompts == 3  # its prompts are planned as they were then
    assert "version 1 of the rules (here it is " in verification.not_decided


def test_the_commands_that_read_take_an_older_run(old_run: Path, tmp_path: Path) -> None:
    done = typed("status", old_run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kind unclear" in done.stdout
    assert typed("export", old_run, "-o", tmp_path / "x.json").returncode == 0


def test_an_older_run_is_not_continued_and_says_why(old_run: Path) -> None:
    with pytest.raises(
        OtherVersionError,
        match=r"old: made by an earlier version of selfinstruct \(rules 1, here \d; parsers 1, here \d; .*; "
        "it can be read and exported, and continued only with that version$",
    ):
        run(old_run, backend=ScriptedBackend())


def test_an_older_run_without_a_reply_is_to_be_started_anew(old_run: Path) -> None:
    path = old_run / "journal.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    with pytest.raises(OtherVersionError, match=r"\); it has no reply yet, so start it anew in an"):
        run(old_run, backend=ScriptedBackend())


def test_an_older_run_is_refiltered_by_what_decides_today(old_run: Path, tmp_path: Path) -> None:
    source, refiltered = refilter_run(old_run, tmp_path / "new", {})
    opened = read_run(tmp_path / "new")
    assert opened.versions == VERSIONS != source.versions
    origin = opened.state.source
    assert origin is not None
    assert origin.versions == {"rules": 1, "parsers": 1, "tokenizer": 1}
    rows = json.loads(exported(opened.state, "alpaca"))
    assert rows == [{"instruction": INSTRUCTION, "input": "", "output": "Nile, Ob, Rhine"}]
    assert opened.config.tokenizer == "rouge"
    assert refiltered.comparison.after.unclear_kinds == 1  # today it would be asked once more
    verification = verify(*read_history(tmp_path / "new"))
    assert verification.problems == ()
    assert verification.not_decided == ""


def test_the_demo_says_what_to_do_with_one_of_an_older_release(old_run: Path) -> None:
    done = typed("demo", "-o", old_run)
    assert done.returncode == 2
    assert "remove the directory, or choose another one with -o" in done.stderr
