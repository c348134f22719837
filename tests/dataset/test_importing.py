"""Imports of files from other tools lose nothing, filter nothing, and produce a run that can continue."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from support import (
    FaultyBackend,
    ScriptedBackend,
    cuts,
    examples,
    exported,
    make_completion,
    make_seed_task,
    request_log,
    scripted_text,
    sealed_journal,
)

from selfinstruct.analysis.estimate import basis_of
from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.analysis.verify import verify
from selfinstruct.api import run
from selfinstruct.cost import Consumption, Price
from selfinstruct.dataset.importing.directory import Import, import_run
from selfinstruct.dataset.importing.merge import MEANING
from selfinstruct.errors import (
    ConfigChangedError,
    ConfigError,
    InputError,
    JournalError,
    RunDirectoryError,
)
from selfinstruct.journal_events import ImportedFile, TaskImported
from selfinstruct.pipeline.marginal_cost import marginal_cost
from selfinstruct.pipeline.plan import expected_yield
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.pipeline.state import apply, initial
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Completion, Instance, Reason, Request
from selfinstruct.runner.directory import open_run, planned_run, read_history, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.journal_line import Entry
from selfinstruct.runner.loop import grow
from selfinstruct.simulate.server.listening import SimulatedEndpoint

Record = Mapping[str, Any]


def lines(path: Path, records: Iterable[Record]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def instruction(n: int) -> str:
    return f"Plan the {n}. day of a walk along the coast."


def instructions_file(place: Path, numbers: Iterable[int]) -> Path:
    """Write a `machine_generated_instructions.jsonl` in its published form, and return its path."""
    return lines(
        place / "machine_generated_instructions.jsonl",
        (
            {
                "instruction": instruction(n),
                "most_similar": {"Name a coast.": 0.2},
                "avg_similarity_score": 0.03,
                "metadata": {"response": {"model": "oldest-1", "choices": [{"text": "…"}]}},
                "request_idx": n,
            }
            for n in numbers
        ),
    )


def kinds_file(place: Path, answers: Iterable[tuple[int, Any]]) -> Path:
    return lines(
        place / "is_clf_or_not_oldest_template_1.jsonl",
        ({"instruction": instruction(n), "is_classification": answer} for n, answer in answers),
    )


def raw_file(place: Path, replies: Iterable[tuple[int, Any]], finish: str = "stop") -> Path:
    return lines(
        place / "machine_generated_instances.jsonl",
        (
            {
                "instruction": instruction(n),
                "raw_instances": text,
                "instance_metadata": {"response": {"choices": [{"finish_reason": finish}]}},
                "instruction_metadata": None,
                "most_similar": {},
            }
            for n, text in replies
        ),
    )


def row(n: int, given: str = "", output: str = "Walk.") -> dict[str, Any]:
    return {"instruction": instruction(n), "input": given, "output": output}


def rows_file(place: Path, rows: Sequence[Record], name: str = "regen.json") -> Path:
    path = place / name
    path.write_text(json.dumps(rows, indent=4))
    return path


def imports(directory: Path) -> list[TaskImported]:
    events = (entry.event for entry in read_journal(directory / "journal.jsonl"))
    return [event for event in events if isinstance(event, TaskImported)]


def told(tasks: Iterable[TaskImported]) -> list[tuple[Any, ...]]:
    """Return the imported tasks' values, except their places."""
    return [(t.task_id, t.instruction, t.is_classification, t.instances, t.rejected) for t in tasks]


