"""Tests of the command `selfinstruct export`."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import datasets
import pytest
import yaml
from support import ScriptedBackend, make_seed_task, typed

from selfinstruct.api import run
from selfinstruct.cli.commands.export import Container, Format
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.callbacks import Progress
from selfinstruct.dataset.export.export_options import CONTAINERS, FORMATS
from selfinstruct.dataset.export.export_records import export_records
from selfinstruct.dataset.record_files import read_records
from selfinstruct.dataset.rows import Row
from selfinstruct.dataset.source import RunSource
from selfinstruct.errors import InputError
from selfinstruct.pipeline.seed_tasks import render_seed_tasks

ROWS = [
    {"instruction": f"Say {n}.", "input": "<noinput>" if n % 2 else str(n), "output": f"It is {n}."}
    for n in range(40)
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("alpaca.json").write_text(json.dumps(ROWS))
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "seeds").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=12, seed_tasks=folder / "seeds")
    run(folder / "run", config, backend=ScriptedBackend())
    return folder / "run"


def test_flags_offer_every_format() -> None:
    assert [*get_args(Format)] == [*FORMATS]
    assert [*get_args(Container)] == [*CONTAINERS]


@pytest.mark.usefixtures("here")
def test_the_suffix_chooses_the_file_format(finished: Path) -> None:
    for name in ("a.json", "a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz"):
        done = typed("export", finished, "-o", name)
        assert done.returncode == 0, done.stderr
    tables = []
    for name in ("a.json", "a.jsonl", "a.csv", "a.parquet"):
        with read_records(name) as records:
            tables.append([dict(record.fields) for record in records])
    assert all(table == tables[0] for table in tables)
    assert gzip.decompress(Path("a.jsonl.gz").read_bytes()) == Path("a.jsonl").read_bytes()
    # If --format is a file format, it takes precedence over the suffix.
    typed("export", finished, "-o", "lines.json", "-f", "jsonl")
    assert Path("lines.json").read_text().startswith('{"id":')
    done = typed("export", finished, "-o", "x.json", "-f", "messages", "--container", "parquet")
    assert Path("x.json").read_bytes()[:4] == b"PAR1"


@pytest.mark.usefixtures("here")
def test_a_list_is_exported_in_every_format() -> None:
    for name in FORMATS:
        done = typed("export", "alpaca.json", "-o", f"out-{name}", "-f", name)
        assert done.returncode == 0, done.stderr
        assert f"wrote 40 rows to out-{name}" in done.stderr
    rows = json.loads(Path("out-alpaca").read_text())
    assert [row["input"] for row in rows[:2]] == ["0", ""]
    assert [row["output"] for row in rows] == [row["output"] for row in ROWS]


@pytest.mark.usefixtures("here")
def test_a_list_goes_through_pipes() -> None:
    options = ["-o", "-", "-f", "messages", "--limit", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "export", "-", *options],
        input=Path("alpaca.json").read_bytes(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    chats = [json.loads(line)["messages"] for line in done.stdout.splitlines()]
    assert [chat[0]["content"] for chat in chats] == ["Say 0.\n\n0", "Say 1.", "Say 2.\n\n2"]


@pytest.mark.usefixtures("here")
def test_json_names_the_files() -> None:
    done = typed(
        *("export", "alpaca.json", "-o", "out/data.json", "--split", "75/25", "--axolotl"),
        *("--llama-factory", "--json"),
    )
    told = json.loads(done.stdout)
    assert told["rows"] == 40
    assert [(file["path"], file["part"]) for file in told["files"]] == [
        ("out/data.train.json", "train"),
        ("out/data.test.json", "test"),
    ]
    assert sum(file["rows"] for file in told["files"]) == 40
    assert told["beside"] == ["out/dataset_info.json", "out/data.json.axolotl.yaml"]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "data.json.axolotl.yaml",
        "data.test.json",
        "data.train.json",
        "dataset_info.json",
    ]
    entries = json.loads(Path("out/dataset_info.json").read_text())
    assert {entry["file_name"] for entry in entries.values()} == {
        "data.train.json",
        "data.test.json",
    }
    stanza = yaml.safe_load(Path("out/data.json.axolotl.yaml").read_text())
    assert stanza["datasets"][0]["path"] == "out/data.train.json"


@pytest.mark.usefixtures("here")
def test_the_summary_counts_parts_and_empty_outputs() -> None:
    Path("some.jsonl").write_text(
        '{"instruction": "a", "output": " "}\n{"instruction": "b", "output": "x"}\n'
    )
    done = typed("export", "some.jsonl", "-o", "ds", "-f", "datasets", "--split", "0.5/0.5")
    assert "wrote 1 row of 1 instruction to ds (train)" in done.stderr
    assert "1 row has an empty output" in done.stderr.replace("\n", " ")
    assert {*datasets.load_from_disk("ds")} == {"train", "test"}


@pytest.mark.usefixtures("here")
def test_contaminated_rows_of_a_list_are_left_out() -> None:
    asked = "how many spoons does the harbour master of veldt keep in the upper drawer"
    rows = [
        {"instruction": asked, "output": "9"},
        {"instruction": "Say hello.", "output": "Hello!"},
    ]
    Path("some.json").write_text(json.dumps(rows))
    Path("quiz.jsonl").write_text(json.dumps({"question": asked}) + "\n")
    done = typed("export", "some.json", "-o", "out.json", "--decontaminate", "quiz.jsonl")
    assert done.returncode == 0, done.stderr
    assert [row["output"] for row in json.loads(Path("out.json").read_text())] == ["Hello!"]
    assert "left out 1 row that contains benchmark text" in done.stderr
    Path("some.json").write_text(json.dumps(rows[:1]))
    before = Path("out.json").read_bytes()
    done = typed("export", "some.json", "-o", "out.json", "--decontaminate", "quiz.jsonl")
    assert (done.returncode, Path("out.json").read_bytes()) == (2, before)
    assert "some.json: has only rows that contain benchmark text" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("alpaca.json", "--include-seed-tasks"),
            "include_seed_tasks: needs a run, but alpaca.json",
        ),
        (
            ("alpaca.json", "--similarities"),
            "similarities: needs a run.*use selfinstruct filter --similarities",
        ),
        (
            ("RUN", "--similarities", "-f", "messages"),
            "similarities: do not fit the format messages; use alpaca",
        ),
        (("RUN", "--input-format", "json"), "input_format: is only for files, but .*run is a run"),
        (("none.json",), "none.json: cannot be read"),
        (("none",), "none: does not exist"),
        (("empty.json",), "empty.json: has no rows, so there is nothing to export"),
        (("alpaca.json", "--split", "0.5/0.6"), "split: must be shares that add up to 1"),
        (("one.json", "--split", "0.5/0.5"), "split: is not possible: 1 different instruction"),
        (("alpaca.json", "--csv-safe"), "csv_safe: is for CSV, but out.json will be json"),
        (("alpaca.json", "--template", "none.txt"), "template: does not fit the format alpaca"),
        (("alpaca.json", "-f", "messages", "--template", "none.txt"), "none.txt: cannot be read"),
        (
            ("alpaca.json", "-o", "-", "--llama-factory"),
            "llama_factory: needs a file name, not -",
        ),
        (("alpaca.json", "-o", "-", "--axolotl"), "axolotl: needs a file name, not -"),
        (
            ("alpaca.json", "-o", "data", "--llama-factory"),
            "data will be json; use the suffix .json",
        ),
        (("alpaca.json", "-o", "data.json.gz", "--llama-factory"), "use the suffix .json"),
        (
            ("alpaca.json", "-o", "d", "-f", "datasets", "--llama-factory"),
            "cannot read a directory",
        ),
    ],
)
def test_impossible_options_write_nothing(
    here: Path, finished: Path, arguments: tuple[str, ...], said: str
) -> None:
    Path("empty.json").write_text("[]")
    Path("one.json").write_text(json.dumps(ROWS[:1]))
    before = sorted(here.iterdir())
    words = [str(finished) if word == "RUN" else word for word in arguments]
    if "-o" not in words:
        words += ["-o", "out.json"]
    done = typed("export", *words)
    assert (done.returncode, done.stdout) == (2, "")
    told = " ".join(done.stderr.split())
    assert re.search(said, told), told
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("RUN", "-o", "README.md", "--card"), "README.md: would be written twice"),
        (
            ("RUN", "-o", "dataset_info.json", "--llama-factory"),
            "dataset_info.json: would be written twice",
        ),
        (
            ("alpaca.json", "-o", "x.json", "--split", "0.5/0.5"),
            "x.test.json: would be written twice",
        ),
        (
            ("data.train.json", "-o", "data.json", "--split", "0.5/0.5"),
            "data.train.json: is an input, which only -o may replace",
        ),
        (
            ("alpaca.json", "-o", "quiz.jsonl", "--decontaminate", "quiz.jsonl"),
            "quiz.jsonl: is an input and must not be replaced",
        ),
        (
            ("alpaca.json", "-f", "messages", "-o", "mine.txt", "--template", "mine.txt"),
            "mine.txt: is an input and must not be replaced",
        ),
        (("alpaca.json", "-o", "."), ".: is not a file name"),
        (("alpaca.json", "-o", "..", "--split", "0.5/0.5"), "is not a file name"),
        (("alpaca.json", "-o", "/", "-f", "datasets"), "/: is not a file name"),
        (("alpaca.json", "-o", ".", "--axolotl"), "is not a file name"),
        (("alpaca.json", "-o", "/dev/stdout", "--split", "0.5/0.5"), "is a pipe or a device"),
        (
            ("RUN", "-o", "/dev/null", "--card"),
            "/dev/null: is a pipe or a device, which cannot take",
        ),
    ],
)
def test_an_export_replaces_no_other_file(
    here: Path, finished: Path, arguments: tuple[str, ...], said: str
) -> None:
    Path("data.train.json").write_bytes(Path("alpaca.json").read_bytes())
    Path("x.test.json").symlink_to("x.train.json")
    Path("quiz.jsonl").write_text('{"question": "How many rivers flow through this country?"}\n')
    Path("mine.txt").write_text("{{ instruction }}{{ input }}")
    before = {path.name: path.is_file() and path.read_bytes() for path in here.iterdir()}
    words = [str(finished) if word == "RUN" else word for word in arguments]
    done = typed("export", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert {path.name: path.is_file() and path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.usefixtures("here")
def test_a_list_may_be_replaced_by_its_export() -> None:
    done = typed("export", "alpaca.json", "-o", "alpaca.json", "--llama-factory", "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(Path("alpaca.json").read_text())) == 3


# ── the card ─────────────────────────────────────────────────────────────────────────────────────────────


def front_matter(path: Path) -> dict[str, object]:
    found = yaml.safe_load(path.read_text().split("\n---\n")[0])
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("here")
def test_a_card_names_files_and_missing_information(finished: Path) -> None:
    options = ("-o", "hub/data.parquet", "--split", "0.5/0.5", "--include-seed-tasks", "--card")
    done = typed("export", finished, *options)
    assert done.returncode == 0, done.stderr
    assert "the dataset card lacks the dataset's licence" in done.stderr
    card = Path("hub/README.md")
    configs = front_matter(card)["configs"]
    assert configs == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data.train.parquet"},
                {"split": "test", "path": "data.test.parquet"},
            ],
        }
    ]
    assert "license" not in front_matter(card)
    told = typed(
        *("export", finished, *options, "--json", "--license", "cc-by-4.0", "--language", "en"),
        *("--model-terms", "https://example.org/terms", "--source-license", "ours"),
    )
    assert json.loads(told.stdout)["missing_in_card"] == []
    assert json.loads(told.stdout)["beside"] == ["hub/README.md"]
    assert front_matter(card)["license"] == "cc-by-4.0"
    before = card.read_bytes()
    again = typed(
        *("export", finished, *options, "--license", "cc-by-4.0", "--language", "en"),
        *("--model-terms", "https://example.org/terms", "--source-license", "ours"),
    )
    assert again.returncode == 0
    assert card.read_bytes() == before


@pytest.mark.usefixtures("here")
def test_an_edited_card_is_not_replaced(
    finished: Path,
) -> None:
    typed("export", finished, "-o", "hub/data.json", "--card")
    card = Path("hub/README.md")
    card.write_text(card.read_text().replace("# Self-Instruct", "# My own"))
    before = {path: path.read_bytes() for path in Path("hub").iterdir()}
    done = typed("export", finished, "-o", "hub/data.json", "--card", "--limit", "3")
    assert done.returncode == 2
    assert "was written or edited by a person, so the card cannot replace" in done.stderr
    assert {path: path.read_bytes() for path in Path("hub").iterdir()} == before


@pytest.mark.usefixtures("here")
def test_a_card_edited_during_export_is_kept(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_records(finished, "data.json", card=True)
    data = Path("data.json").read_bytes()
    rows = RunSource.rows

    def edited(self: RunSource, progress: Progress) -> Iterator[Row]:
        Path("README.md").write_text("mine")
        return rows(self, progress)

    monkeypatch.setattr(RunSource, "rows", edited)
    with pytest.raises(InputError, match="was written or edited by a person"):
        export_records(finished, "data.json", card=True, limit=1)
    assert (Path("README.md").read_text(), Path("data.json").read_bytes()) == ("mine", data)


@pytest.mark.usefixtures("here")
def test_a_card_names_benchmarks_without_folders(finished: Path, tmp_path: Path) -> None:
    quiz = tmp_path / "quiz.jsonl"
    asked = "how many spoons does the harbour master of veldt keep in the upper drawer"
    quiz.write_text(json.dumps({"question": asked}) + "\n")
    typed("export", finished, "-o", "data.json", "--card", "--decontaminate", quiz)
    text = Path("README.md").read_text()
    assert "| `quiz.jsonl` | 0 |" in text
    assert "| `decontaminate` | quiz.jsonl |" in text
    assert "Nothing was left out" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("alpaca.json", "-o", "x.json", "--card"),
            "card: describes how a run made its data, but alpaca",
        ),
        (("RUN", "-o", "-", "--card"), "card: needs a file name, not -; choose one with -o"),
        (
            ("RUN", "-o", "x.json", "--license", "mit"),
            "requires --card",
        ),
        (("RUN", "-o", "x.json", "--card", "--language", "English"), "must be a code such as en"),
    ],
)
def test_an_impossible_card_writes_nothing(
    here: Path, finished: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(here.iterdir())
    done = typed("export", *(str(finished) if word == "RUN" else word for word in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert sorted(here.iterdir()) == before


@pytest.mark.usefixtures("here")
def test_an_unknown_licence_needs_its_text(finished: Path) -> None:
    for given, lacks in (("cc-by-4", True), ("Apache License 2.0", False), ("MIT License", False)):
        done = typed("export", finished, "-o", "data.json", "--card", "--license", given)
        told = (
            "the dataset card lacks the file LICENSE: the hub does not know the licence 'cc-by-4'"
        )
        assert (told in done.stderr) == lacks


# ── earlier files ────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("here")
def test_files_of_earlier_exports_are_named(finished: Path) -> None:
    three, two = ("--split", "0.8/0.1/0.1"), ("--split", "0.5/0.5")
    done = typed("export", finished, "-o", "st/data.jsonl", *three, "--card")
    assert "earlier export" not in done.stderr
    done = typed("export", finished, "-o", "st/data.jsonl", *two)
    assert (
        "st/data.validation.jsonl is from an earlier export and is not part of this one"
        in done.stderr
    )
    assert "st/README.md describes an earlier export; replace it with --card" in done.stderr
    assert "data.test.jsonl is from" not in done.stderr
    done = typed("export", finished, "-o", "st/data.jsonl", "--card")
    for part in ("train", "validation", "test"):
        assert f"st/data.{part}.jsonl is from an earlier export" in done.stderr
    assert "README.md describes" not in done.stderr


@pytest.mark.usefixtures("here")
def test_a_prompt_without_line_end_gets_a_remark(finished: Path) -> None:
    text = "{{ instruction }} {{ input }}\n### Answer\n"
    for end, is_told in (("", True), ("\n", False)):
        Path("mine.txt").write_text(text + end)
        options = ("-f", "prompt-completion", "--template", "mine.txt")
        done = typed("export", finished, "-o", "x.jsonl", *options)
        assert (
            "prompts end in '### Answer', and completions follow without a separator" in done.stderr
        ) == is_told
    done = typed("export", finished, "-o", "x.jsonl", "-f", "prompt-completion")
    assert "prompts end" not in done.stderr


@pytest.mark.parametrize("name", ["table.xlsx", "table.tsv", "x.jsonl.zip", "new/"])
def test_an_unknown_suffix_is_refused(here: Path, finished: Path, name: str) -> None:
    before = sorted(here.iterdir())
    done = typed("export", finished, "-o", name)
    assert (done.returncode, done.stdout) == (2, "")
    told = " ".join(done.stderr.split())
    assert "has the unknown suffix" in told or "is a directory; specify a file in it" in told
    assert sorted(here.iterdir()) == before
    if name != "new/":
        assert typed("export", finished, "-o", name, "--container", "json").returncode == 0
