"""Check the tree in the docstring of `errors`: every exception has the right base class and exit code."""

import errno
import inspect
import re
from pathlib import Path

import pytest
from support import ScriptedBackend, sealed_journal

from selfinstruct import errors
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import NewerJournalError, RunDirectoryError, RunWriteError
from selfinstruct.runner.directory import open_run
from selfinstruct.runner.journal import read_journal

ROWS = re.findall(
    r"(?m)^    ((?:│   |    )*)(?:├── |└── )(\w+) +(\d?) ", inspect.getdoc(errors) or ""
)
"""(indentation, name, exit code) of each line in the tree, except the line of the common base class."""


def test_the_tree_names_every_error() -> None:
    defined = {
        name for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }  # fmt: skip
    assert {name for _, name, _ in ROWS} == defined - {"SelfInstructError"}


def test_the_tree_has_bases_and_exit_codes() -> None:
    bases = ["SelfInstructError"]
    for indentation, name, code in ROWS:
        depth = len(indentation) // 4 + 1
        kind = getattr(errors, name)
        assert kind.__base__.__name__ == bases[depth - 1], name
        assert code in ("", str(kind.exit_code)), name
        bases[depth:] = [name]


def test_the_class_decides_the_exit_code(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that an exception's class determines with which code the command line exits."""
    run(tmp_path / "run", config, backend=ScriptedBackend())
    path = tmp_path / "run/journal.jsonl"
    changed = path.read_bytes().replace(b'"committed"', b'"judged"')
    path.write_bytes(sealed_journal(changed.splitlines(keepends=True)))
    with pytest.raises(NewerJournalError) as newer:
        list(read_journal(path))
    assert "exit_code" not in vars(newer.value)

    def fails(number: int) -> RunDirectoryError:
        def mkdir(*_: object, **__: object) -> None:
            raise OSError(number, "no")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", mkdir)
            with pytest.raises(RunDirectoryError) as caught, open_run(tmp_path / "new", config):
                pass
        assert "exit_code" not in vars(caught.value)
        return caught.value

    assert isinstance(fails(errno.ENOSPC), RunWriteError)
    assert not isinstance(fails(errno.EACCES), RunWriteError)
