"""Tests of `decontaminate` and `export --decontaminate`: their files and summaries."""

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from support import ScriptedBackend, typed
from waiting import PATIENCE_S, until

from selfinstruct.api import run
from selfinstruct.cli.commands.decontaminate import decontaminate
from selfinstruct.cli.commands.export import export
from selfinstruct.cli.dataset_lines import decontaminate_lines
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.decontamination.decontaminate_records import (
    DecontaminationSummary,
    decontaminate_records,
)
from selfinstruct.display import counted
from selfinstruct.errors import ExportError, InputError, SelfInstructError

ASKED = (
    "How many buckets of sand does the keeper of the Orlen dunes carry to the chapel each spring?"
)
LIKE = "How many buckets of salt does a keeper of Orlen dunes carry up to the chapel each autumn?"
MMLU = [
    {"question": ASKED, "subject": "dunes", "choices": ["three", "nine"], "answer": 1},
    {"question": "Yes?", "subject": "dunes", "choices": ["no"], "answer": 0},
]
GULLS = {
    "task_id": "HumanEval/900",
    "prompt": "from typing import List\n\n\ndef gulls(flock: List[str], least: int) -> int:\n"
    '    """ Count the gulls whose name is longer than least and ends in a vowel. """\n',
    "canonical_solution": "    return sum(len(n) > least and n[-1] in 'aeiou' for n in flock)\n",
    "test": "def check(candidate):\n    assert candidate([], 3) == 0\n",
    "entry_point": "gulls",
}
RECORDS: list[dict[str, Any]] = [
    {"instruction": "Name three rivers.", "input": "", "output": "Rhine, Rhône, Po"},
    {"instruction": f"Answer: {ASKED.upper()}", "input": "", "output": "nine\x1b[2J"},
    {"instruction": "Say more.", "input": LIKE, "output": "nine"},
    {"messages": [{"role": "user", "content": GULLS["prompt"]}], "weight": 1.10},
    {"instruction": "Which city?", "input": "", "output": "Paris"},
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which contains a list of records and two benchmarks."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.jsonl", RECORDS)
    write(tmp_path / "mmlu.jsonl", MMLU)
    write(tmp_path / "humaneval.jsonl", [GULLS])
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def clean(**changes: Any) -> DecontaminationSummary:
    given: dict[str, Any] = {
        "inputs": ["data.jsonl"],
        "output": Path("clean.jsonl"),
        "against": ["mmlu.jsonl", "humaneval.jsonl"],
    }
    return decontaminate_records(**(given | changes))


def lines(summary: DecontaminationSummary) -> list[str]:
    return list(decontaminate_lines(summary, dict.fromkeys(("output", "rejected", "report"))))


