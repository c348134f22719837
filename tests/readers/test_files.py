"""pandas and several versions of `datasets` read every value in every exported file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from readers.awkward import LONGEST, ROWS, WORDS_FOR_NOTHING
from readers.exports import export
from readers.reading import PROGRAMS, understood

EVERY_ROW = [*ROWS, *WORDS_FOR_NOTHING]
TEXT = "Value('string')"
TYPES = {
    **dict.fromkeys(
        (
            "id instruction input output task_id origin is_classification classification_answer request_id "
            "ordinal model template demonstration_ids"
        ).split(),
        TEXT,
    ),
    "is_classification": "Value('bool')",
    "ordinal": "Value('int64')",
    "demonstration_ids": f"List({TEXT})",
}
AS_TEXT = {"keep_default_na": False}
"""Options with which pandas reads words such as "null" as text, not as missing values."""

Rows = Callable[[str], list[dict[str, Any]]]


KINDS: dict[str, dict[str, Any]] = {
    "published.json": {"kind": "json"},
    "a name, in 中文 v1.2.json": {"kind": "json"},
    "lines.jsonl": {"kind": "json"},
    "table.csv": {"kind": "csv", "options": AS_TEXT},
    "columns.parquet": {"kind": "parquet"},
    "folder": {"kind": "folder"},
    "run.jsonl": {"kind": "json"},
    "run-columns.parquet": {"kind": "parquet"},
    "run-folder": {"kind": "folder"},
}
"""How `datasets` must load each file, by file name."""


@pytest.fixture(scope="module")
def published(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with three splits and a card, ready for upload."""
    folder = tmp_path_factory.mktemp("published")
    terms = ["--card", "--license", "cc-by-4.0", "--language", "en"]
    options = ["-f", "jsonl", "--include-seed-tasks", "--split", "0.8/0.1/0.1"]
    export(exported, "run", "-o", str(folder / "data[1].jsonl"), *options, *terms)
    return folder


@pytest.fixture(scope="module")
def by_datasets(
    exported: Path, published: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Return the results from `datasets` by environment and file."""
    folder = tmp_path_factory.mktemp("datasets")
    jobs = {name: {"file": str(exported / name), **how} for name, how in KINDS.items()}
    jobs["folder-in-parts"] = {"file": str(exported / "folder-in-parts"), "kind": "folder"}
    jobs["published"] = {"file": str(published), "kind": "hub"}
    return {
        program: understood("datasets", jobs, folder / program, program=program)
        for program in PROGRAMS
    }


def rows_told(told: Any) -> list[dict[str, Any]]:
    """Return the rows from a result with only one split."""
    assert "error" not in told, told
    [rows] = told["rows"].values()
    return list(rows)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("file", KINDS)
def test_datasets_has_every_value_back(
    by_datasets: dict[str, dict[str, Any]], rows_of: Rows, program: str, file: str
) -> None:
    assert LONGEST > 50_000
    assert rows_told(by_datasets[program][file]) == rows_of(file)


@pytest.mark.parametrize("program", PROGRAMS)
def test_parts_of_a_folder_have_names(by_datasets: dict[str, dict[str, Any]], program: str) -> None:
    told = by_datasets[program]["folder-in-parts"]
    assert [*told["rows"]] == ["train", "test"]
    together = told["rows"]["train"] + told["rows"]["test"]
    assert sorted(together, key=json.dumps) == sorted(EVERY_ROW, key=json.dumps)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("file", ["run.jsonl", "run-columns.parquet", "run-folder"])
def test_columns_of_a_run_have_their_types(
    by_datasets: dict[str, dict[str, Any]], program: str, file: str
) -> None:
    [types] = by_datasets[program][file]["types"].values()
    assert types == TYPES


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_card_decides_the_splits(
    by_datasets: dict[str, dict[str, Any]], rows_of: Rows, program: str
) -> None:
    told = by_datasets[program]["published"]
    assert "error" not in told, told
    assert [*told["rows"]] == ["train", "validation", "test"]
    together = [row for rows in told["rows"].values() for row in rows]
    assert sorted(together, key=json.dumps) == sorted(rows_of("run.jsonl"), key=json.dumps)
    assert all(types == TYPES for types in told["types"].values())
    assert told["card"]["license"] == "cc-by-4.0"
    assert told["card"]["language"] == ["en"]
    assert told["card"]["size_categories"] == ["n<1K"]


def test_pandas_has_every_value_back(exported: Path, rows_of: Rows, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "published.json": {"kind": "json"},
        "lines.jsonl": {"kind": "json", "options": {"lines": True}},
        "columns.parquet": {"kind": "parquet"},
        "table.csv": {"kind": "csv", "options": {**AS_TEXT, "dtype": "str"}},
        "run-columns.parquet": {"kind": "parquet"},
    }
    jobs = {name: {"file": str(exported / name), **how} for name, how in kinds.items()}
    told = understood("pandas", jobs, tmp_path / "work", program="trl")
    for name in kinds:
        assert told[name] == rows_of(name)


def test_words_for_missing_values_need_options(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(WORDS_FOR_NOTHING), encoding="utf-8")
    export(tmp_path, "rows.json", "-o", "table.csv", "-f", "csv")
    job = {"kind": "csv", "file": str(tmp_path / "table.csv")}
    told = understood(
        "datasets",
        {"guessed": job, "told": {**job, "options": AS_TEXT}},
        tmp_path / "work",
        program="trl",
    )
    assert [row["output"] for row in rows_told(told["guessed"])] == [None, None]
    assert rows_told(told["told"]) == WORDS_FOR_NOTHING