def everything(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def old(tmp_path: Path) -> list[Path]:
    """Write the files that the published code leaves for six tasks, some of them incomplete."""
    folder = tmp_path / "old"
    folder.mkdir()
    several = "Example 1\nInput: rain\nOutput: Stay.\nExample 2\nInput: sun\nOutput: Go."
    labels = "Class label: wet\nIt rains.\nClass label: dry\nThe sun is out."
    return [
        raw_file(folder, [(1, several), (2, labels), (3, "")]),
        kinds_file(folder, [(1, " No"), (2, " Yes"), (3, "No"), (4, "Go on."), (5, "No")]),
        instructions_file(folder, range(1, 7)),
    ]


@pytest.fixture
def settings_(seeds_file: Path) -> dict[str, Any]:
    return {"seed_tasks": seeds_file}


@pytest.fixture
def imported(tmp_path: Path, old: list[Path], settings_: dict[str, Any]) -> Path:
    """Return the directory of an imported run that has not sent any request."""
    import_run(tmp_path / "run", old, settings_)
    return tmp_path / "run"


GROWN = {"model": "scripted", "num_instructions": 20}
PRICE = Price(input=Decimal(1), cached_input=Decimal(1), output=Decimal(1))


def unclear_text(request: Request) -> str:
    """Return `scripted_text`, or for some classification requests an unclear answer."""
    if request.stage == "classify" and request.prompt.sha256[0] < "6":
        return "Sure, go ahead."
    return scripted_text(request)


# ── reading the files ────────────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=examples(40))
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "instruction": st.sampled_from(
                    ["Count.", "Count. ", "Zähle.", "数えて。", "\x1b[2J"]
                )
                | texts.filter(str.strip),
                "input": texts,
                "output": texts.filter(str.strip),
            }
        ),
        min_size=1,
        max_size=12,
    ),
    name=st.sampled_from(["regen.json", "rows.jsonl"]),
)
def test_rows_come_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]], name: str
) -> None:
    """Check that rows are grouped by stripped instruction, and that duplicates are dropped."""
    place = tmp_path_factory.mktemp("rows")
    path = place / name
    path.write_text(
        json.dumps(rows) if name.endswith("json") else "".join(json.dumps(r) + "\n" for r in rows)
    )
    done = import_run(place / "run", [path], {})
    expected: dict[str, dict[tuple[str, str], None]] = {}
    for record in rows:
        given_input = record["input"] if record["input"].strip() else ""
        pairs = expected.setdefault(record["instruction"].strip(), {})
        pairs[given_input, record["output"]] = None
    if any(re.search(r"input", record["input"], re.IGNORECASE) for record in rows):
        return  # Phrases that mean "no input" become "".
    back = json.loads(exported(place / "run", "alpaca"))
    assert [(r["instruction"].strip(), r["input"], r["output"]) for r in back] == [
        (text, *pair) for text, pairs in expected.items() for pair in pairs
    ]
    assert done.rows + done.left_out.get("repeated", 0) == len(rows)


@pytest.mark.parametrize("spelling", ["<noinput>", "<Noinput>", "No input", "&lt;noinput&gt;", " "])
def test_phrases_for_no_input_become_empty(
    tmp_path: Path, settings_: dict[str, Any], spelling: str
) -> None:
    import_run(tmp_path / "run", [rows_file(tmp_path, [row(1, spelling)])], settings_)
    assert imports(tmp_path / "run")[0].instances == (Instance(input="", output="Walk."),)


def test_possible_inputs_stay(tmp_path: Path, settings_: dict[str, Any]) -> None:
    """Check that inputs such as "None" are kept, because "None" may be a word to translate."""
    given = ["None", "-", "N/A", "The input is empty."]
    import_run(tmp_path / "run", [rows_file(tmp_path, [row(1, g) for g in given])], settings_)
    (task,) = imports(tmp_path / "run")
    assert [instance.input for instance in task.instances or ()] == given


def test_the_order_of_files_changes_nothing(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any]
) -> None:
    files = [*old, rows_file(tmp_path, [row(9), row(1, "snow", "Stay in bed.")])]
    journals = []
    for number, ordered in enumerate(permutations(files)):
        directory = tmp_path / f"run{number}"
        import_run(directory, ordered, settings_)
        journals.append([entry.event for entry in read_journal(directory / "journal.jsonl")])
    assert all(events == journals[0] for events in journals)
    tasks = imports(tmp_path / "run0")
    # Instruction files are read first, and row files last.
    assert [t.instruction for t in tasks] == [instruction(n) for n in (1, 2, 3, 4, 5, 6, 9)]
    assert tasks[0].place == "machine_generated_instructions.jsonl:1"
    assert tasks[-1].place == "regen.json: record 1"
    assert tasks[0].model == "oldest-1"


def test_every_format_gives_the_same(tmp_path: Path, settings_: dict[str, Any]) -> None:
    rows = [row(1, "a, b"), row(2, output="Two\nlines."), row(1, "c")]
    files = [
        rows_file(tmp_path, rows),
        lines(tmp_path / "rows.jsonl", rows),
        tmp_path / "rows.csv",
    ]
    with files[2].open("w", newline="") as file:
        writer = csv.DictWriter(file, ["instruction", "input", "output"])
        writer.writeheader()
        writer.writerows(rows)
    read = []
    for number, path in enumerate(files):
        import_run(tmp_path / f"run{number}", [path], settings_)
        read.append(told(imports(tmp_path / f"run{number}")))
    assert read[0] == read[1] == read[2]


