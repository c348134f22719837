"""Compare the profiles "default" and "paper" on recorded replies.

    .venv/bin/python benchmarks/profiles.py FOLDER [--sample 200]

FOLDER contains recorded runs. Its file `raw/index.json` lists for each run a file of seed tasks and a file of
replies as JSON lines (`kind`, `completion`, `finish_reason`, `instruction`, `num_prompt_instructions`,
`prompt`). Print the tables in docs/internals/profile-comparison.md. A candidate is usable if it passes the
parser, the rules, and the novelty check against the seed tasks and all earlier usable candidates. Each
profile uses its default tokenizer. With --sample, print a fixed random sample of the items that only
`default` accepts, as JSON lines.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from selfinstruct.analysis.parse_replies import RecordedReply, parse_again
from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.filters import scripts_of
from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.pipeline.stable_random import shuffled
from selfinstruct.records import Stage

PROFILES = ("paper", "default")
STAGES: dict[str, Stage] = {
    "instruction": "generate",
    "alpaca_batch": "generate",
    "clf": "classify",
    "instances_gen": "instances",
    "instances_clf": "instances",
}


@dataclass
class Found:
    """What one profile finds in one reply."""

    items: list[tuple[str, ...]]
    """Usable candidates as (instruction,), instances as (input, output), or the answer as (answer,)."""
    reasons: list[tuple[str, str]]
    """The reason and text of each rejection."""


@dataclass
class Comparison:
    """The counts for one stage in one file."""

    replies: int = 0
    usable: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    """Number of items that only `default` accepts, by what `paper` does with them."""
    lost: Counter[str] = field(default_factory=Counter)
    """Number of items that only `paper` accepts, by what `default` does with them."""
    case_kept: int = 0
    """Number of items that both accept, and whose upper-case letters only `default` keeps."""
    gains: list[dict[str, Any]] = field(default_factory=list)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a gzipped file of JSON lines."""
    data = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    for line in data.split("\n"):
        if line:
            yield json.loads(line)


def folded(text: str) -> str:
    """Return a text with folded case and collapsed white space, for comparison."""
    return " ".join(text.casefold().split())


def usable(
    row: dict[str, Any], profile: str, index: NoveltyIndex, scripts: frozenset[str]
) -> Found:
    """Parse a reply with one profile, and check the candidates. Add usable candidates to the index."""
    stage = STAGES[row["kind"]]
    line = row | {"is_classification": row["kind"] == "instances_clf"}
    result = parse_again(
        RecordedReply.from_mapping(line),
        stage=stage,
        profile=profile,
        recipe="alpaca" if row["kind"] == "alpaca_batch" else "self-instruct",
        scripts=scripts,
    )
    reasons = [(r["reason"], r["text"]) for r in result["rejections"]]
    if stage == "classify":
        answer = {True: "yes", False: "no", None: "unclear"}[result["is_classification"]]
        return Found([(answer,)], [])
    if stage == "instances":
        return Found([(i["input"], i["output"]) for i in result["instances"]], reasons)
    items: list[tuple[str, ...]] = []
    for candidate in result["candidates"]:
        text = candidate["instruction"]
        if profile == "default" and not index.tokens(text):
            reasons.append(("no_tokens", text))
        elif not index.check(text).novel:
            reasons.append(("not_novel", text))
        else:
            index.add(text)
            items.append((text,))
    return Found(items, reasons)


def fate(item: tuple[str, ...], other: Found) -> str:
    """Return what the other profile, whose results are `other`, does with an item."""
    text = folded(item[-1])
    if len(item) > 1 and any(folded(output) == text for _, output in other.items):
        return "another input to the same output"
    if any(text in folded(part) for found in other.items for part in found):
        return "part of a longer text"
    for reason, rejected in other.reasons:
        if text in folded(rejected):
            return reason
    if len(item) > 1 and any(folded(output) in text for _, output in other.items if output):
        return "a shorter text"
    if any(folded(rejected) and folded(rejected) in text for _, rejected in other.reasons):
        return next(
            r for r, rejected in other.reasons if folded(rejected) and folded(rejected) in text
        )
    return "not an item"


