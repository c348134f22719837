"""Exports do not replace a run's files, create private files, and escape file names in messages."""

import errno
import json
import os
import re
from pathlib import Path

import pytest
from bad_input import LONG, Typed, check, everything
from support import ScriptedBackend

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import RunWriteError
from selfinstruct.runner import manifest
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.run_file_names import FILES, LOCK


def test_a_read_error_of_settings_is_exit_1(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(manifest, "read_yaml", failing)
    with pytest.raises(
        RunWriteError, match=r"config.yaml cannot be read \(Input/output error\); the disk"
    ):
        read_run(finished)


@pytest.mark.parametrize(
    "name", [*sorted(FILES), "prompts/classify.txt", "prompts/new.json", "link"]
)
def test_an_export_replaces_no_file_of_a_run(
    here: Path, finished: Path, typed: Typed, name: str
) -> None:
    (finished / "link").symlink_to("journal.jsonl")
    before = everything(here)
    ended = typed("export", finished, "-o", finished / name)
    assert (ended.code, ended.out) == (2, "")
    assert re.search(r"is a file of the run in .*; choose .*/run/exports/", ended.sentence)
    assert everything(here) == before


@pytest.mark.parametrize("name", ["run/mine.json", "run/exports/mine.json", "a/b/mine.json"])
def test_an_export_creates_its_folder(finished: Path, typed: Typed, name: str) -> None:
    assert typed("export", finished, "-o", name).code == 0
    assert json.loads(Path(name).read_bytes())
    assert typed("verify", finished).code == 0


def test_a_folder_with_a_config_is_no_run(here: Path, finished: Path, typed: Typed) -> None:
    (here / "config.yaml").write_text("model: m\n")
    assert typed("export", finished, "-o", "seed_tasks.jsonl").code == 0


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("folder", "folder: cannot be written .Is a directory.; choose a file"),
        (
            "latin/x",
            "latin/x: cannot be written .Not a directory.; part of the path is a file, not a dir",
        ),
        ("loop/x", "loop/x: cannot be written "),
        (LONG, "aaa: cannot be written .File name too long.; choose a shorter name"),
        ("/proc/x", "/proc/x: cannot be written "),
        ("/dev/full", "/dev/full: cannot be written .No space left on device.; make room, then"),
    ],
)
def test_a_failed_export_changes_nothing(
    here: Path, finished: Path, typed: Typed, name: str, pattern: str
) -> None:
    before = everything(here)
    ended = typed("export", finished, "-o", name)
    check(ended, pattern, code=1)
    assert everything(here) == before


# ── who may read what; names that would drive a terminal ─────────────────────────────────────────────────


def test_files_with_replies_are_private(tmp_path: Path, config: RunConfig) -> None:
    before = os.umask(0)
    try:
        run(tmp_path / "run", config, backend=ScriptedBackend())
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "run").iterdir() if p.is_file()}
    assert modes == {
        "journal.jsonl": 0o600,
        LOCK: 0o600,
        "config.yaml": 0o644,
        "seed_tasks.jsonl": 0o644,
    }


def test_control_characters_are_escaped(finished: Path, typed: Typed) -> None:
    name = "a\x1b[2J\nb\u202e\x9b"
    finished.rename(name)
    ended = [
        typed("status", name),
        typed("verify", name),
        typed("explain", name, "amber\x1b[2J"),
        typed("export", name, "-o", "\x1b[2J.json"),
        typed("run", name),
    ]
    assert [one.code for one in ended] == [0, 0, 1, 0, 0]
    for one in ended:
        assert not re.search("[\x1b\x9b\u202e]", one.out + one.err)
    assert "a\\x1b[2J\\nb\\u202e\\x9b: complete" in ended[0].out
    assert "rows to \\x1b[2J.json" in ended[3].err