def test_parquet_is_read(tmp_path: Path, settings_: dict[str, Any]) -> None:
    table = pyarrow.Table.from_pylist([row(1), row(2, "x")])
    parquet.write_table(table, tmp_path / "rows.parquet")
    import_run(tmp_path / "run", [tmp_path / "rows.parquet"], settings_)
    assert [task.place for task in imports(tmp_path / "run")] == [
        "rows.parquet: record 1",
        "rows.parquet: record 2",
    ]


def test_seed_tasks_of_others_can_be_imported(tmp_path: Path, settings_: dict[str, Any]) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(20, 25)]))
    import_run(tmp_path / "run", [path], settings_)
    tasks = imports(tmp_path / "run")
    assert [task.is_classification for task in tasks] == [True, False, False, False, False]
    assert all(task.instances for task in tasks)


def test_no_rule_rejects_imported_tasks(tmp_path: Path, settings_: dict[str, Any]) -> None:
    """Check that near-duplicates, pictures, single words and leading punctuation are all kept."""
    kept = ["Draw a picture.", "Draw a picture!", "Sing", "- Walk.", "Write a program."]
    rows = [{"instruction": text, "output": "Done."} for text in kept]
    import_run(tmp_path / "run", [rows_file(tmp_path, rows)], settings_)
    assert [task.instruction for task in imports(tmp_path / "run")] == kept


def test_each_record_is_used_or_counted(tmp_path: Path, settings_: dict[str, Any]) -> None:
    a_seed = make_seed_task(3).instruction
    files = [
        kinds_file(tmp_path, [(1, "Yes"), (1, "No"), (2, "No"), (2, "No"), (3, "Hm."), (3, "Yes")]),
        raw_file(tmp_path, [(1, "Class label: x\nIt is."), (5, "Output: It is."), (5, "Output: It is.")]),
        rows_file(
            tmp_path,
            [
                {"instruction": a_seed, "output": "It does."},
                {"instruction": " \n", "output": "What?"},
                row(1),
                row(1),
                row(4, output=""),
            ],
        ),
    ]  # fmt: skip
    done = import_run(tmp_path / "run", files, settings_)
    assert done.left_out == {
        "repeated": 3,  # These are an answer, a raw reply and a row.
        "other_answer": 2,  # These are for the first and the third task.
        "seed_task": 1,
        "empty_instruction": 1,
        "has_rows": 1,
    }
    assert set(done.left_out) == set(MEANING)
    assert sum(file.records for file in done.files) == 14
    assert (done.tasks, done.with_instances, done.rows, done.without_kind) == (5, 2, 2, 1)
    assert done.instances_rejected == {Reason.EMPTY_OUTPUT: 1}
    assert sum(file.tasks for file in done.files) == done.tasks
    # The last clear answer is used, as in the published code.
    kinds = {task.instruction: task.is_classification for task in imports(tmp_path / "run")}
    assert kinds == {
        instruction(1): False,
        instruction(2): False,
        instruction(3): True,
        instruction(4): None,
        instruction(5): None,
    }


def test_surrogates_are_replaced_and_counted(tmp_path: Path, settings_: dict[str, Any]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction": "Greet \\ud83d her.", "input": "", "output": "Hello \\ud83d."}\n'
    )
    done = import_run(tmp_path / "run", [path], settings_)
    (task,) = imports(tmp_path / "run")
    assert (task.instruction, done.repaired) == ("Greet \N{REPLACEMENT CHARACTER} her.", 1)


# ── kinds and raw instances ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("profile", "answer", "kind"),
    [
        ("paper", " Yes", True),
        ("paper", "Yes.", False),
        ("paper", "", False),
        ("default", "Yes.", True),
        ("default", "Sure, go ahead.", None),
        ("default", None, None),
        ("paper", None, None),
        ("default", True, True),
        ("paper", False, False),
        ("paper", "True", True),
        ("default", "false", False),
    ],
)
def test_answers_are_read_by_the_profile(
    tmp_path: Path, settings_: dict[str, Any], profile: str, answer: object, kind: bool | None
) -> None:
    path = kinds_file(tmp_path, [(1, answer)])
    import_run(tmp_path / "run", [path], {**settings_, "profile": profile})
    assert imports(tmp_path / "run")[0].is_classification is kind


def test_raw_instances_are_parsed_like_replies(imported: Path) -> None:
    tasks = imports(imported)
    assert [len(task.instances or ()) for task in tasks] == [2, 2, 0, 0, 0, 0]
    assert tasks[1].instances is not None
    assert tasks[1].instances[0] == Instance(input="It rains.", output="wet")
    assert [task.instances is None for task in tasks] == [False, False, True, True, True, True]
    (rejection,) = tasks[2].rejected
    assert (rejection.candidate_id, rejection.reason) == (
        "import/task_000003#1",
        Reason.EMPTY_REPLY,
    )


