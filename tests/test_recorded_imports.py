"""Import recorded runs of the published code: the import must keep the recorded decisions.

The recorded runs are not part of this repository; see `test_recorded_runs`.
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from test_recorded_runs import FOLDER, RAW, REGEN, Row, rows

from selfinstruct.analysis.verify import verify
from selfinstruct.dataset.importing.directory import import_run
from selfinstruct.journal_events import TaskImported
from selfinstruct.records import Instance, Reason
from selfinstruct.runner.directory import read_history, read_run

pytestmark = pytest.mark.skipif(
    not (FOLDER / "raw/index.json").is_file(),
    reason="no recorded runs (set SELFINSTRUCT_RECORDED_RUNS to their folder)",
)


def settings_of(place: Path, entry: Row) -> dict[str, Any]:
    """Return settings with a recorded run's seed tasks, if known, and with at most eight demonstrations."""
    if "seeds" not in entry:
        return {"profile": "paper"}
    seeds = list(rows(entry["seeds"]))
    (place / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds))
    return {
        "profile": "paper",
        "seed_tasks": place / "seeds.jsonl",
        "demonstrations": min(8, len(seeds)),
    }


def written(path: Path, records: Iterable[Row]) -> list[Path]:
    """Write records of a recorded run to a file and return its path. Without records, return no path."""
    lines = [json.dumps(record) + "\n" for record in records]
    path.write_text("".join(lines))
    return [path] if lines else []


@pytest.mark.parametrize("entry", REGEN, ids=lambda entry: Path(entry["file"]).name)
def test_recorded_instructions_become_tasks_in_order(entry: Row, tmp_path: Path) -> None:
    data = gzip.decompress((FOLDER / entry["file"]).read_bytes())
    path = tmp_path / "regen.json"
    path.write_bytes(data)
    records = json.loads(data)
    done = import_run(tmp_path / "run", [path], settings_of(tmp_path, entry))
    seeds = {seed["instruction"] for seed in rows(entry["seeds"])}
    distinct = dict.fromkeys(record["instruction"] for record in records)
    state = read_run(tmp_path / "run").state
    assert [t.instruction for t in state.pool.generated] == [i for i in distinct if i not in seeds]
    assert done.tasks + sum(done.left_out.values()) >= len({json.dumps(r) for r in records})
    given = {
        (r["instruction"], r.get("input", ""), r["output"]) for r in records if r.get("output")
    }
    kept = {(t.instruction, i.input, i.output) for t in state.pool for i in t.instances or ()}
    assert {(a, c) for a, _, c in given if a not in seeds} <= {(a, c) for a, _, c in kept}
    assert verify(*read_history(tmp_path / "run")).problems == []


def raw_files(place: Path, entry: Row) -> list[Path]:
    """Write instructions, answers and raw instances to files in the formats of the published code."""
    records = list(rows(entry["file"]))
    files = written(
        place / "machine_generated_instructions.jsonl",
        (
            {"instruction": text, "most_similar": {}, "avg_similarity_score": 0.1, "request_idx": n}
            for n, record in enumerate(records)
            for text in record.get("kept") or ()
        ),
    )
    files += written(
        place / "is_clf_or_not_davinci_template_1.jsonl",
        (
            {"instruction": r["instruction"], "is_classification": r["completion"]}
            for r in records
            if r["kind"] == "clf"
        ),
    )
    return files + written(
        place / "machine_generated_instances.jsonl",
        (
            {
                "instruction": r["instruction"],
                "raw_instances": r["completion"],
                "instance_metadata": {
                    "response": {"choices": [{"finish_reason": r.get("finish_reason")}]}
                },
            }
            for r in records
            if r["kind"].startswith("instances")
        ),
    )


STAGED = [entry for entry in RAW if "clf" in entry["rows"] or "instances_gen" in entry["rows"]]


@pytest.mark.parametrize("entry", STAGED, ids=lambda entry: Path(entry["file"]).name)
def test_imported_answers_and_instances_match_published_code(entry: Row, tmp_path: Path) -> None:
    files = raw_files(tmp_path, entry)
    done = import_run(tmp_path / "run", files, settings_of(tmp_path, entry))
    events = [e.event for e in read_history(tmp_path / "run")[1]]
    tasks = {event.instruction: event for event in events if isinstance(event, TaskImported)}
    records = [r for r in rows(entry["file"]) if r.get("instruction") in tasks]
    # If a task has several answers, the published code uses the last one.
    kinds = {r["instruction"]: r["expected"] for r in records if r["kind"] == "clf"}
    assert {name: tasks[name].is_classification for name in kinds} == kinds
    replies: dict[str, list[Row]] = {}
    for record in records:
        if record["kind"].startswith("instances"):
            replies.setdefault(record["instruction"], []).append(record)
    compared = 0
    for name, found in replies.items():
        if any((r["kind"] == "instances_clf") != bool(kinds.get(name)) for r in found):
            continue  # the instances were requested after an earlier answer
        ours = {(i.input, i.output) for i in tasks[name].instances or ()}
        theirs = {(given, output) for r in found for given, output in r["expected"]}
        assert ours == theirs if len(theirs) <= 5 else (ours < theirs and len(ours) == 5)
        over = sum(r.reason is Reason.OVER_LIMIT for r in tasks[name].rejected)
        assert len(ours) + over >= len(theirs)
        compared += 1
    assert compared or not replies
    assert done.with_instances == sum(event.instances is not None for event in tasks.values())
    assert Instance(input="", output="") not in {
        i for event in tasks.values() for i in event.instances or ()
    }
    assert verify(*read_history(tmp_path / "run")).problems == []
