"""Test that the profile "paper" reproduces the decisions in recorded runs of the published code.

The recorded runs are not part of this repository, because several have no licence. The tests read them from
the directory $SELFINSTRUCT_RECORDED_RUNS, or from `shared/data` in the parent directory of the checkout.

`expected` is what the unchanged published functions return for a reply. `kept` and `recorded` come from the
runs' files. All comparisons are exact.
"""

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from selfinstruct.analysis.parse_replies import RecordedReply, parse_again
from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.records import Stage

FOLDER = Path(os.environ.get("SELFINSTRUCT_RECORDED_RUNS", ROOT.parent / "shared/data"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "raw/index.json").is_file(),
    reason="no recorded runs (set SELFINSTRUCT_RECORDED_RUNS to their folder)",
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

# The last replies in these files are incomplete: the run accepted more instructions than the file contains.
CUT_RECORDS = {"raw/kissshhot_llama3.jsonl.gz": {89}}

# Records 46 to 91 are copies of records 0 to 45, because a restart of the run appended the file to itself.
COPIES = {"regen/doffery.json.gz": set(range(46, 92))}


def paper(row: Row) -> Any:
    """Return the profile's result for a row, in the format of `expected`."""
    kind = row["kind"]
    line = row | {"is_classification": kind == "instances_clf"}
    found = parse_again(
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
def test_every_reply_gives_the_published_result(entry: Row) -> None:
    differing = [
        (number, paper(row), row["expected"])
        for number, row in enumerate(rows(entry["file"]))
        if paper(row) != row["expected"]
    ]
    assert differing == []


@pytest.mark.parametrize(
    "entry", [e for e in RAW if e.get("decisions")], ids=lambda entry: Path(entry["file"]).name
)
def test_candidates_are_accepted_as_in_the_recorded_run(entry: Row) -> None:
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
def test_instances_match_the_recorded_run(entry: Row) -> None:
    """Compare instances. The published code samples five at random; the profile takes the first five."""
    compared = 0
    for row in rows(entry["file"]):
        if "recorded" in row:
            ours, theirs = ({tuple(pair) for pair in p} for p in (paper(row), row["recorded"]))
            assert ours == theirs if len(ours) <= 5 else (theirs < ours and len(theirs) == 5)
            compared += 1
    assert compared > 0


@pytest.mark.parametrize("entry", REGEN, ids=lambda entry: Path(entry["file"]).name)
def test_every_recorded_task_was_novel(entry: Row) -> None:
    pool = NoveltyIndex(0.7, "rouge", (seed["instruction"] for seed in rows(entry["seeds"])))
    records = json.loads(gzip.decompress((FOLDER / entry["file"]).read_bytes()))
    not_novel = set()
    for number, record in enumerate(records):
        if not pool.check(record["instruction"]).novel:
            not_novel.add(number)
        pool.add(record["instruction"])
    assert not_novel == COPIES.get(entry["file"], set())


def not_reproduced(texts: list[str], seeds: int, records: list[Row]) -> set[int]:
    """Return the numbers of the records whose mean, neighbours or ten highest scores differ by over 1e-9."""
    pool = NoveltyIndex(0.7, "rouge", texts)
    differing = set()
    found = pool.similarities(range(seeds, len(texts)), workers=2)
    for number, (record, (position, mean, nearest)) in enumerate(zip(records, found, strict=True)):
        listed = record.get("most_similar_instructions") or record["most_similar"]
        # In a record, equal texts in the pool share one entry and one score.
        all_before = pool.top_k(texts[position], position, upto=position)
        by_name = {texts[similar.position]: similar.rouge_l for similar in all_before}
        rest = [similar.rouge_l for similar in nearest]
        for score in listed.values():
            rest.remove(min(rest, key=lambda other: abs(other - score)))
        often = Counter(texts[:position])
        twice = [score for name, score in by_name.items() if often[name] > 1]
        agrees = (
            abs(mean - record["avg_similarity_score"]) <= 1e-9
            and all(abs(by_name.get(name, -1) - score) <= 1e-9 for name, score in listed.items())
            and all(any(abs(score - other) <= 1e-9 for other in twice) for score in rest)
            and abs(max(listed.values()) - nearest[0].rouge_l) <= 1e-9
        )
        if not agrees:
            differing.add(number)
    return differing


@pytest.mark.parametrize("entry", REGEN, ids=lambda entry: Path(entry["file"]).name)
def test_recorded_similarities_are_reproduced(entry: Row) -> None:
    """Compare the mean, the most similar tasks and their scores with those computed by rouge-score."""
    seeds = [seed["instruction"] for seed in rows(entry["seeds"])]
    records = json.loads(gzip.decompress((FOLDER / entry["file"]).read_bytes()))
    texts = [record["instruction"] for record in records]
    differing = not_reproduced([*seeds, *texts], len(seeds), records)
    copies = COPIES.get(entry["file"], set())
    if not copies:
        assert differing == set()
        return
    # Records from before the restart were compared with a pool that did not contain the copies.
    assert min(differing) == 46
    assert max(differing) == 243
    records = [r for number, r in enumerate(records[:244]) if number not in copies]
    texts = [record["instruction"] for record in records]
    assert not_reproduced([*seeds, *texts], len(seeds), records) == set()
