"""Test that runs created by another version can be read, but not continued."""

import re
from pathlib import Path

import pytest
from support import ScriptedBackend, exported, typed

from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import OtherVersionError
from selfinstruct.runner import manifest
from selfinstruct.runner.directory import read_history, read_run
from selfinstruct.runner.journal_line import JOURNAL_VERSION

DECIDING = ("rules", "parsers", "tokenizer")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    run(tmp_path / "run", RunConfig(model="m", num_instructions=9), backend=ScriptedBackend())
    return tmp_path / "run"


@pytest.mark.parametrize("name", DECIDING)
def test_a_run_with_other_decisions_is_read(
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
def test_a_run_with_other_decisions_is_not_continued(
    finished: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, name, 99)
    with pytest.raises(
        OtherVersionError,
        match=rf"run: made by an earlier version of selfinstruct \({name} 1, here 99\); continue it with "
        "that version; this version can read and export it$",
    ):
        run(finished, backend=ScriptedBackend())


@pytest.mark.parametrize(("here", "which"), [(99, "an earlier"), (1, "a later")])
def test_another_journal_format_is_not_read(
    finished: Path, monkeypatch: pytest.MonkeyPatch, here: int, which: str
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, "journal", here)
    (finished / "journal.jsonl").write_bytes(b"another format\n" * 2)
    message = (
        rf"made by {which} version of selfinstruct \(journal {JOURNAL_VERSION}, here {here}\); "
        "use it with that"
    )
    for command in (
        ("status",),
        ("export", "-o", "-"),
        ("verify",),
        ("explain",),
        ("run", "-n", "20"),
    ):
        done = typed(command[0], finished, *command[1:], *["x"] * (command[0] == "explain"))
        assert done.returncode == 2
        assert re.search(message, done.stderr), done.stderr


def test_demo_asks_to_remove_another_versions_run(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, "rules", 99)
    done = typed("demo", "-o", finished)
    assert done.returncode == 2
    assert "delete the directory" in done.stderr