def test_hits_are_in_the_summary_and_files(here: Path) -> None:
    done = typed(
        "decontaminate", "data.jsonl", "-o", "clean.jsonl", "--against", "mmlu.jsonl",
        "--against", "humaneval.jsonl", "--report", "hits.jsonl", "--rejected", "bad.jsonl",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    table = [line.split() for line in done.stderr.splitlines()]
    assert table[1] == ["mmlu.jsonl", "2", "1", "2", "1", "1"]
    assert table[2] == ["humaneval.jsonl", "1", "1", "1", "1", "0"]
    assert "mmlu.jsonl: 1 of its items have no text of 4 words or more" in done.stderr
    assert "read 5, kept 2, dropped 3 (60.0%)" in done.stderr

    assert read(here / "clean.jsonl") == [RECORDS[0], RECORDS[4]]
    bad = read(here / "bad.jsonl")
    found = [hit for row in bad for hit in row.pop("contamination")]
    assert bad == RECORDS[1:4]
    report = read(here / "hits.jsonl")
    assert [hit.pop("record") for hit in report] == [f"data.jsonl:{n}" for n in (2, 3, 4)]
    assert report == found
    assert [(hit["field"], hit["kind"], hit["item"]) for hit in found] == [
        ("instruction", "ngram", "mmlu.jsonl:1"),
        ("input", "rouge_l", "mmlu.jsonl:1"),
        ("messages.0.content", "ngram", "humaneval.jsonl:1"),
    ]
    assert found[0]["words"] == ASKED.lower().rstrip("?")
    assert found[1]["rouge_l"] == pytest.approx(7 / 9)
    assert found[2]["item_id"] == "HumanEval/900"
    assert found[2]["words"].startswith("def gulls flock")


@pytest.mark.usefixtures("here")
def test_json_has_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    decontaminate(["data.jsonl"], Path("clean.jsonl"), ["mmlu.jsonl"], json_output=True)
    written = capsys.readouterr()
    told = json.loads(written.out)
    assert (told["read"], told["kept"], told["dropped"]) == (5, 3, 2)
    assert (told["by_ngram"], told["by_rouge_l"]) == (1, 1)
    [benchmark] = told["benchmarks"]
    assert (benchmark["items"], benchmark["items_hit"], benchmark["layouts"]) == (2, 1, ["MMLU"])
    assert written.err == ""
    with pytest.raises(typer.BadParameter, match="both write to stdout"):
        decontaminate(["data.jsonl"], Path("-"), ["mmlu.jsonl"], json_output=True)


@pytest.mark.usefixtures("here")
def test_records_go_through_a_pipe() -> None:
    piped = subprocess.run(
        [
            sys.executable,
            "-m",
            "selfinstruct",
            "decontaminate",
            "-",
            "-o",
            "-",
            "--against",
            "mmlu.jsonl",
        ],
        input=Path("data.jsonl").read_bytes(),
        capture_output=True,
    )
    rows = [json.loads(line) for line in piped.stdout.splitlines()]
    assert rows == [RECORDS[0], *RECORDS[3:]]


def test_every_benchmark_format_gives_the_same(here: Path) -> None:
    (here / "mmlu.json").write_text(json.dumps(MMLU))
    with (here / "mmlu.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, MMLU[0].keys())
        rows.writeheader()
        rows.writerows(MMLU)
    formats = ["mmlu.json", "mmlu.csv", "mmlu.jsonl"]
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        pass
    else:
        parquet.write_table(pyarrow.Table.from_pylist(MMLU), "mmlu.parquet")
        formats.append("mmlu.parquet")
    for name in formats:
        summary = clean(against=[name])
        assert (summary.kept, summary.benchmarks.counts[name].layouts) == (3, ["MMLU"]), name


@pytest.mark.usefixtures("here")
def test_fields_can_be_chosen() -> None:
    def dropped(**changes: Any) -> int:
        return clean(**changes).dropped

    assert dropped() == 3
    assert dropped(field=["instruction"]) == 1
    assert dropped(field=["instruction", "messages.content"]) == 2
    assert dropped(no_rouge=True) == 2
    assert dropped(against="mmlu.jsonl", against_field=["subject", "choices", "question"]) == 2
    with pytest.raises(
        InputError, match=r"mmlu\.jsonl: has no text of 4 words or more in subject;"
    ):
        dropped(against_field="subject")
    with pytest.raises(InputError, match="no record has text in 'instrution'; check --field"):
        dropped(field=["instrution", "input"])


def test_several_inputs_keep_their_order(here: Path) -> None:
    many = [{"instruction": f"Name river number {n}.", "n": n} for n in range(1203)]
    write(here / "many.jsonl", [*many, RECORDS[1]])
    summary = clean(inputs=["many.jsonl", "data.jsonl"])
    assert (summary.read, summary.kept) == (1209, 1205)
    assert read("clean.jsonl") == [*many, RECORDS[0], RECORDS[4]]


@pytest.mark.parametrize(
    "inputs", [["data.jsonl", "humaneval.jsonl"], ["humaneval.jsonl", "data.jsonl"]]
)
def test_a_benchmark_among_inputs_is_refused(here: Path, inputs: list[str]) -> None:
    done = typed("decontaminate", *inputs, "-o", "-", "--against", "mmlu.jsonl", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert "humaneval.jsonl: looks like HumanEval and is an INPUT; give each" in done.stderr
    os.mkfifo(here / "pipe")
    with (
        subprocess.Popen(["sh", "-c", "cat humaneval.jsonl > pipe"]),
        pytest.raises(InputError, match="pipe: looks like HumanEval"),
    ):
        clean(inputs=["data.jsonl", "pipe"])
    assert not (here / "clean.jsonl").exists()


@pytest.mark.usefixtures("here")
def test_a_benchmark_alone_gets_a_remark() -> None:
    named = {"inputs": ["humaneval.jsonl"], "against": ["mmlu.jsonl"]}
    [*_, last] = lines(clean(**named))
    assert last.startswith("humaneval.jsonl looks like HumanEval and was read as INPUT; each")
    assert not any("looks like" in line for line in lines(clean()))


def test_items_with_common_texts_are_counted(here: Path) -> None:
    rows = [
        {"question": ASKED},
        {"question": f"{ASKED} Say!"},
        {"question": LIKE},
        {"question": "?"},
    ]
    write(here / "quiz.jsonl", rows)
    changes = {"against": ["quiz.jsonl"], "common": 1, "no_rouge": True}
    summary = clean(**changes)
    said = "quiz.jsonl: 1 of its items have only texts that more than 1 different items have"
    assert any(line.startswith(said) for line in lines(summary))
    assert summary.benchmarks.as_json()[0]["items_not_looked_for"] == 2
    pairs = [(ASKED, "a b c d e f g h"), (ASKED, LIKE), (LIKE, "a b c d e f g h")]
    write(here / "quiz.jsonl", [{"question": one, "more": other} for one, other in pairs])
    with pytest.raises(InputError, match="contains only texts that more than 1 of its items share"):
        clean(**changes)


def test_a_csv_without_header_is_refused(here: Path) -> None:
    row = f"{ASKED},three,nine,B\n"
    quiz = here / "quiz.csv"
    quiz.write_text(row * 2)
    with pytest.raises(
        InputError, match=r"quiz\.csv:1: looks like an item, not a header; put a line"
    ):
        clean(against=["quiz.csv"])
    assert not (here / "clean.jsonl").exists()
    for header in ("question,A,B,answer", ",Question,Best Answer,Incorrect Answers", "0,1,2,3"):
        quiz.write_text(f"{header}\n{row}")
        assert clean(against=["quiz.csv"]).kept == 3
    quiz.write_text(f"what the people were asked,A,B,answer\n{row}")
    assert clean(against="quiz.csv", against_field="what the people were asked").kept == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": ["no.json"]}, "no.json: cannot be read"),
        ({"against": ["no.json"]}, "no.json: cannot be read"),
        ({"against": ["broken.jsonl"]}, "broken.jsonl:2: is not JSON"),
        ({"inputs": ["data.jsonl", "broken.jsonl"]}, "broken.jsonl:2: is not JSON"),
        ({"against": ["none.json"]}, "none.json: contains no items"),
        ({"against": ["short.jsonl"]}, "short.jsonl: has no text of 4 words or more to search"),
        ({"threshold": float("nan")}, "threshold: must be between 0 and 1, not nan"),
        ({"output": Path("mmlu.jsonl")}, "mmlu.jsonl: is an input of --against and must not be re"),
        ({"report": Path("clean.jsonl")}, "clean.jsonl: would be written twice"),
        ({"report": Path("data.jsonl")}, "data.jsonl: is an input, which only -o"),
        ({"inputs": ["-"], "against": ["-"]}, "stdin: can be read only once"),
        ({"report": Path("hits.csv")}, "hits.csv: is written as JSON Lines; end its name"),
        ({"report": Path()}, ".: cannot be written (Is a directory); choose a file"),
    ],
)
def test_bad_input_changes_no_file(here: Path, changes: dict[str, Any], said: str) -> None:
    (here / "broken.jsonl").write_text('{"instruction": "a b c d"}\n{"instruction": "\n')
    (here / "none.json").write_text("[]")
    (here / "short.jsonl").write_text('{"question": "Why?"}\n')
    (here / "clean.jsonl").write_text("old")
    before = {path: path.read_bytes() for path in here.iterdir()}
    with pytest.raises(SelfInstructError) as caught:
        clean(**changes)
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code == (1 if isinstance(caught.value, ExportError) else 2)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_ctrl_c_leaves_nothing(here: Path) -> None:
    os.mkfifo(here / "endless.jsonl")
    arguments = ["decontaminate", "endless.jsonl", "-o", "clean.jsonl", "--against", "mmlu.jsonl"]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "selfinstruct", *arguments], stderr=subprocess.PIPE, text=True
        ) as process,
        (here / "endless.jsonl").open("wb", buffering=0) as pipe,
    ):
        pipe.write(b'{"instruction": "Name a river."}\n')
        until(lambda: list(here.glob(".clean*")))
        process.send_signal(signal.SIGINT)
        # If the signal arrives just before a read, Python handles it only after data arrives.
        with suppress(BrokenPipeError):
            pipe.write(b'{"instruction": "Name another."}\n')
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert said == "interrupted; nothing was written\n"
    assert list(here.glob("*clean*")) == list(here.glob(".clean*")) == []


