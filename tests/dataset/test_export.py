"""Exports: row shapes, splits, complete and reproducible files, and programs that read them."""

import codecs
import csv
import io
import json
import os
import re
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import datasets
import pandas
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from support import ROOT, ScriptedBackend, make_seed_task

from selfinstruct.api import export_run, run
from selfinstruct.cli.commands import export as command
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.export import datasets_folder as folders
from selfinstruct.dataset.export.companion_files import (
    axolotl_stanza,
    check_llama_factory,
    dataset_info,
    dataset_name,
    stanza_path,
)
from selfinstruct.dataset.export.csv_injection import without_formulas
from selfinstruct.dataset.export.export_options import FORMATS, ExportOptions, read_shares
from selfinstruct.dataset.export.splitting import shuffled, split
from selfinstruct.dataset.export.writing import writing
from selfinstruct.dataset.record_files import read_records
from selfinstruct.dataset.row_filters import at_most_each, first_instructions
from selfinstruct.dataset.rows import (
    COLUMN_TYPES,
    PROVENANCE_COLUMNS,
    Row,
    provenance_rows,
    select,
)
from selfinstruct.dataset.rows_from_records import rows_of
from selfinstruct.errors import ConfigError, ExportError, InputError, SelfInstructError
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.runner.directory import read_run

PLAIN = {"instruction": "Name the capital.", "input": "Peru", "output": "Lima"}
BARE = {"instruction": "Say hello.", "input": "", "output": "Hello!"}
AWKWARD = [
    PLAIN,
    BARE,
    {
        "instruction": "Zähle auf: é, 字, 🎈",
        "input": 'a "quoted"\n\nline, and\ttab',
        "output": "007",
    },
    {"instruction": "Answer.", "input": "\u2028\x85\r\n", "output": "None"},
    {"instruction": "Close the tag.", "input": "", "output": "<|im_end|></s>{{ input }}{% if %}"},
    {"instruction": "=1+1", "input": "@SUM(A1)", "output": "-5"},
    {"instruction": "Count up.", "input": "", "output": "9 " * 25_000},
    {"instruction": "When?", "input": "", "output": "2024-01-01"},
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
rows_drawn = st.lists(
    st.fixed_dictionaries({"instruction": texts.map("I".__add__), "input": texts, "output": texts}),
    min_size=1,
    max_size=8,
)


def written(path: Path, rows: list[Row], **wanted: Any) -> list[Path]:
    """Export `rows`, and return the paths of the written files."""
    with writing(path, ExportOptions(**wanted)) as export:
        return [part.path for part in export.write(iter(rows))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    seeds = folder / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=30, seed_tasks=seeds)
    run(folder / "run", config, backend=ScriptedBackend())
    return folder / "run"


# ── row shapes ───────────────────────────────────────────────────────────────────────────────────────────


def test_prompts_equal_alpacas_training_code(tmp_path: Path) -> None:
    [path] = written(tmp_path / "x.jsonl", [PLAIN, BARE], format="prompt-completion")
    with_input, without = (json.loads(line) for line in path.read_text().splitlines())
    assert with_input == {
        "prompt": "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName the capital.\n\n### Input:\nPeru\n\n### Response:",
        "completion": "Lima",
    }
    assert without == {
        "prompt": "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSay hello.\n\n### Response:",
        "completion": "Hello!",
    }


def test_a_chat_has_the_requested_roles(
    tmp_path: Path,
) -> None:
    [path] = written(tmp_path / "x.json", [PLAIN], format="messages")
    user = {"role": "user", "content": "Name the capital.\n\nPeru"}
    assistant = {"role": "assistant", "content": "Lima"}
    assert json.loads(path.read_text()) == [{"messages": [user, assistant]}]
    [path] = written(tmp_path / "x.json", [PLAIN], format="messages", system="Be brief.")
    system = {"role": "system", "content": "Be brief."}
    assert json.loads(path.read_text()) == [{"messages": [system, user, assistant]}]
    [path] = written(tmp_path / "x.json", [BARE], format="sharegpt", system="Be brief.")
    [row] = json.loads(path.read_text())
    assert row == {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Say hello."},
            {"from": "gpt", "value": "Hello!"},
        ]
    }


