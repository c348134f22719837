"""Test reading seed-task files: three formats, and clear error messages."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from selfinstruct.errors import InputError
from selfinstruct.pipeline.seed_tasks import read_seed_tasks, render_seed_tasks
from selfinstruct.records import Instance, SeedTask

ALPACA = {"instruction": "Add.", "input": "1, 2", "output": "3", "source": "somewhere"}
PUBLISHED = {
    "id": "seed_task_0",
    "name": "add",
    "instruction": "Add.",
    "instances": [{"input": "1, 2", "output": "3", "note": ""}],
    "is_classification": True,
    "extra": 1,
}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "seeds.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_seed_tasks_are_read() -> None:
    assert len(read_seed_tasks(ROOT / "seed_tasks.jsonl")) == 175


def test_the_published_schema_may_have_extra_fields(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(PUBLISHED) + "\n\n")
    assert read_seed_tasks(path) == (
        SeedTask(
            id="seed_task_0",
            name="add",
            instruction="Add.",
            instances=(Instance(input="1, 2", output="3"),),
            is_classification=True,
        ),
    )


@pytest.mark.parametrize("listed", [True, False])
def test_alpaca_rows_may_be_a_list_or_lines(tmp_path: Path, listed: bool) -> None:
    rows = [ALPACA, {"instruction": "Name a river.", "output": "The Po."}]
    text = json.dumps(rows, indent=2) if listed else "\n".join(map(json.dumps, rows))
    first, second = read_seed_tasks(write(tmp_path, "\ufeff" + text))
    assert first.instances == (Instance(input="1, 2", output="3"),)
    assert (second.id, second.instances[0].input) == ("seed_task_1", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "seeds.jsonl: contains no seed tasks"),
        ("[]", "seeds.jsonl: contains no seed tasks"),
        ('{"instruction": "Add."', r"seeds.jsonl:1: is not a JSON object \("),
        (json.dumps(PUBLISHED) + '\n\n["a"]', r"seeds.jsonl:3: is not a JSON object"),
        (
            json.dumps(PUBLISHED) + "\n" + json.dumps(PUBLISHED),
            r"seeds.jsonl:2: the id 'seed_task_0' appears twice",
        ),
        (
            json.dumps(PUBLISHED | {"instruction": 7}),
            r"seeds.jsonl:1: 'instruction' is a number, not text; put it in quotes$",
        ),
        (json.dumps(PUBLISHED | {"name": 0.5}), r"'name' is a number, not text; put it in quotes$"),
        (json.dumps(PUBLISHED | {"id": True}), r"'id' is true, not text; put it in quotes$"),
        (json.dumps(ALPACA | {"input": ["a"]}), r"seeds.jsonl:1: 'input' is a list, not text$"),
        (json.dumps([ALPACA | {"output": {}}]), r"entry 1: 'output' is an object, not text$"),
        (json.dumps(PUBLISHED | {"instruction": " "}), r"seeds.jsonl:1: 'instruction' is empty"),
        (json.dumps({"output": "3"}), r"seeds.jsonl:1: 'instruction' is missing"),
        (json.dumps({"instruction": "Add."}), r"seeds.jsonl:1: 'output' is missing"),
        (json.dumps(PUBLISHED | {"instances": {}}), r"seeds.jsonl:1: 'instances' is not a list"),
        (
            json.dumps(PUBLISHED | {"is_classification": "no"}),
            r"'is_classification' is neither true nor",
        ),
        (
            json.dumps(PUBLISHED | {"instruction": "\ud800"}),
            r"'instruction' contains a lone surrogate",
        ),
        (json.dumps([ALPACA, "a"]), r"seeds.jsonl: entry 2 is not an object"),
        (json.dumps([ALPACA, {"instruction": "x"}]), r"seeds.jsonl: entry 2: 'output' is missing"),
        ("[1,", r"seeds.jsonl:1: is not JSON"),
        ("[" * 100_000, r"seeds.jsonl: is not usable JSON"),
        ('{"instruction": ' + "[" * 100_000, r"seeds.jsonl:1: is nested too deeply"),
        ("[" + "9" * 5000 + "]", r"seeds.jsonl: is not usable JSON"),
    ],
)
def test_an_error_names_path_line_and_problem(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_seed_tasks(write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_seed_tasks(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"instruction": "\xe9"}')
    with pytest.raises(InputError, match="not UTF-8"):
        read_seed_tasks(tmp_path / "latin.jsonl")


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(
        st.tuples(
            TEXT.filter(str.strip),
            st.lists(st.builds(Instance, input=TEXT, output=TEXT)),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_written_seed_tasks_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, list[Instance], bool]]
) -> None:
    tasks = tuple(
        SeedTask(
            id=f"s{n}",
            name=f"n{n}",
            instruction=text,
            instances=tuple(instances),
            is_classification=kind,
        )
        for n, (text, instances, kind) in enumerate(parts)
    )
    path = tmp_path_factory.mktemp("seeds") / "seeds.jsonl"
    path.write_bytes(render_seed_tasks(tasks))
    assert read_seed_tasks(path) == tasks