def test_export_leaves_out_contaminated_rows(
    here: Path, config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run("run", config, backend=ScriptedBackend())
    directory, out = Path("run"), Path("out.jsonl")
    export(str(directory), str(out), "jsonl")
    rows = read(out)
    one = rows[3]
    write(here / "quiz.jsonl", [{"question": one["instruction"]}])
    write(here / "other.jsonl", [{"question": ASKED}])
    benchmarks = ["quiz.jsonl", "other.jsonl"]
    left = [row for row in rows if row["instruction"] != one["instruction"]]
    assert 0 < len(left) < len(rows)
    capsys.readouterr()

    export(str(directory), str(out), "jsonl", decontaminate=benchmarks)
    assert read(out) == left  # the remaining rows keep their ids
    told = capsys.readouterr().err
    gone = counted(len(rows) - len(left), "row that contains", "rows that contain")
    assert f"left out {gone} benchmark text" in told
    assert f"wrote {len(left)} rows to out.jsonl" in told
    export(str(directory), str(out), decontaminate=benchmarks)
    assert [row["output"] for row in read(out)] == [r["output"] for r in left]

    out.write_text("old")
    with pytest.raises(InputError, match=r"nothing\.jsonl: cannot be read"):
        export(str(directory), str(out), decontaminate=["nothing.jsonl"])
    assert out.read_text() == "old"