def test_an_own_template_makes_the_prompt(tmp_path: Path) -> None:
    template = tmp_path / "mine.txt"
    template.write_text("Q: {{ instruction }}{% if input %} ({{ input }}){% endif %}\nA:\n")
    for name, prompt in (("prompt-completion", "prompt"), ("messages", None)):
        [path] = written(tmp_path / "x.jsonl", [PLAIN, BARE], format=name, template=template)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        texts = [row[prompt] if prompt else row["messages"][0]["content"] for row in rows]
        assert texts == ["Q: Name the capital. (Peru)\nA:", "Q: Say hello.\nA:"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ instruction }}", "leaves out inputs; add"),
        ("{{ input }}", "does not use 'instruction'"),
        ("{{ instruction }}{{ output }}", "uses an unknown value: output"),
        ("{{ instruction }}{% if input %}", "is not a valid template"),
        (
            "{% if input %}{{ instruction }}{{ input }}{% else %}Go on.{% endif %}",
            "leaves out instructions without an input",
        ),
        (
            "{% if not input %}{{ instruction }}{% endif %}{{ input }}",
            "leaves out instructions with an input",
        ),
        (
            "{{ instruction }}{{ input }}{{ 1 / (instruction | length - 10) }}",
            "cannot be rendered for 'Say hello.'",
        ),
        ("{{ instruction[:10] }} {{ input }}", "leaves out instructions with an input"),
    ],
)
def test_a_bad_template_writes_nothing(tmp_path: Path, text: str, said: str) -> None:
    template = tmp_path / "mine.txt"
    template.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        written(tmp_path / "x.jsonl", [PLAIN, BARE], format="messages", template=template)
    assert caught.value.path == template
    assert os.listdir(tmp_path) == ["mine.txt"]  # noqa: PTH208


# ── files, as other programs read them ───────────────────────────────────────────────────────────────────


@given(rows=rows_drawn)
def test_every_container_gives_back_the_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("x")
    [path] = written(folder / "x.json", rows)
    assert json.loads(path.read_bytes()) == rows
    [path] = written(folder / "x.jsonl", rows)
    assert [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] == rows
    [path] = written(folder / "x.parquet", rows)
    assert parquet.read_table(path).to_pylist() == rows
    [path] = written(folder / "x.csv", rows)
    read = csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))
    assert [*read] == [{n: t.replace("\0", "\\u0000") for n, t in row.items()} for row in rows]


