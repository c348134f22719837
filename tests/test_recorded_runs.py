"""The profile "paper" decides as the published code did in other people's recorded runs.

The recorded runs are no part of this repository: several state no licence. The checks run where they are, in
the folder named by $SELFINSTRUCT_RECORDED_RUNS or in `shared/data` beside the checkout.

`expected` in them is what the published functions, unchanged, make of a reply; `kept` and `recorded` are what
those runs wrote themselves. All comparisons are exact.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from selfinstruct.novelty import NoveltyIndex
from selfinstruct.recorded import RecordedReply, read_again
from selfinstruct.records import Stage

FOLDER = Path(os.environ.get("SELFINSTRUCT_RECORDED_RUNS", ROOT.parent / "shared/data"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "raw/index.json").is_file(),
    reason="the recorded runs are not here (set SELFINSTRUCT_RECORDED_RUNS to their folder)",
)

Row = dict[str, Any]

STAGES: dict[str, Stage] = {
    "instruction": "generate",
    "alpaca_batch": "generate",
    "clf": "classify",
}


def rows(name: str) -> Iterator[Row]:
    path = FOLDER / name
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if line:
            yield json.loads(line)


def index(folder: str) -> list[Row]:
    path = FOLDER / folder / "index.json"
    entries: list[Row] = json.loads(path.read_text()) if path.is_file() else []
    return entries


RAW = index("raw")
REGEN = index("regen")

# Of these the last completion stops in the middle of the record: what followed was kept, but not recorded.
CUT_RECORDS = {"raw/kissshhot_llama3.jsonl.gz": {89}}

# Records 46 to 91 are exact copies of 0 to 45: a restart appended the file to itself.
COPIES = {"regen/doffery.json.gz": set(range(46, 92))}


def paper(row: Row) -> Any:
    """What the profile makes of a row, in the shape of its `expected`."""
    kind = row["kind"]
    line = row | {"is_classification": kind == "instances_clf"}
    found = read_again(
        RecordedReply.from_mapping(line),
        stage=STAGES.get(kind, "instances"),
        profile="paper",
        recipe="alpaca" if kind == "alpaca_batch" else "self-instruct",
    )
    if kind == "clf":
        return found["is_classification"]
    if kind == "instruction":
        return [candidate["instruction"] for candidate in found["candidates"]]
    if kind == "alpaca_batch":
        return found["candidates"]
    return sorted([instance["input"], instance["output"]] for instance in found["instances"])


@pytest.mark.parametrize("entry", RAW, ids=lambda entry: Path(entry["file"]).name)
def test_every_reply_is_read_as_the_published_code_reads_it(entry: Row) -> None:
    differing = [
        (number, paper(row), row["expected"])
        for number, row in enumerate(rows(entry["file"]))
        if paper(row) != row["expected"]
    ]
    assert differing == []


@pytest.mark.parametrize(
    "entry", [e for e in RAW if e.get("decisions")], ids=lambda entry: Path(entry["file"]).name
)
def test_every_candidate_is_kept_or_dropped_as_in_the_recorded_run(entry: Row) -> None:
    pool = NoveltyIndex(0.7, "rouge", (seed["instruction"] for seed in rows(entry["seeds"])))
    differing = set()
    completions = (row for row in rows(entry["file"]) if row["kind"] == "instruction")
    for number, row in enumerate(completions):
        kept = []
        for candidate in paper(row):
            if pool.check(candidate).novel:
                pool.add(candidate)
                kept.append(candidate)
        if kept != row["kept"]:
            differing.add(number)
    assert differing == CUT_RECORDS.get(entry["file"], set())


@pytest.mark.parametrize(
    "entry", [e for e in RAW if e.get("recorded")], ids=lambda entry: Path(entry["file"]).name
)
def test_instances_are_those_that_the_recorded_run_wrote(entry: Row) -> None:
    """Of more than five the published code draws five at random; we keep the first five."""
    compared = 0
    for row in rows(entry["file"]):
        if "recorded" in row:
            ours, theirs = ({tuple(pair) for pair in p} for p in (paper(row), row["recorded"]))
            assert ours == theirs if len(ours) <= 5 else (theirs < ours and len(theirs) == 5)
            compared += 1
    assert compared > 0


@pytest.mark.parametrize("entry", REGEN, ids=lambda entry: Path(entry["file"]).name)
def test_every_recorded_task_was_novel_when_it_was_accepted(entry: Row) -> None:
    pool = NoveltyIndex(0.7, "rouge", (seed["instruction"] for seed in rows(entry["seeds"])))
    records = json.loads(gzip.decompress((FOLDER / entry["file"]).read_bytes()))
    not_novel = set()
    for number, record in enumerate(records):
        if not pool.check(record["instruction"]).novel:
            not_novel.add(number)
        pool.add(record["instruction"])
    assert not_novel == COPIES.get(entry["file"], set())


def test_the_nearest_neighbour_has_the_recorded_score() -> None:
    """The figures were written by those runs, with the rouge-score package, to the last digit or nearly."""
    compared = 0
    for entry in REGEN:
        if entry["records"] > 200 or entry["file"] in COPIES:
            continue
        pool = NoveltyIndex(0.7, "rouge", (seed["instruction"] for seed in rows(entry["seeds"])))
        for record in json.loads(gzip.decompress((FOLDER / entry["file"]).read_bytes())):
            listed = record.get("most_similar_instructions", record.get("most_similar"))
            nearest = pool.nearest(record["instruction"])
            assert nearest is not None
            assert nearest[1] == pytest.approx(max(listed.values()), abs=1e-9)
            pool.add(record["instruction"])
            compared += 1
    assert compared > 500
