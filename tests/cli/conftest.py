"""Fixtures for tests that run commands, mostly with bad input."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from bad_input import Ended, Typed
from support import ScriptedBackend, make_seed_task

from selfinstruct import cli
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.runner import loop


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which contains some unusable files and valid seed tasks."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "folder").mkdir()
    (place / "binary").write_bytes(b"PK\x03\x04\xff\xfe\x00" * 9)
    (place / "latin").write_bytes("model: café\n".encode("latin-1"))
    (place / "loop").symlink_to("loop")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    return place


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return a function that runs a command by calling `main` in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def leave(code: int) -> None:
        raise SystemExit(code)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("the run started")

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["selfinstruct", *map(str, arguments)])
            patch.setattr(signal, "signal", lambda *_: None)
            patch.setattr(os, "_exit", leave)
            patch.setattr(loop, "grow", never)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        output = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 1, output.out, output.err)

    return call


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=4, seed_tasks=place / "seeds.jsonl")
    run(place / "run", config, backend=ScriptedBackend())
    return place / "run"


@pytest.fixture
def finished(here: Path, _finished: Path) -> Path:
    """Return a copy of a finished run, in `here`, that tests may change."""
    shutil.copytree(_finished, here / "run")
    return Path("run")