def test_pandas_reads_every_file(tmp_path: Path) -> None:
    expected = pandas.DataFrame(AWKWARD)
    [path] = written(tmp_path / "x.json", AWKWARD)
    pandas.testing.assert_frame_equal(pandas.read_json(path, dtype=False), expected)
    [path] = written(tmp_path / "x.jsonl", AWKWARD)
    read = pandas.read_json(path, lines=True, dtype=False)
    pandas.testing.assert_frame_equal(read, expected)
    [path] = written(tmp_path / "x.parquet", AWKWARD)
    pandas.testing.assert_frame_equal(pandas.read_parquet(path), expected)
    [path] = written(tmp_path / "x.csv", AWKWARD)
    read = pandas.read_csv(path, dtype=str, keep_default_na=False)
    pandas.testing.assert_frame_equal(read, expected)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_datasets_reads_every_format(finished: Path, tmp_path: Path, name: str) -> None:
    rows = [*provenance_rows(select(read_run(finished).state.pool))]
    folder = tmp_path / "folder"
    export_run(finished, folder, format=name, container="datasets")
    loaded = datasets.load_from_disk(str(folder))
    assert len(loaded) == len(rows)
    if FORMATS[name].shape == "all":
        assert loaded.to_list() == rows
        assert loaded.column_names == [*PROVENANCE_COLUMNS]
    usual = FORMATS[name].container
    if usual in ("json", "jsonl", "parquet"):
        path = tmp_path / f"x.{usual}"
        export_run(finished, path, format=name)
        builder = "parquet" if usual == "parquet" else "json"
        read = datasets.load_dataset(
            builder, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert read.to_list() == loaded.to_list()


def test_column_types_do_not_depend_on_values(tmp_path: Path) -> None:
    """Check a column of nulls: the recipe alpaca never sets `is_classification`, which must stay boolean."""
    row: Row = dict.fromkeys(PROVENANCE_COLUMNS) | PLAIN | {"demonstration_ids": []}
    for place, wanted in (
        (tmp_path / "x.parquet", ExportOptions(format="parquet")),
        (tmp_path / "x", ExportOptions(format="datasets")),
    ):
        with writing(place, wanted, types=COLUMN_TYPES) as export:
            export.write([row])
    schema = parquet.read_schema(tmp_path / "x.parquet")
    assert {f.name: str(f.type).replace("item: ", "").replace("element: ", "") for f in schema} == {
        **COLUMN_TYPES
    }
    features = datasets.load_from_disk(str(tmp_path / "x")).features
    assert features["is_classification"].dtype == "bool"
    assert features["demonstration_ids"].feature.dtype == "string"


def test_a_folder_of_parts_is_a_dataset_dict(finished: Path, tmp_path: Path) -> None:
    rows = [*provenance_rows(select(read_run(finished).state.pool))]
    export_run(finished, tmp_path / "x", format="datasets", split=(0.6, 0.2, 0.2))
    loaded = datasets.load_from_disk(str(tmp_path / "x"))
    assert [*loaded] == ["train", "validation", "test"]
    found = [row for part in loaded.values() for row in part.to_list()]
    assert sorted(found, key=lambda r: r["id"]) == sorted(rows, key=lambda r: r["id"])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_rows_give_the_same_bytes(finished: Path, tmp_path: Path, name: str) -> None:
    found = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        options = ["-f", name, "--split", "0.8/0.2", "--shuffle-seed", "5"]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "selfinstruct",
                "export",
                finished,
                "-o",
                folder / "data",
                *options,
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert len(found[0]) >= 2


# ── selection and split ──────────────────────────────────────────────────────────────────────────────────

numbered = st.lists(st.integers(0, 30), min_size=3, max_size=60).map(
    lambda numbers: [
        {"instruction": f"Do {number}.", "input": str(place), "output": "x"}
        for place, number in enumerate(numbers)
    ]
)


@given(rows=numbered, seed=st.integers(), shares=st.sampled_from([(0.95, 0.05), (0.5, 0.25, 0.25)]))
def test_a_split_keeps_instructions_together(
    rows: list[Row], seed: int, shares: tuple[float, ...]
) -> None:
    if len({row["instruction"] for row in rows}) < len(shares):
        with pytest.raises(ValueError, match="different instructions cannot make"):
            split(rows, shares, seed=seed)
        return
    parts = split(rows, shares, seed=seed)
    assert all(parts)
    place = {id(row): n for n, row in enumerate(rows)}
    assert sorted(place[id(row)] for part in parts for row in part) == [*range(len(rows))]
    for part in parts:  # The order is kept.
        assert all(place[id(a)] < place[id(b)] for a, b in pairwise(part))
    sides = Counter(i for part in parts for i in {row["instruction"] for row in part})
    assert set(sides.values()) == {1}


@given(rows=numbered, seed=st.integers())
def test_an_instruction_stays_in_its_part(rows: list[Row], seed: int) -> None:
    more = [{"instruction": f"Also {n}.", "input": "", "output": "x"} for n in range(200)]
    train, test = split([*rows, *more], (0.7, 0.3), seed=seed)
    before = split([*more, *rows[:1]], (0.7, 0.3), seed=seed)
    for part, now in zip(before, (train, test), strict=True):
        assert {row["instruction"] for row in part} <= {row["instruction"] for row in now}


def test_spellings_of_an_instruction_share_a_part() -> None:
    rows = [{"instruction": f"Write {n} lines.", "input": "", "output": "x"} for n in range(100)]
    variants = [{**row, "instruction": f"  WRITE {row['instruction'][6:]} "} for row in rows]
    for part in split([*rows, *variants], (0.5, 0.5), seed=1):
        keys = Counter(" ".join(row["instruction"].casefold().split()) for row in part)
        assert set(keys.values()) == {2}


def test_shares_are_met_approximately() -> None:
    rows = [{"instruction": f"Do {n}.", "input": "", "output": "x"} for n in range(10_000)]
    parts = split(rows, (0.9, 0.05, 0.05), seed=0)
    for part, expected in zip(parts, (9000, 500, 500), strict=True):
        assert abs(len(part) - expected) < 100  # This is more than four standard deviations.
    assert split(rows, (0.9, 0.05, 0.05), seed=1) != parts


@given(rows=numbered, seed=st.integers(0, 5), count=st.integers(1, 5))
def test_shuffling_and_limits(rows: list[Row], seed: int, count: int) -> None:
    mixed = shuffled(rows, seed)
    assert sorted(map(id, mixed)) == sorted(map(id, rows))
    assert mixed == shuffled(rows, seed)
    few = [*at_most_each(rows, count)]
    assert all(n <= count for n in Counter(row["instruction"] for row in few).values())
    first = [*first_instructions(rows, count)]
    wanted = [*dict.fromkeys(row["instruction"] for row in rows)][:count]
    assert first == [row for row in rows if row["instruction"] in wanted]


@pytest.mark.parametrize(
    ("text", "shares"), [("0.95/0.05", (0.95, 0.05)), ("80/10/10", (0.8, 0.1, 0.1))]
)
def test_shares_are_read(text: str, shares: tuple[float, ...]) -> None:
    assert read_shares(text) == pytest.approx(shares)


@pytest.mark.parametrize(
    "text", ["", "1", "0.5", "0.5/0.6", "1/0", "a/b", "nan/nan", "1/2/3/4", "-1/2"]
)
def test_bad_shares_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"split: must be .*0\.95/0\.05"):
        read_shares(text)