def test_a_kind_next_to_instances_is_read(tmp_path: Path, settings_: dict[str, Any]) -> None:
    """Check that the kind is used. Otherwise labels would be parsed as inputs, and requested again."""
    labels = "Class label: wet\nIt rains."
    raw = lines(
        tmp_path / "raw.jsonl",
        (
            {"instruction": instruction(n), "raw_instances": labels, "is_classification": kind}
            for n, kind in ((1, " Yes"), (2, True), (3, ""), (4, None))
        ),
    )
    table = tmp_path / "rows.csv"
    table.write_text(
        f"instruction,output,is_classification\n{instruction(5)},Walk.,False\n{instruction(6)},Walk.,\n"
    )
    done = import_run(
        tmp_path / "run", [raw, table, kinds_file(tmp_path, [(3, "Yes"), (1, "No")])], settings_
    )
    found = {task.instruction: task for task in imports(tmp_path / "run")}
    kinds = [found[instruction(n)].is_classification for n in range(1, 7)]
    assert kinds == [True, True, True, None, False, None]
    for n in (1, 2, 3):
        assert found[instruction(n)].instances == (Instance(input="It rains.", output="wet"),)
    assert done.left_out == {}


def test_a_cut_reply_loses_its_last_instance(tmp_path: Path, settings_: dict[str, Any]) -> None:
    text = "Example 1\nInput: a\nOutput: one\nExample 2\nInput: b\nOutput: tw"
    import_run(tmp_path / "run", [raw_file(tmp_path, [(1, text)], "length")], settings_)
    (task,) = imports(tmp_path / "run")
    assert task.instances == (Instance(input="a", output="one"),)
    assert [(r.candidate_id, r.reason) for r in task.rejected] == [
        ("import/task_000001#2", Reason.TRUNCATED)
    ]


def test_instances_of_several_replies_count_once(tmp_path: Path, settings_: dict[str, Any]) -> None:
    replies = [
        "Input: a\nOutput: one",
        "Input: a\nOutput: one\n",
        "Input: b\nOutput: two",
        "Output: 3",
    ]
    path = raw_file(tmp_path, [(1, text) for text in replies])
    import_run(tmp_path / "run", [path], {**settings_, "max_instances": 2})
    (task,) = imports(tmp_path / "run")
    assert [instance.output for instance in task.instances or ()] == ["one", "two"]
    assert [(r.candidate_id[-2:], r.reason) for r in task.rejected] == [
        ("#2", Reason.DUPLICATE_INSTANCE),
        ("#4", Reason.OVER_LIMIT),
    ]
    assert verify(*read_history(tmp_path / "run")).problems == []


def test_an_unclear_kind_is_requested_without_instances(
    tmp_path: Path, settings_: dict[str, Any]
) -> None:
    files = [
        kinds_file(tmp_path, [(1, "Hm."), (2, "Hm.")]),
        raw_file(tmp_path, [(1, "Output: Go.")]),
    ]
    import_run(tmp_path / "run", files, settings_)
    whole, unclear = imports(tmp_path / "run")
    assert (whole.is_classification, whole.answer) == (False, "unclear")
    assert (unclear.is_classification, unclear.answer) == (None, "unclear")
    assert summarize(read_run(tmp_path / "run").state).unclear_kinds == 1


# ── the imported run ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_requests_only_missing_parts(imported: Path) -> None:
    backend = ScriptedBackend()
    summary = run(imported, {"model": "scripted"}, backend=backend)
    # The kinds of tasks 3 and 5 are known; task 4 is unclear, and task 6 has no answer.
    assert set(backend.asked) == {
        "instances/task_000003",
        "classify/task_000004",
        "instances/task_000004",
        "instances/task_000005",
        "classify/task_000006",
        "instances/task_000006",
    }
    assert (summary.accepted, summary.imported, summary.grown) == (6, 6, 0)
    assert (summary.candidates, summary.open) == (0, 0)


