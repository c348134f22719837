"""Test that record files are replaced atomically, and that streams are written to directly."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfinstruct.dataset.record_files import Record, write_records


def write(path: Path, text: str) -> None:
    with write_records(path, format="jsonl") as writer:
        writer.write(Record({"a": text}, "x", 1))


def test_a_file_is_replaced_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    for place in (path, Path("/dev/shm") / f"selfinstruct-{tmp_path.name}.json"):
        if not place.parent.is_dir():
            continue
        try:
            write(place, "old")
            with place.open("rb") as reader:
                write(place, "new")
                assert reader.read() == b'{"a": "old"}\n'
            assert place.read_bytes() == b'{"a": "new"}\n'
        finally:
            place.unlink(missing_ok=True)


@pytest.mark.parametrize("redirection", ["| cat", "> out", ">> out"])
def test_writing_to_stdout_replaces_no_file(tmp_path: Path, redirection: str) -> None:
    (tmp_path / "out").write_text("before ")
    code = (
        "from selfinstruct.dataset.record_files import Record, write_records\n"
        "with write_records('/dev/stdout', format='jsonl') as writer:\n"
        "    writer.write(Record({}, 'x', 1))"
    )
    line = f'{sys.executable} -c "{code}" {redirection}'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = {"| cat": "before ", "> out": "{}\n", ">> out": "before {}\n"}
    assert (tmp_path / "out").read_text() == expected[redirection]
    assert done.stdout == ("{}\n" if redirection == "| cat" else "")