# ── files from other programs ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("container", ["json", "jsonl", "csv", "parquet"])
def test_an_alpaca_style_file_is_exported(tmp_path: Path, container: str) -> None:
    [path] = written(tmp_path / f"x.{container}", AWKWARD)
    with read_records(path) as records:
        rows = [*rows_of(records)]
    assert rows == AWKWARD


def test_further_fields_stay_in_full_formats(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"id": 7, **PLAIN, "score": 0.5}) + "\n")
    with read_records(file) as records:
        rows = [*rows_of(records)]
    assert [*rows[0].items()] == [("id", 7), *PLAIN.items(), ("score", 0.5)]
    [path] = written(tmp_path / "all.jsonl", rows, format="jsonl")
    assert path.read_text() == file.read_text()
    [path] = written(tmp_path / "three.json", rows)
    assert json.loads(path.read_text()) == [PLAIN]


@pytest.mark.parametrize(
    ("record", "rows"),
    [
        ({"instruction": "Go.", "output": "x"}, [("Go.", "", "x")]),
        ({"instruction": "Go.", "input": None, "output": "x"}, [("Go.", "", "x")]),
        ({"instruction": "Go.", "input": "<noinput>", "output": "x"}, [("Go.", "", "x")]),
        ({"instruction": "Go.", "input": "<No Input>", "output": ""}, [("Go.", "", "")]),
        ({"instruction": "Go.", "input": "no", "output": "x"}, [("Go.", "no", "x")]),
        ({"instruction": "\ud83d.", "output": "\ude00"}, [("\ufffd.", "", "\ufffd")]),
        (
            {"id": "s", "instruction": "Go.", "instances": [{"input": "1", "output": "2"}] * 2},
            [("Go.", "1", "2")] * 2,
        ),
    ],
)
def test_records_of_other_tools_are_read(
    tmp_path: Path, record: dict[str, Any], rows: list[tuple[str, str, str]]
) -> None:
    (tmp_path / "x.json").write_text(json.dumps([record]))
    with read_records(tmp_path / "x.json") as records:
        found = [*rows_of(records)]
    assert [(row["instruction"], row["input"], row["output"]) for row in found] == rows


def test_further_fields_of_an_instance_stay(tmp_path: Path) -> None:
    instances = [{"input": "1", "output": "2", "score": 3}, {"output": "4", "id": "own"}]
    (tmp_path / "x.json").write_text(
        json.dumps([{"id": "s", "instruction": "Go.", "instances": instances}])
    )
    with read_records(tmp_path / "x.json") as records:
        assert [*rows_of(records)] == [
            {"instruction": "Go.", "input": "1", "output": "2", "id": "s", "score": 3},
            {"instruction": "Go.", "input": "", "output": "4", "id": "own"},
        ]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"output": "x"},
            r"record 2: 'instruction' is missing \(fields: 'output'\); an Alpaca-style",
        ),
        ({"instruction": " ", "output": "x"}, "record 2: 'instruction' is empty; fill it or"),
        ({"instruction": "x", "output": 5}, r"record 2: 'output' is not text \(int\)"),
        ({"instruction": "x", "input": ["a"], "output": "y"}, "'input' is not text"),
        ({"instruction": "x", "messages": []}, "'output' is missing"),
        ({"instruction": "x", "instances": "y"}, "'instances' is not a list of objects"),
        ({"instruction": "x", "instances": [{"input": "y"}]}, "'output' is missing"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps([PLAIN, record], indent=1))
    with (
        read_records(tmp_path / "x.json") as records,
        pytest.raises(InputError, match=said),
    ):
        [*rows_of(records)]