def test_a_run_grows_from_imported_tasks(imported: Path) -> None:
    backend = ScriptedBackend()
    summary = run(imported, GROWN, backend=backend)
    state = read_run(imported).state
    assert summary.accepted >= 20
    assert summary.imported == 6
    assert summary.candidates == summary.grown + sum(summary.rejected.values())
    assert sum(step.candidates for step in summary.by_pool_size) == summary.candidates
    assert summary.by_pool_size[0].smallest == 16
    assert not {f"instances/task_{n:06d}" for n in (1, 2)} & set(backend.asked)
    shown = {name for t in state.pool if t.provenance for name in t.provenance.demonstration_ids}
    assert {f"task_{n:06d}" for n in range(1, 7)} & shown
    grown = [task for task in state.pool.generated if task.origin == "generated"]
    assert grown[0].id == "task_000007"
    assert verify(*read_history(imported)).problems == []


def test_imported_tasks_influence_the_script_rule(
    tmp_path: Path, settings_: dict[str, Any]
) -> None:
    korean = [{"instruction": f"강의 이름을 {n}개 쓰세요", "output": "한강"} for n in range(9)]
    file = lines(tmp_path / "korean.jsonl", korean)
    import_run(tmp_path / "run", [file], settings_)
    assert read_run(tmp_path / "run").state.scripts == {"LATIN", "HANGUL"}

    class Answering(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if request.stage != "generate":
                return await super().complete(request)
            return make_completion("9. 산의 높이를 비교하는 문장을 하나 쓰세요")

    summary = run(tmp_path / "run", {"model": "m", "num_instructions": 10}, backend=Answering())
    assert summary.grown == 1
    assert verify(*read_history(tmp_path / "run")).problems == []


def test_an_export_names_the_imported_model(tmp_path: Path, settings_: dict[str, Any]) -> None:
    response = {"model": "davinci", "choices": [{"text": "x"}]}
    file = lines(
        tmp_path / "old.jsonl", [{"instruction": "Go on.", "metadata": {"response": response}}]
    )
    rows = lines(tmp_path / "rows.jsonl", [{"instruction": "Go on.", "output": "Further."}])
    import_run(tmp_path / "run", [file, rows], settings_)
    [row] = map(json.loads, exported(tmp_path / "run").splitlines())
    assert (row["origin"], row["model"], row["request_id"]) == ("imported", "davinci", None)


def test_finished_tasks_cause_no_real_request(tmp_path: Path, imported: Path) -> None:
    log = tmp_path / "log.jsonl"
    with SimulatedEndpoint(log=log) as endpoint:
        online = {"model": "simulated", "base_url": endpoint.base_url, "num_instructions": 30}
        summary = run(imported, online)
        run(imported)  # It sends no further requests.
    asked = [
        entry["client_request_id"] for entry in request_log(log) if entry["event"] == "received"
    ]
    assert summary.accepted >= 30
    assert len(asked) == sum(summary.requests.values())
    known = {f"{stage}/task_00000{n}" for stage in ("classify", "instances") for n in (1, 2)}
    known |= {f"classify/task_00000{n}" for n in (3, 5)}
    assert not known & set(asked)
    assert "instances/task_000003" in asked
    assert verify(*read_history(imported)).problems == []


@pytest.mark.parametrize("mix", [{}, {"show_input": True}, {"profile": "paper"}])
def test_stopped_anywhere_it_gives_the_same(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any], mix: dict[str, Any]
) -> None:
    expected = ""
    for stop_after in (None, 0, 1, 5, 17):
        directory = tmp_path / f"run{stop_after}"
        import_run(directory, old, {**settings_, **mix})
        if stop_after is not None:
            asyncio.run(_stopped(directory, stop_after))
        run(directory, GROWN, backend=ScriptedBackend(unclear_text))
        data = exported(directory, "alpaca").decode()
        assert not expected or data == expected
        expected = data


@pytest.mark.parametrize("mix", [{}, {"show_input": True}])
def test_parallel_requests_give_the_same_dataset(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any], mix: dict[str, Any]
) -> None:
    found = set()
    for slots in (1, 3, 64):
        directory = tmp_path / f"run{slots}"
        import_run(directory, old, {**settings_, **mix, "max_concurrency": slots})
        run(directory, GROWN, backend=ScriptedBackend(unclear_text))
        found.add(exported(directory))
    assert len(found) == 1


async def _stopped(directory: Path, requests: int) -> None:
    stop = asyncio.Event()

    async def pause(_: Request) -> None:
        if len(backend.asked) > requests:
            stop.set()
        await asyncio.sleep(0)

    backend = ScriptedBackend(unclear_text, pause=pause)
    with open_run(directory, GROWN) as opened:
        await grow(opened, backend=backend, stop=stop)


