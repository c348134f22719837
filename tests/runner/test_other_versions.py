"""Runs of another version: what can be read is read, none is continued, and a sentence says so."""

import re
from pathlib import Path

import pytest
from support import ScriptedBackend, exported, typed

from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.lookup import History
from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import OtherVersionError
from selfinstruct.runner import manifest
from selfinstruct.runner.directory import read_history, read_run

DECIDING = ("rules", "parsers", "tokenizer")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    run(tmp_path / "run", RunConfig(model="m", num_instructions=9), backend=ScriptedBackend())
    return tmp_path / "run"


@pytest.mark.parametrize("name", DECIDING)
def test_a_run_decided_otherwise_is_read(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = exported(finished)
    monkeypatch.setitem(manifest.VERSIONS, name, 99)
    assert exported(finished) == before
    assert explain(History(*read_history(finished)), "task_000001").found
    assert typed("status", finished).returncode == 0
    refilter_run(finished, tmp_path / "new", {})
    new = read_run(tmp_path / "new")
    assert new.versions[name] == 99
    assert new.state.source is not None
    assert new.state.source.versions[name] == 1


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (9**9, "it can be read and exported, and continued only with that version$"),
        (1, "it has no reply yet, so start it anew in another directory$"),
    ],
)
def test_a_run_decided_otherwise_is_not_continued(
    finished: Path, monkeypatch: pytest.MonkeyPatch, name: str, lines: int, said: str
) -> None:
    path = finished / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    monkeypatch.setitem(manifest.VERSIONS, name, 99)
    with pytest.raises(
        OtherVersionError,
        match=rf"run: made by an earlier version of selfinstruct \({name} 1, here 99\); {said}",
    ):
        run(finished, backend=ScriptedBackend())


@pytest.mark.parametrize(("here", "which"), [(99, "an earlier"), (0, "a later")])
def test_another_format_of_journal_is_not_read(
    finished: Path, monkeypatch: pytest.MonkeyPatch, here: int, which: str
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, "journal", here)
    (finished / "journal.jsonl").write_bytes(b"in another format\n" * 2)
    said = rf"made by {which} version of selfinstruct \(journal 1, here {here}\); use it with that"
    for command in (
        ("status",),
        ("export", "-o", "-"),
        ("verify",),
        ("explain",),
        ("run", "-n", "20"),
    ):
        told = typed(command[0], finished, *command[1:], *["x"] * (command[0] == "explain"))
        assert told.returncode == 2
        assert re.search(said, told.stderr), told.stderr


def test_the_demo_of_another_version_is_to_be_removed(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, "rules", 99)
    told = typed("demo", "-o", finished)
    assert told.returncode == 2
    assert "remove the directory, or choose another one with -o" in told.stderr