def compare(folder: Path, entry: dict[str, Any]) -> dict[str, Comparison]:
    """Compare the profiles on one file, separately for each stage."""
    seeds: list[str] = []
    if entry.get("seeds"):
        seeds = [seed["instruction"] for seed in rows(folder / entry["seeds"])]
    indexes = {
        profile: NoveltyIndex(0.7, RunConfig(profile=profile).tokenizer, seeds)
        for profile in PROFILES
    }
    scripts = scripts_of(seeds)
    stages: dict[str, Comparison] = {}
    for number, row in enumerate(rows(folder / entry["file"])):
        sums = stages.setdefault(STAGES[row["kind"]], Comparison())
        sums.replies += 1
        found = {p: usable(row, p, indexes[p], scripts) for p in PROFILES}
        if STAGES[row["kind"]] == "classify":
            for profile in PROFILES:
                sums.usable[f"{profile} {found[profile].items[0][0]}"] += 1
            continue
        keys = {
            p: {tuple(folded(part) for part in item) for item in found[p].items} for p in PROFILES
        }
        written = {item for item in found["default"].items if item[0] != item[0].capitalize()}
        sums.case_kept += sum((i[0].capitalize(),) in found["paper"].items for i in written)
        for ours, theirs, counts in (
            ("default", "paper", sums.gained),
            ("paper", "default", sums.lost),
        ):
            for item in found[ours].items:
                sums.usable[ours] += 1
                if tuple(folded(part) for part in item) in keys[theirs]:
                    continue
                why = fate(item, found[theirs])
                counts[why] += 1
                if ours == "default":
                    sums.gains.append(
                        {
                            "file": Path(entry["file"]).name.partition(".")[0],
                            "row": number,
                            "kind": row["kind"],
                            "in_paper": why,
                            "task": row.get("instruction", ""),
                            "gain": item,
                            "reply": row["completion"],
                        }
                    )
    return stages


def told(counts: Counter[str]) -> str:
    """Return the text of a table cell: the sum of the counts, then the five largest counts."""
    if not counts:
        return "0"
    return f"{counts.total():,}: " + ", ".join(
        f"{n:,} {why.replace('_', ' ')}" for why, n in counts.most_common(5)
    )


def main() -> None:
    """Print the tables, or the sample of `--sample`."""
    parser = argparse.ArgumentParser(description="Compare the profiles on recorded replies.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", type=int, metavar="N")
    arguments = parser.parse_args()
    index = json.loads((arguments.folder / "raw/index.json").read_text())
    compared = {
        Path(entry["file"]).name.partition(".")[0]: compare(arguments.folder, entry)
        for entry in index
    }
    if arguments.sample:
        gains = [gain for stages in compared.values() for s in stages.values() for gain in s.gains]
        for gain in shuffled(Random("sample"), gains)[: arguments.sample]:
            print(json.dumps(gain, ensure_ascii=False))
        return
    for stage, what in (("generate", "Candidates"), ("instances", "Instances")):
        print(
            f"| {what} in | replies | paper | default | only in default: in paper they are | "
            "only in paper: in default they are |"
        )
        print("| --- | --: | --: | --: | --- | --- |")
        total = Comparison()
        for name, stages in compared.items():
            if stage not in stages:
                continue
            sums = stages[stage]
            print(
                f"| {name} | {sums.replies:,} | {sums.usable['paper']:,} | "
                f"{sums.usable['default']:,} | {told(sums.gained)} | {told(sums.lost)} |"
            )
            total.replies += sums.replies
            total.case_kept += sums.case_kept
            for mine, theirs in (
                (total.usable, sums.usable),
                (total.gained, sums.gained),
                (total.lost, sums.lost),
            ):
                mine.update(theirs)
        print(
            f"| **all** | {total.replies:,} | {total.usable['paper']:,} | "
            f"{total.usable['default']:,} | {total.gained.total():,} | {total.lost.total():,} |\n"
        )
        if stage == "generate":
            print(
                f"Of the candidates that both profiles accept, {total.case_kept:,} keep their "
                "upper-case letters only in `default`.\n"
            )
    print("| Answers in | replies | paper: yes, no | default: yes, no, unclear |")
    print("| --- | --: | --- | --- |")
    for name, stages in compared.items():
        if "classify" in stages:
            sums = stages["classify"]
            counts = {
                p: ", ".join(f"{sums.usable[f'{p} {a}']:,}" for a in answers)
                for p, answers in (("paper", ("yes", "no")), ("default", ("yes", "no", "unclear")))
            }
            print(f"| {name} | {sums.replies:,} | {counts['paper']} | {counts['default']} |")


if __name__ == "__main__":
    main()