def test_a_cut_journal_gives_the_same_dataset(
    imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check every truncation: new requests can replace lost replies, but not lost imported tasks."""
    run(imported, {"model": "m", "num_instructions": 8}, backend=ScriptedBackend())
    journal, expected = imported / "journal.jsonl", exported(imported, "alpaca")
    data = journal.read_bytes()
    whole = (
        max(data.find(b"\n", place.start()) for place in re.finditer(b'"task_imported"', data)) + 1
    )
    monkeypatch.setattr(os, "fsync", lambda _: None)
    refused = 0
    for cut in cuts(data):
        journal.write_bytes(data[:cut])
        (imported / "journal.jsonl.torn").unlink(missing_ok=True)
        if cut >= whole:
            run(imported, backend=ScriptedBackend())
            assert exported(imported, "alpaca") == expected
        else:
            refused += 1
            with pytest.raises(
                RunDirectoryError, match=r"journal was truncated: \d of the 6 imported tasks"
            ):
                run(imported, backend=ScriptedBackend())
    assert refused > 3


def test_the_same_files_give_the_same_run(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any]
) -> None:
    for name in ("one", "two"):
        import_run(tmp_path / name, old, settings_)
    one, two = (everything(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys() == {
        "config.yaml", "journal.jsonl", "run.lock", "seed_tasks.jsonl",
        *(name for name in one if name.startswith("prompts/")),
    }  # fmt: skip
    for name in one:
        ours, theirs = (
            re.sub(rb'"(at|crc)":"[^"]*"|created_at: .*', b"", files[name]) for files in (one, two)
        )
        assert ours == theirs


def test_a_run_has_no_private_path(imported: Path, old: list[Path]) -> None:
    assert str(old[0].parent).encode() not in (imported / "journal.jsonl").read_bytes()


def test_files_of_one_name_differ(tmp_path: Path, settings_: dict[str, Any]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    files = [rows_file(tmp_path / "a", [row(1)]), rows_file(tmp_path / "b", [row(2)])]
    import_run(tmp_path / "run", files, settings_)
    assert [task.place for task in imports(tmp_path / "run")] == [
        "regen.json: record 1",
        "regen.json (2): record 1",
    ]


def test_the_hash_is_of_the_file(tmp_path: Path, settings_: dict[str, Any]) -> None:
    path = rows_file(tmp_path, [row(1)])
    done = import_run(tmp_path / "run", [path], settings_)
    line = f"sha256sum {path}"
    shell = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert shell.stdout.split()[0] == done.files[0].sha256


def test_imported_tasks_do_not_change_the_forecast(imported: Path) -> None:
    """Check that yield, cost per instruction and estimates use only the requests that this run sent."""
    state = read_run(imported).state
    assert state.counts.imported == 6
    assert expected_yield(state, SELF_INSTRUCT) == SELF_INSTRUCT.generate.instructions_asked / 2
    state.price = PRICE
    assert marginal_cost(state).usd_per_accepted is None
    run(imported, GROWN, backend=ScriptedBackend())
    state = read_run(imported).state
    state.price = PRICE
    ahead = marginal_cost(state)
    assert state.timeline.accepted == state.grown == state.accepted - 6
    assert ahead.acceptance == state.grown / (state.grown + state.counts.rejected.total())
    assert ahead.usd_per_accepted is not None
    assert ahead.cost_usd is not None
    # Requests about four imported tasks do not count towards the cost of new tasks.
    assert ahead.usd_per_accepted * state.grown < ahead.cost_usd


def test_the_estimate_counts_open_tasks(imported: Path) -> None:
    basis = basis_of(planned_run(imported, GROWN))
    assert (basis.accepted, basis.seed_tasks) == (6, 10)
    assert basis.open_tasks == {"classify": 2, "instances": 4}
    assert basis.so_far == Consumption()
    run(imported, GROWN, backend=ScriptedBackend())
    informed = basis_of(planned_run(imported, {"num_instructions": 99}))
    assert informed.assumptions.pool_size >= 16


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_needs_a_model(imported: Path) -> None:
    said = "run: was imported without a model; choose one, for example with -m"
    for others in ({}, {"threshold": 0.5}):
        with pytest.raises(RunDirectoryError, match=said):
            run(imported, others, backend=ScriptedBackend())
        with pytest.raises(RunDirectoryError, match=said):
            planned_run(imported, others)


def test_settings_may_change_before_the_first_reply(imported: Path) -> None:
    run(imported, {**GROWN, "threshold": 0.6}, backend=ScriptedBackend())
    assert read_run(imported).config.threshold == 0.6
    with pytest.raises(ConfigChangedError):
        run(imported, {"threshold": 0.7}, backend=ScriptedBackend())


def test_the_default_target_is_the_imported_number(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any], imported: Path
) -> None:
    assert read_run(imported).config.num_instructions == 6
    import_run(tmp_path / "more", old, {**settings_, "num_instructions": 30, "model": "m"})
    summary = run(tmp_path / "more", backend=ScriptedBackend())
    assert summary.accepted >= 30


def test_alpaca_imports_whole_tasks_only(
    tmp_path: Path, old: list[Path], settings_: dict[str, Any]
) -> None:
    alpaca = {**settings_, "recipe": "alpaca"}
    with pytest.raises(
        InputError, match=r"instructions.jsonl:3: the task has no usable instance.* alpaca"
    ):
        import_run(tmp_path / "run", old, alpaca)
    assert not (tmp_path / "run").exists()
    import_run(tmp_path / "run", [rows_file(tmp_path, [row(n) for n in range(1, 4)])], alpaca)
    assert read_run(tmp_path / "run").state.open_tasks == 0


def test_alpaca_cannot_be_chosen_later(imported: Path) -> None:
    with pytest.raises(
        ConfigError, match="recipe: alpaca never asks for instances, but some imported tasks"
    ):
        run(imported, {**GROWN, "recipe": "alpaca"}, backend=ScriptedBackend())
    assert read_run(imported).config.recipe == "self-instruct"


# ── completely or not at all ─────────────────────────────────────────────────────────────────────────────

KILLED = """
import os, signal, sys
from pathlib import Path
from selfinstruct.runner import create_from_events
from selfinstruct.dataset.importing.directory import import_run
create_from_events.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
import_run(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], {})
"""


def test_a_killed_import_can_be_repeated(tmp_path: Path, old: list[Path]) -> None:
    new = tmp_path / "new"
    done = subprocess.run([sys.executable, "-c", KILLED, new, *old], env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(RunDirectoryError, match="is not a run directory"):
        read_run(new)
    with pytest.raises(
        RunDirectoryError,
        match=r"left incomplete when importing machine_generated_instructions\.jsonl was interrupted",
    ):
        run(new, {"model": "m"}, backend=ScriptedBackend())
    import_run(new, old, {})
    assert read_run(new).state.counts.imported == 6


def test_a_damaged_run_is_not_replaced(old: list[Path], imported: Path) -> None:
    """Check that nothing is overwritten, because a started run's journal contains paid replies."""
    run(imported, GROWN, backend=ScriptedBackend())
    (imported / "config.yaml").unlink()
    before = everything(imported)
    for again in (lambda: import_run(imported, old, {}), lambda: planned_run(imported, GROWN)):
        with pytest.raises(RunDirectoryError, match="contains a journal but no config"):
            again()
    assert everything(imported) == before