# ── completely or not at all ─────────────────────────────────────────────────────────────────────────────


def failing(rows: list[Row]) -> Iterator[Row]:
    yield from rows
    raise RuntimeError("no more")


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("shares", [(), (0.5, 0.5)], ids=["whole", "split"])
@pytest.mark.parametrize("container", ["json", "jsonl", "csv", "parquet", "datasets"])
def test_a_failed_export_changes_nothing(
    tmp_path: Path, container: str, shares: tuple[float, ...]
) -> None:
    wanted = ExportOptions(container=container, split=shares)
    path = tmp_path / "made" / "data"
    with pytest.raises(RuntimeError), writing(path, wanted) as export:
        export.write(failing(AWKWARD))
    assert everything(tmp_path) == {}
    with writing(path, wanted) as export:
        export.write(AWKWARD)
        export.add(path.with_name("README.md"), b"# Data\n")
    before = everything(tmp_path)
    assert len(before) >= 3
    others = [{**row, "output": "other"} for row in AWKWARD]
    with pytest.raises(RuntimeError), writing(path, wanted) as export:
        export.write(failing(others))
    assert everything(tmp_path) == before

    def stop() -> None:
        raise RuntimeError

    def stopped_at_the_end(path: Path) -> None:
        with writing(path, wanted, hold=stop) as export:
            export.write(others)
            export.add(path.with_name("README.md"), b"# Other\n")

    for place in (path, tmp_path / "new" / "folder" / "data"):
        with pytest.raises(RuntimeError):
            stopped_at_the_end(place)
        assert everything(tmp_path) == before


def test_a_folder_replaces_only_a_dataset(tmp_path: Path) -> None:
    wanted = ExportOptions(format="alpaca", container="datasets")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists, but is not a dataset directory"):
        written(mine, AWKWARD, container="datasets")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists, but is not a dataset directory"):
        written(tmp_path / "file", AWKWARD, container="datasets")
    assert everything(tmp_path) == {"mine": b"", "mine/thesis.tex": b"years of work", "file": b"x"}
    for rows in (AWKWARD, [PLAIN]):
        with writing(tmp_path / "data", wanted) as export:
            export.write(rows)
        assert datasets.load_from_disk(str(tmp_path / "data")).to_list() == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "file", "mine"]


