"""Files are replaced atomically; streams are written to directly."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfinstruct.files import write_whole


def test_a_file_is_replaced_not_overwritten(tmp_path: Path) -> None:
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
def test_writing_to_stdout_replaces_no_file(tmp_path: Path, redirection: str) -> None:
    (tmp_path / "out").write_text("before ")
    code = "from pathlib import Path; from selfinstruct.files import write_whole; "
    code += "write_whole(Path('/dev/stdout'), b'data')"
    line = f'{sys.executable} -c "{code}" {redirection}'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = {"| cat": "before ", "> out": "data", ">> out": "before data"}
    assert (tmp_path / "out").read_text() == expected[redirection]
    assert done.stdout == ("data" if redirection == "| cat" else "")