def test_another_directory_is_not_changed(old: list[Path], imported: Path) -> None:
    for directory in (imported, old[0].parent):
        before = everything(directory)
        with pytest.raises(RunDirectoryError):
            import_run(directory, old, {})
        assert everything(directory) == before


# ── other commands ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.5}, {"profile": "paper"}], ids=str)
def test_refiltering_keeps_imported_tasks(
    tmp_path: Path, imported: Path, settings: dict[str, Any]
) -> None:
    run(imported, GROWN, backend=FaultyBackend())
    source, refiltered = refilter_run(imported, tmp_path / "new", settings)
    new = read_run(tmp_path / "new")
    assert imports(tmp_path / "new") == imports(imported)
    assert new.state.imports == source.state.imports
    after = refiltered.comparison.after
    assert after.imported == 6
    assert after.candidates == after.grown + sum(after.rejected.values())
    if not settings:
        assert exported(tmp_path / "new", "jsonl") == exported(imported, "jsonl")
    # The replies about imported tasks are kept.
    assert [t.instances is None for t in new.state.pool.generated[:6]] == [False] * 6
    assert verify(*read_history(tmp_path / "new")).problems == []


def test_replies_about_imported_tasks_can_be_refiltered(tmp_path: Path, imported: Path) -> None:
    with pytest.raises(RunDirectoryError, match="has no decision to make again"):
        refilter_run(imported, tmp_path / "early", {})
    run(imported, {"model": "m"}, backend=ScriptedBackend())
    refilter_run(imported, tmp_path / "new", {"max_instances": 1})
    tasks = read_run(tmp_path / "new").state.pool.generated
    # Imported instances are kept, but replies to requests are parsed again.
    assert [len(task.instances or ()) for task in tasks[:2]] == [2, 2]
    assert all(len(task.instances or ()) <= 1 for task in tasks[2:])