@pytest.mark.parametrize("shares", [(), (0.5, 0.5)], ids=["whole", "split"])
def test_a_folder_with_other_files_stays(tmp_path: Path, shares: tuple[float, ...]) -> None:
    wanted: dict[str, Any] = {"container": "datasets", "split": shares}
    data = tmp_path / "data"
    written(data, AWKWARD, **wanted)
    inner = data / "train" if shares else data
    for place in (data / "notes.txt", inner / "notes.txt", inner / "more" / "dataset_info.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("mine")
        before = everything(tmp_path)
        with pytest.raises(InputError, match="or also contains other files; choose another"):
            written(data, AWKWARD, **wanted)
        assert everything(tmp_path) == before
        place.unlink()
        if place.parent.name == "more":
            place.parent.rmdir()
    (inner / "cache-1234.arrow").write_text("made by map()")
    written(data, AWKWARD, **wanted)
    # LLaMA-Factory also keeps a file named dataset_info.json in its dataset directory.
    hub = tmp_path / "hub"
    [path] = written(hub / "alpaca.json", AWKWARD)
    (hub / "dataset_info.json").write_bytes(dataset_info(path, ExportOptions(), []))
    before = everything(tmp_path)
    with pytest.raises(InputError, match="also contains other files"):
        written(hub, AWKWARD, **wanted)
    assert everything(tmp_path) == before


def test_files_added_during_the_export_stay(tmp_path: Path) -> None:
    wanted = ExportOptions(container="datasets")
    written(tmp_path / "data", AWKWARD, container="datasets")

    def rows() -> Iterator[Row]:
        yield from AWKWARD
        (tmp_path / "data" / "notes.txt").write_text("mine")

    with (
        pytest.raises(InputError, match="also contains other files"),
        writing(tmp_path / "data", wanted) as export,
    ):
        export.write(rows())
    assert (tmp_path / "data" / "notes.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["data"]  # noqa: PTH208


@pytest.mark.parametrize("can_exchange", [True, False])
def test_leftovers_do_not_stop_a_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    data = tmp_path / "data"
    written(data, AWKWARD, container="datasets")
    # In containers, an earlier process often had the same process id.
    for left in (f".data.{os.getpid()}.tmp/drafts", f".data.{os.getpid()}.old/train"):
        (tmp_path / left).mkdir(parents=True)
    written(data, [PLAIN], container="datasets")
    assert datasets.load_from_disk(str(data)).to_list() == [PLAIN]
    assert len([*tmp_path.iterdir()]) == 3


def test_a_failed_rename_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "data", AWKWARD, container="datasets")
    before = everything(tmp_path)
    monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        if path.name == "dataset":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(ExportError, match="cannot be written"):
        written(tmp_path / "data", [PLAIN], container="datasets")
    assert everything(tmp_path) == before


def test_a_bad_folder_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not valid UTF-8, so the package datasets cannot read"):
        written(tmp_path / os.fsdecode(b"\xff"), AWKWARD, container="datasets")
    assert everything(tmp_path) == {}


def test_a_failed_rename_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.json").write_text("old")
    replace = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        if target.name == "data.json":
            raise OSError(16, "Device or resource busy")  # The target may be a mount point.
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replaced)

    def export() -> None:
        with writing(tmp_path / "data.json", ExportOptions()) as export:
            export.write(AWKWARD)
            export.add(tmp_path / "README.md", b"# Data\n")

    with pytest.raises(ExportError, match="busy"):
        export()
    assert everything(tmp_path) == {"data.json": b"old"}


def test_errors_name_the_folder_and_no_draft(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    for value, said in ((deep, "could not be read as Parquet"), (2**99, "no Parquet column can")):
        with pytest.raises(
            ExportError, match=f"data: .*{said}.*; write to a .jsonl file"
        ) as caught:
            written(tmp_path / "data", [{**PLAIN, "n": value}], format="datasets")
        assert caught.value.path == tmp_path / "data"
        assert "drafts" not in str(caught.value)
        assert everything(tmp_path) == {}


def test_a_killed_export_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "data.json"
    target.write_text("old")
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from selfinstruct.dataset.export.export_options import ExportOptions\n"
        "from selfinstruct.dataset.export.writing import writing\n"
        "def rows():\n"
        "    for n in range(5000): yield {'instruction': str(n), 'input': '', 'output': 'x' * 100}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"with writing(Path({str(target)!r}), ExportOptions()) as export: export.write(rows())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == -9
    assert target.read_text() == "old"


def test_bad_names_are_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place, error in ((tmp_path / "file" / "x", ExportError), (tmp_path, ExportError)):
        with pytest.raises(error), writing(place, ExportOptions(container="json")):
            pytest.fail("it cannot be written")


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────


@given(
    rows=rows_drawn,
    start=st.sampled_from(
        [
            "=",
            "+",
            "-",
            "@",
            "\t",
            "\r",
            "\n",
            " =",
            "＝",
            "",
            "\ufeff=",
            "\u200b=",
            "\u2212",
            "a;=",
            "a\n\t-",
        ]
    ),
)
def test_no_safe_cell_is_a_formula(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], start: str
) -> None:
    rows = [{**row, "output": start + row["output"]} for row in rows]
    [path] = written(tmp_path_factory.mktemp("x") / "x.csv", rows, csv_safe=True)
    assert path.read_bytes().startswith(codecs.BOM_UTF8)  # Excel needs it to detect UTF-8.
    lines = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    for row, line in zip(rows, lines, strict=True):
        for text, cell in ((row[name], line[name]) for name in row):
            for part in re.split("[;\t\r\n]", cell):
                assert part.strip(" \ufeff\u200b")[:1] not in {*"=+-@＝＋－＠\u2212"}
            assert cell[:1] not in ("\t", "\r", "\n")
            assert cell.replace("'", "") == text.replace("\0", "\\u0000").replace("'", "")


