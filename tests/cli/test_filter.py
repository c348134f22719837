"""Tests of `selfinstruct filter`: its output and summary, and that a failure leaves no files."""

import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from waiting import PATIENCE_S, until

from selfinstruct import cli
from selfinstruct.cli.progress_bar import bar
from selfinstruct.dataset.deduplication.filter_records import filter_records
from selfinstruct.dataset.record_files import read_records, write_records

Typed = Callable[..., tuple[int, str, str]]
TEXTS = [
    "Name three rivers of Asia.",
    "Explain how bread is baked.",
    "Name three big rivers of Asia.",
    "…",
    "Write a poem about the sea.",
    "Explain, how bread is baked!",
]
KEPT = [0, 1, 3, 4]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which contains a file in the published format."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    rows = [{"instruction": text, "input": "", "output": str(n)} for n, text in enumerate(TEXTS)]
    (place / "alpaca.json").write_text(json.dumps(rows, indent=4) + "\n")
    (place / "alpaca.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return a function that runs `selfinstruct filter` and returns exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object, stdin: str | None = None) -> tuple[int, str, str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["selfinstruct", "filter", *map(str, arguments)])
            patch.setattr(signal, "signal", lambda *_: None)
            if stdin is not None:
                patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            with pytest.raises(SystemExit) as ended:
                cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 1, said.out, said.err

    return call


def outputs(path: str) -> list[int]:
    """Return the numbers in the output fields of a file's records."""
    with read_records(path) as records:
        return [int(record.fields["output"]) for record in records]


def test_rejected_records_with_an_input_are_counted(here: Path, typed: Typed) -> None:
    rows = [{"instruction": "Sum it up.", "input": text, "output": ""} for text in ("", "A", "B")]
    (here / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, _, said = typed("data.jsonl", "-o", "out.jsonl")
    assert "rejected 2" in said
    assert "2 rejected records have the same text as another record, and an input" in said
    assert "--keep-equal" in said
    for flags in (["--field", "instruction", "--field", "input"], ["--keep-equal"]):
        assert "same text" not in typed("data.jsonl", "-o", "out.jsonl", *flags)[2]
    known = ("--against", "out.jsonl", "--keep-equal")
    _, _, said = typed("data.jsonl", "-o", "none.jsonl", *known)
    assert "kept 0" in said
    _, _, said = typed("data.jsonl", "-o", "none.jsonl", *known[:2])
    assert "same text" not in said


@pytest.mark.parametrize("similarities", [False, True])
def test_keep_equal_keeps_every_instance(here: Path, typed: Typed, similarities: bool) -> None:
    texts = [
        "Sum it up.",
        "…",
        "Sing a song of the sea.",
        "Sum it up.",
        "Sum it up!",
        "…",
        "Sum it up.",
    ]
    rows = [{"instruction": text, "output": str(n)} for n, text in enumerate(texts)]
    (here / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--similarities"] if similarities else []
    _, _, said = typed("data.jsonl", "-o", "out.jsonl", "--keep-equal", *flags)
    assert said.startswith("read 7, kept 6, of these as equal 2, rejected 1 (14.3%), without tok")
    assert outputs("out.jsonl") == [0, 1, 2, 3, 5, 6]
    if similarities:
        written = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
        figures = [row["most_similar_instructions"] for row in written]
        assert figures == [{}, {}, {"Sum it up.": 0.0}, {}, {}, {}]


def test_a_threshold_of_1_gets_a_remark(here: Path, typed: Typed) -> None:
    (here / "data.jsonl").write_text('{"instruction": "Sing."}\n' * 2)
    _, _, said = typed("data.jsonl", "-o", "out.jsonl", "-t", 1)
    assert "kept 2" in said
    assert "even exact copies are kept; to reject only exact copies, use -t 0.999" in said
    _, _, said = typed("data.jsonl", "-o", "out.jsonl", "-t", 0.999)
    assert "kept 1" in said
    assert "copies" not in said


def test_the_first_of_similar_records_is_kept(here: Path, typed: Typed) -> None:
    code, out, err = typed("alpaca.json", "-o", "clean.json", "--rejected", "rejected.jsonl")
    assert (code, out) == (0, "")
    rows = json.loads((here / "alpaca.json").read_text())
    expected = json.dumps([rows[n] for n in KEPT], indent=4, ensure_ascii=False) + "\n"
    assert (here / "clean.json").read_text() == expected
    rejected = [json.loads(line) for line in (here / "rejected.jsonl").read_text().splitlines()]
    assert rejected == [
        rows[2]
        | {"witness": TEXTS[0], "witness_place": "alpaca.json: record 1", "rouge_l": 10 / 11},
        rows[5] | {"witness": TEXTS[1], "witness_place": "alpaca.json: record 2", "rouge_l": 1.0},
    ]
    counts, uncompared, *wrote = err.splitlines()
    assert counts.startswith("read 6, kept 4, rejected 2 (33.3%), without tokens 1, ")
    assert uncompared.startswith("1 kept text has no words for the tokenizer unicode")
    assert wrote == ["wrote 4 records to clean.json", "wrote 2 records to rejected.jsonl"]


@pytest.mark.usefixtures("here")
def test_the_output_may_replace_the_input(typed: Typed) -> None:
    assert typed("alpaca.json", "-o", "alpaca.json")[0] == 0
    assert outputs("alpaca.json") == KEPT


@pytest.mark.parametrize("name", ["c.json.gz", "c.jsonl", "c.csv", "c.parquet"])
def test_similarities_are_written_in_every_format(typed: Typed, here: Path, name: str) -> None:
    (here / "known.jsonl").write_text(json.dumps({"q": "Name some seas."}))
    known = ("--against", "known.jsonl", "--against-field", "q")
    code, out, _ = typed("alpaca.json", "-o", name, "--similarities", *known, "--json")
    assert code == 0
    assert json.loads(out).items() >= {
        "read": 6, "kept": 4, "rejected": 2, "without_tokens": 1, "against": 1,
    }.items()  # fmt: skip
    with read_records(name) as records:
        found = [dict(record.fields) for record in records]
    assert [int(row["output"]) for row in found] == KEPT
    likeness = {"Name some seas.": 0.25, TEXTS[0]: 2 / 11, TEXTS[1]: 0.0}
    first, _, none, last = [row["most_similar_instructions"] for row in found]
    read = json.loads if isinstance(first, str) else dict
    assert read(first) == {"Name some seas.": 0.25}
    assert read(none) == {}
    assert set(read(last)) == set(likeness)
    assert float(found[2]["avg_similarity_score"]) == 0.0
    scores = list(read(last).values())
    assert scores == sorted(scores, reverse=True)
    assert float(found[3]["avg_similarity_score"]) == pytest.approx(sum(scores) / 3)


@pytest.mark.usefixtures("here")
def test_several_files_of_several_formats_become_one(typed: Typed) -> None:
    with (
        read_records("alpaca.json") as rows,
        write_records("a.parquet") as parquet,
        write_records("a.csv.gz") as csv,
    ):
        for row in rows:
            (csv if row.number % 2 else parquet).write(row)
    code, _, err = typed("a.csv.gz", "a.parquet", "alpaca.jsonl", "-o", "all.parquet")
    assert code == 0, err
    assert sorted(outputs("all.parquet")) == [0, 1, 3, 3, 4]
    code, out, _ = typed("a.csv.gz", "a.parquet", "-o", "-", "--quiet")
    assert out.splitlines()[:2] == ["instruction,input,output", "Name three rivers of Asia.,,0"]
    code, out, _ = typed("a.csv.gz", "-o", "-", "--output-format", "jsonl")
    assert json.loads(out.splitlines()[0])["output"] == "0"


@pytest.mark.usefixtures("here")
def test_against_counts_and_is_not_written(typed: Typed) -> None:
    code, _, err = typed("alpaca.json", "-o", "c.json", "--against", "alpaca.jsonl", "-t", 0.9)
    assert code == 0
    assert "read 6, compared also with 6, kept 1, rejected 5" in err
    assert outputs("c.json") == [3]


def test_stdin_to_stdout(typed: Typed, here: Path) -> None:
    for name in ("alpaca.json", "alpaca.jsonl"):
        text = (here / name).read_text()
        code, out, err = typed("-", "-o", "-", "--tokenizer", "rouge", stdin=text)
        assert (code, err[:14]) == (0, "read 6, kept 4")
        assert out[:1] == text[:1]
        (here / f"out-{name}").write_text(out)
        assert outputs(f"out-{name}") == KEPT


def test_a_field_without_text_gets_a_remark(here: Path, typed: Typed) -> None:
    flags = ("--field", "instruction", "--field")
    _, _, said = typed("alpaca.json", "-o", "out.json", *flags, "imput")
    assert "no record has text in the field 'imput'; if the name is misspelt" in said
    rows = [{"instruction": "Sing."}, {"instruction": "Dance now.", "input": ""}]
    (here / "some.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("alpaca.json", "some.jsonl"):
        assert "no record has" not in typed(name, "-o", "out.json", *flags, "input")[2]


def test_several_fields_are_compared_together(typed: Typed, here: Path) -> None:
    rows = [{"m": [{"t": "Add the numbers."}], "input": word} for word in ("1 2 3 4 5", "6 7 8 9")]
    (here / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for fields, kept in ((["m.0.t"], 1), (["m.0.t", "input"], 2)):
        flags = [part for field in fields for part in ("--field", field)]
        assert typed("a.jsonl", "-o", "b.jsonl", *flags)[0] == 0
        assert len((here / "b.jsonl").read_text().splitlines()) == kept


BAD: list[tuple[list[str], int, str]] = [
    (["none.json", "-o", "c.json"], 2, "none.json: cannot be read (No such file"),
    (["alpaca.json", "none.json", "-o", "c.json"], 2, "none.json: cannot be read (No such file"),
    (["alpaca.json", "--against", "none.json", "-o", "c.json"], 2, "none.json: cannot be read"),
    (["broken.jsonl", "-o", "new/c.json"], 2, "broken.jsonl:3: is not JSON"),
    (
        ["alpaca.json", "-o", "c.json", "--field", "prompt"],
        2,
        "alpaca.json: record 1: has no field 'prompt'; choose a field with --field (fields: 'i",
    ),
    (
        ["numbers.csv", "-o", "c.json", "--field", "b"],
        2,
        "numbers.csv:2: has no field 'b'; choose a field",
    ),
    (["alpaca.json", "-o", "c.json", "-t", "7"], 2, "threshold: must be between 0 and 1, not 7"),
    (
        ["alpaca.json", "-o", "c.json", "-t", "nan"],
        2,
        "threshold: must be between 0 and 1, not nan",
    ),
    (["alpaca.json", "-o", "folder"], 1, "folder: cannot be written (Is a directory)"),
    (["alpaca.json", "-o", "c.parquet.gz"], 2, "c.parquet.gz: cannot be both Parquet"),
    (["alpaca.json", "-o", "run/journal.jsonl"], 2, "run/journal.jsonl: is a file of the run in"),
    (["-", "-", "-o", "c.json"], 2, "stdin: can be read only once"),
    (
        ["alpaca.json", "-o", "c.json", "--rejected", "./c.json"],
        2,
        "c.json: would be written twice",
    ),
    (["alpaca.json", "-o", "c.json", "--against", "c.json"], 2, "c.json: is an input of --against"),
    (["numbers.csv", "alpaca.json", "-o", "c.json", "--rejected", "alpaca.json"], 2, "only -o may"),
    (
        ["alpaca.json", "-o", "c.json", "--against", "Makefile"],
        2,
        "choose a file that ends in .json, .j",
    ),
    (
        ["Makefile", "-o", "c.json"],
        2,
        "Makefile: has a format that cannot be determined from its name or first",
    ),
    (
        ["alpaca.json", "-o", "c.json", "--against", "numbers.csv"],
        2,
        "numbers.csv:2: has no field 'instruction'; choose a field with --against-field (fields: 'a')",
    ),
    (["alpaca.json", "-o", "c.json", "--against-field", "a"], 2, "add --against FILE"),
    (["alpaca.json", "-o", "d/c.json.zst"], 2, "c.json.zst: has the unknown suffix .zst"),
    (["alpaca.json", "-o", "c.txt.gz"], 2, "end its name in .json, .jsonl, .ndjson, .csv"),
    (
        ["alpaca.json", "-o", "d/c.json", "--rejected", "r.xlsx"],
        2,
        "r.xlsx: has the unknown suffix .xlsx",
    ),
    (
        ["semicolons.csv", "-o", "c.json"],
        2,
        "the only field is 'instruction;input', so the columns",
    ),
    (["alpaca.json", "-o", "-", "--json"], 2, "Invalid value for --json"),
    (["alpaca.json"], 2, "Missing option '--output'"),
    (["-o", "c.json"], 2, "Missing argument 'INPUT'"),
    (["evil.jsonl", "-o", "c.json"], 2, r"fields: '\x1b[2Ja'"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), BAD, ids=[case[2] for case in BAD])
def test_bad_input_is_one_sentence(
    here: Path, typed: Typed, arguments: list[str], code: int, said: str
) -> None:
    (here / "folder").mkdir()
    (here / "run").mkdir()
    for name in ("config.yaml", "journal.jsonl"):
        (here / "run" / name).touch()
    (here / "numbers.csv").write_text("a\n1\n")
    (here / "semicolons.csv").write_text("instruction;input\nSing;\n")
    (here / "broken.jsonl").write_text('{"instruction": "a"}\n{"instruction": "b"}\n{"instr\n')
    (here / "evil.jsonl").write_text(json.dumps({"\x1b[2Ja": ""}))
    (here / "c.json").write_text("old")
    (here / "Makefile").write_text("all:")
    before = sorted(here.rglob("*"))
    ended, out, err = typed(*arguments)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Usage" in err or len(err.splitlines()) == 1
    assert sorted(here.rglob("*")) == before
    assert (here / "c.json").read_text() == "old"


def start(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "selfinstruct", "filter", *map(str, arguments)]
    return subprocess.Popen(line, text=True, stderr=subprocess.PIPE, **options)


def test_ctrl_c_leaves_nothing(here: Path) -> None:
    (here / "c.json").write_text("old")
    before = sorted(here.iterdir())
    flags = ("--rejected", "r.csv", "--similarities")
    with start("-", "-o", "c.json", *flags, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write((here / "alpaca.jsonl").read_text())
        process.stdin.flush()
        until(lambda: sorted(here.iterdir()) != before)
        process.send_signal(signal.SIGINT)
        # If the signal arrives just before a read, Python handles it only after data arrives.
        with suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.wait(timeout=PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "interrupted; nothing was written\n"
    assert sorted(here.iterdir()) == before
    assert (here / "c.json").read_text() == "old"


def test_both_files_appear_or_neither(here: Path) -> None:
    before = sorted(here.iterdir())
    ready: list[str] = []

    def interrupt() -> None:
        ready.extend(path.name[:5] for path in here.iterdir() if path not in before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filter_records("alpaca.json", "kept.jsonl", rejected="rejected.csv", hold=interrupt)
    assert sorted(ready) == [".kept", ".reje"]
    assert sorted(here.iterdir()) == before


def test_a_closed_pipe_causes_no_traceback(here: Path) -> None:
    row = json.dumps({"instruction": "x", "pad": "y" * 9_000}) + "\n"
    (here / "many.jsonl").write_text(row * 99)
    with start("many.jsonl", "-o", "-", "-t", 1, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == row
        process.stdout.close()
        assert process.wait(timeout=PATIENCE_S) == 1
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_the_output_may_be_a_link_or_pipe(here: Path, typed: Typed) -> None:
    (here / "link.jsonl").symlink_to("real.jsonl")
    assert typed("alpaca.json", "-o", "link.jsonl")[0] == 0
    assert (here / "link.jsonl").is_symlink()
    assert outputs("real.jsonl") == KEPT
    os.mkfifo("fifo.csv")
    with subprocess.Popen(["cat", "fifo.csv"], stdout=subprocess.PIPE, text=True) as reader:
        assert typed("alpaca.json", "-o", "fifo.csv")[0] == 0
        assert reader.stdout is not None
        assert len(reader.stdout.read().splitlines()) == 1 + len(KEPT)


def test_memory_does_not_grow_with_records(here: Path) -> None:
    def peak(count: int) -> int:
        texts = [f"word{n % 100} {n % 100} alone" for n in range(count)]
        rows = [{"instruction": text, "output": f"{n:04000}"} for n, text in enumerate(texts)]
        (here / "big.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        tracemalloc.start()
        summary = filter_records("big.jsonl", "kept.jsonl", rejected="rejected.jsonl")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (summary.read, summary.kept) == (count, 100)
        return most

    few, many = peak(1_500), peak(4_000)
    assert (here / "big.jsonl").stat().st_size > 15_000_000
    assert many < few + 1_000_000


def test_progress_is_lines_or_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 7))
    with bar(now=lambda: next(clock)) as show:
        for number in range(12):
            show(number / 12, f"{number} read")
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4
    assert lines[0].endswith(" read")
    assert "%, " in lines[0]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(Console, "is_terminal", True)
    with bar() as show:
        show(0.5, "half [read]")
        show(None, "unknown")
    assert "half [read]" in capsys.readouterr().err
    with bar(quiet=True) as show:
        show(0.5, "half")
    assert capsys.readouterr().err == ""