def test_explain_names_file_and_line(imported: Path) -> None:
    history = History(*read_history(imported))
    (task,) = explain(history, instruction(3)).found
    assert task.kind == "imported task"
    assert task.place == "machine_generated_instructions.jsonl:3"
    assert (task.model, task.imported_answer, task.is_classification) == ("oldest-1", "no", False)
    assert [item.reason for item in task.rejected] == [Reason.EMPTY_REPLY]
    for query in ("task_1", "import/task_1", "TASK_000001"):
        (found,) = explain(history, query).found
        assert found.kind == "imported task"
        assert found.id == "task_000001"
    (kept,) = explain(history, "import/task_000002#2").found
    assert kept.kind == "instance"
    assert (kept.outcome, kept.instance) == (
        "accepted",
        Instance(input="The sun is out.", output="dry"),
    )
    (item,) = explain(history, "The sun is out.").found
    assert item.kind == "instance"
    assert item.id == "import/task_000002#2"
    assert "task_000001 to task_000006, which were imported" in explain(history, "task_99").note


def test_explain_knows_later_events(imported: Path) -> None:
    def write(request: Request) -> str:
        if request.stage == "instances":
            return "Output: N/A"
        return scripted_text(request)

    run(imported, GROWN, backend=ScriptedBackend(write))
    history = History(*read_history(imported))
    (task,) = explain(history, "task_000003").found
    assert task.kind == "imported task"
    assert task.instances == ()
    assert [item.id for item in task.rejected] == [
        "import/task_000003#1",
        "instances/task_000003#1",
    ]
    found = (explain(history, f"task_{n:06d}").found[0] for n in range(1, 7))
    assert any(fate.kind == "imported task" and fate.shown for fate in found)


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def altered(directory: Path, change: Any) -> list[str]:
    """Return the problems that `verify` finds after `change` was applied to each event."""
    before, entries = read_history(directory)
    events = [change(entry.event) for entry in entries]
    changed = (Entry(seq=n, at=NOON, event=e) for n, e in enumerate(filter(None, events), start=1))
    return [f"{p.what}: {p.why}" for p in verify(before, changed).problems]


def test_verify_counts_and_checks_imported_tasks(imported: Path) -> None:
    verification = verify(*read_history(imported))
    assert (verification.imported, verification.holds, verification.is_empty) == (6, True, False)

    def only_second(**changes: Any) -> Any:
        return lambda e: (
            replace(e, **changes)
            if isinstance(e, TaskImported) and e.task_id == "task_000002"
            else e
        )

    (found,) = altered(imported, only_second(task_id="task_000009"))
    assert found == "task_000009: was imported in place of task_000002"
    (found,) = altered(imported, only_second(instances=()))
    assert "is marked finished but has no instance" in found
    rejected = imports(imported)[2].rejected
    assert "not numbered" in altered(imported, only_second(rejected=rejected))[0]
    gone = lambda e: None if isinstance(e, TaskImported) and e.task_id == "task_000006" else e  # noqa: E731
    assert altered(imported, gone) == ["the journal: ends before the last 1 imported tasks"]


def test_no_import_after_a_request(imported: Path) -> None:
    run(imported, GROWN, backend=ScriptedBackend())
    opened, entries = read_history(imported)
    events = [entry.event for entry in entries]
    state = initial(opened.config, opened.seed_tasks)
    for event in events:
        apply(state, event)
    late = next(event for event in events if isinstance(event, TaskImported))
    file = next(event for event in events if isinstance(event, ImportedFile))
    for event in (file, replace(late, task_id="task_000099")):
        with pytest.raises(ValueError, match="cannot be imported after the first request"):
            apply(state, event)


def test_missing_imported_tasks_are_noticed(imported: Path) -> None:
    run(imported, {"model": "m"}, backend=ScriptedBackend())
    journal = imported / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"id":"task_000006"' not in line]
    kept = [line for line in kept if b'"task_imported","task_id":"task_000006"' not in line]
    journal.write_bytes(sealed_journal(kept))
    with pytest.raises(JournalError, match="1 of the imported tasks are missing"):
        read_run(imported)


def test_the_summary_of_an_import(imported: Path, old: list[Path]) -> None:
    done: Import = import_run(imported.with_name("again"), old, {})
    assert [file.form for file in done.files] == ["instructions", "kinds", "instances"]
    assert (done.tasks, done.with_instances, done.without_instances, done.rows) == (6, 2, 4, 4)
    assert done.without_kind == 2
    assert done.instances_rejected == {Reason.EMPTY_REPLY: 1}
    assert done.model == ""