def test_formulas_in_other_values_are_made_safe(tmp_path: Path) -> None:
    row = {**BARE, "b": b"=1+1", "l": ["a;=1"], "n": -5, "\ufeff=1": None}
    [path] = written(tmp_path / "x.csv", [row], format="csv", csv_safe=True)
    [header, cells] = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    assert header == ["instruction", "input", "output", "b", "l", "n", "'\ufeff=1"]
    assert cells[3:] == ["'=1+1", """["a;'=1"]""", "-5", ""]


@pytest.mark.parametrize("text", ["\n" * 500_000, "\n;" * 200_000, " \t" * 200_000 + "x"])
def test_a_hostile_cell_takes_no_longer(text: str) -> None:
    # A regular expression with backtracking would take hours.
    safe = without_formulas({"output": text})["output"]
    assert safe.replace("'", "") == text


def test_letters_get_no_apostrophe(tmp_path: Path) -> None:
    rows = [{"instruction": c, "input": "", "output": f"{c}=1"} for c in string.ascii_letters]
    plain, safe = (
        written(tmp_path / f"{flag}.csv", rows, csv_safe=flag)[0].read_bytes()
        for flag in (False, True)
    )
    assert codecs.BOM_UTF8 + plain == safe


# ── other files ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_is_added_to_others(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    others = {
        "mine": {"file_name": "mine.json", "é": 1},
        "chats": {"file_name": "chats.json", "é": 1},
    }
    info.write_text(json.dumps(others))
    wanted = ExportOptions(format="sharegpt")
    with writing(tmp_path / "chats.json", wanted) as export:
        parts = export.write(AWKWARD)
        export.add(info, dataset_info(tmp_path / "chats.json", wanted, parts))
    entries = json.loads(info.read_bytes().decode("ascii"))
    assert [*entries] == ["mine", "chats"]
    assert entries["mine"] == others["mine"]
    assert "é" not in entries["chats"]
    again = dataset_info(tmp_path / "chats.json", wanted, parts)
    assert again == info.read_bytes()


@pytest.mark.parametrize("text", ["[", "[]", '{"features": 1}', "\xff"])
def test_another_dataset_info_is_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_info.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"dataset_info\.json: is no"):
        dataset_info(tmp_path / "x.json", ExportOptions(), [])


def test_a_pipe_in_place_is_an_error(tmp_path: Path) -> None:
    for name in ("dataset_info.json", "x.json.axolotl.yaml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"dataset_info\.json: cannot be read \(is a pipe"):
        dataset_info(tmp_path / "x.json", ExportOptions(), [])
    with pytest.raises(InputError, match=r"axolotl\.yaml: cannot be read \(is a pipe"):
        stanza_path(tmp_path / "x.json")


@pytest.mark.parametrize("entry", [{"file_name": "x.parquet"}, {"script_url": "x"}])
def test_an_entry_for_another_file_is_not_replaced(tmp_path: Path, entry: dict[str, str]) -> None:
    (tmp_path / "dataset_info.json").write_text(json.dumps({"x": entry}))
    with writing(tmp_path / "x.json", ExportOptions()) as export:
        parts = export.write(AWKWARD)
    with pytest.raises(
        InputError, match=r"already has an entry 'x', for (x.parquet|something else)"
    ):
        dataset_info(tmp_path / "x.json", ExportOptions(), parts)


@pytest.mark.parametrize("name", ["a[1].json", "a*.json", "a?.json"])
def test_names_with_patterns_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"llama_factory: reads .* as a pattern"):
        check_llama_factory(tmp_path / name, ExportOptions())
    with pytest.raises(ConfigError, match=r"axolotl: reads .* as a pattern"):
        stanza_path(tmp_path / name)


def test_a_stanza_replaces_only_a_stanza(tmp_path: Path) -> None:
    place = tmp_path / "x.json.axolotl.yaml"
    assert stanza_path(tmp_path / "x.json") == place
    with writing(tmp_path / "x.json", ExportOptions()) as export:
        place.write_bytes(axolotl_stanza(ExportOptions(), "json", export.write(AWKWARD)))
    assert stanza_path(tmp_path / "x.json") == place
    place.write_text("base_model: mine\n")
    with pytest.raises(InputError, match="exists, but is not a stanza written by selfinstruct"):
        stanza_path(tmp_path / "x.json")


def test_dataset_names_have_no_comma() -> None:
    assert dataset_name(Path("a/my data, v1.2.train.jsonl")) == "my_data_v1_2_train"
    assert dataset_name(Path("…json")) == "json"
    assert dataset_name(Path(",,.json")) == "dataset"


def test_a_stanza_names_each_part_once(tmp_path: Path) -> None:
    for name in sorted(FORMATS):
        if FORMATS[name].container in ("datasets", "csv"):
            continue
        wanted = ExportOptions(format=name, split=(0.6, 0.2, 0.2))
        with writing(tmp_path / "x", wanted) as export:
            parts = export.write(AWKWARD)
        text = axolotl_stanza(wanted, export.container, parts).decode()
        assert "&" not in text
        document = yaml.safe_load(text)
        assert [*document] == ["datasets", "test_datasets", "val_set_size"]
        assert [part["path"] for part in document["datasets"]] == [str(tmp_path / "x.train")]
        assert [part["path"] for part in document["test_datasets"]] == [
            str(tmp_path / "x.validation")
        ]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"format": "xls"}, "format: must be one of alpaca, jsonl"),
        ({"container": "xls"}, "container: must be one of json"),
        ({"system": "x"}, "system: does not fit the format alpaca"),
        ({"system": "\udcff", "format": "messages"}, "system: is not UTF-8 text"),
        ({"template": Path("x")}, "template: does not fit the format alpaca"),
        ({"split": (0.5,)}, "split: must be two shares"),
    ],
)
def test_conflicting_options_are_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(SelfInstructError, match=said):
        ExportOptions(**wanted)


