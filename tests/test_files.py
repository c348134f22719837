"""Files are written whole or not at all, and what is no file is left to be what it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfinstruct.files import write_whole


def test_a_rewritten_file_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    for place in (path, Path("/dev/shm") / f"selfinstruct-{tmp_path.name}.json"):
        if not place.parent.is_dir():
            continue
        try:
            write_whole(place, b"old")
            with place.open("rb") as reader:
                write_whole(place, b"new")
                assert reader.read() == b"old"
            assert place.read_bytes() == b"new"
        finally:
            place.unlink(missing_ok=True)


@pytest.mark.parametrize("redirection", ["| cat", "> out", ">> out"])
def test_writing_to_stdout_by_its_name_replaces_nothing(tmp_path: Path, redirection: str) -> None:
    (tmp_path / "out").write_text("before ")
    code = "from pathlib import Path; from selfinstruct.files import write_whole; "
    code += "write_whole(Path('/dev/stdout'), b'data')"
    line = f'{sys.executable} -c "{code}" {redirection}'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = {"| cat": "before ", "> out": "data", ">> out": "before data"}
    assert (tmp_path / "out").read_text() == expected[redirection]
    assert done.stdout == ("data" if redirection == "| cat" else "")