@pytest.mark.parametrize(
    ("path", "wanted", "said"),
    [
        ("x.csv", {"format": "messages"}, "messages contains lists, which CSV cannot store"),
        ("x.json", {"csv_safe": True}, "csv_safe: is for CSV, but x.json will be json"),
        ("x.parquet", {"format": "jsonl"}, "format: is jsonl, but x.parquet ends in .parquet"),
        ("-", {"split": (0.5, 0.5)}, "split: writes several files; use a file name"),
        ("-", {"format": "datasets"}, "stdout: cannot be a directory"),
    ],
)
def test_conflicts_with_the_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, wanted: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SelfInstructError, match=said):
        written(Path(path), AWKWARD, **wanted)
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "container", "files"),
    [
        ("data.json", "json", ["data.train.json", "data.test.json"]),
        ("data.v1.jsonl.gz", "jsonl", ["data.v1.train.jsonl.gz", "data.v1.test.jsonl.gz"]),
        ("data", "json", ["data.train", "data.test"]),
        ("data.PARQUET", "parquet", ["data.train.PARQUET", "data.test.PARQUET"]),
    ],
)
def test_parts_have_the_names_of_the_hub(
    tmp_path: Path, name: str, container: str, files: list[str]
) -> None:
    wanted = ExportOptions(split=(0.5, 0.5))
    assert wanted.container_of(name) == container
    assert [path.name for path in written(tmp_path / name, AWKWARD, split=(0.5, 0.5))] == files


@given(data=st.data())
def test_a_split_export_has_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(numbered)
    folder = tmp_path_factory.mktemp("x")
    seed = data.draw(st.none() | st.integers(0, 9))
    if len({row["instruction"] for row in rows}) < 2:
        return
    files = written(folder / "x.jsonl", rows, split=(0.7, 0.3), shuffle_seed=seed)
    found = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert sorted(found, key=lambda row: int(row["input"])) == rows


def test_every_format_is_described_everywhere() -> None:
    """Compare the formats with the command line, the trainers' settings and the docs."""
    assert set(get_args(command.Format)) == set(FORMATS)
    shapes = {chosen.shape for chosen in FORMATS.values()}
    trainers = yaml.safe_load(
        (ROOT / "selfinstruct/dataset/export/trainers.yaml").read_text(encoding="utf-8")
    )
    assert {name: set(settings) for name, settings in trainers.items()} == {
        "llama_factory": shapes,
        "axolotl": shapes,
    }
    table = (ROOT / "docs/guides/export.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in table for name in FORMATS)
