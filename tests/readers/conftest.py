"""Fixtures for tests with programs that read exports. Only `bash scripts/test --readers` runs these tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from readers.awkward import ROWS, WORDS_FOR_NOTHING
from readers.exports import ALL, NO_LLAMA_FACTORY, OF_A_RUN, export
from readers.reading import run, understood

collect_ignore_glob = [] if os.environ.get("SELFINSTRUCT_READERS") else ["test_*.py"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a byte-level tokenizer and a matching model."""
    folder = tmp_path_factory.mktemp("tokenizer")
    run(["trl", Path(__file__).parent / "make_tokenizer.py", folder / "made"], folder)
    return folder / "made"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an export in each format, and with the configuration files for trainers.

    The exported rows are the awkward rows and the rows from `run`, a demo run with the simulated endpoint.
    """
    folder = tmp_path_factory.mktemp("exported")
    rows = [*ROWS, *WORDS_FOR_NOTHING]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "for-tables.json").write_text(json.dumps(ROWS), encoding="utf-8")
    command = [sys.executable, "-m", "selfinstruct", "demo", "-o", "run", "-n", "12"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for name, arguments in (ALL | OF_A_RUN).items():
        told = ["--axolotl"] + ["--llama-factory"] * (name not in NO_LLAMA_FACTORY)
        source = "for-tables.json" if name.endswith(".csv") else "rows.json"
        export(folder, "run" if name in OF_A_RUN else source, "-o", name, *arguments, *told)
    return folder


@pytest.fixture(scope="session")
def rows_of(exported: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that returns the rows, with all columns, that a file should contain."""

    def rows(file: str) -> list[dict[str, Any]]:
        if file in OF_A_RUN:
            lines = (exported / "run.jsonl").read_text(encoding="utf-8").split("\n")
            return [json.loads(line) for line in lines if line]
        return list(ROWS) if file.endswith(".csv") else [*ROWS, *WORDS_FOR_NOTHING]

    return rows


@pytest.fixture(scope="session")
def by_trl(
    exported: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Return a function that returns TRL's training data for a file name."""
    jobs = {
        "prompts.jsonl": {"kind": "json"},
        "chats.jsonl": {"kind": "json"},
        "chats-list.json": {"kind": "json"},
        "chats-columns.parquet": {"kind": "parquet"},
        "chats-folder": {"kind": "folder"},
        "chats-with-system.jsonl": {"kind": "json"},
    }
    told = understood(
        "trl",
        {name: {"file": str(exported / name), **job} for name, job in jobs.items()},
        tmp_path_factory.mktemp("trl") / "work",
        program="trl",
        model=tokenizer,
    )
    return told.__getitem__


@pytest.fixture(scope="session")
def by_llama_factory(
    exported: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Return a function that returns LLaMA-Factory's training data for a file name."""
    info = json.loads((exported / "dataset_info.json").read_text(encoding="ascii"))
    names = {entry["file_name"]: name for name, entry in info.items()}
    told = understood(
        "llamafactory",
        {file: {"dataset_dir": str(exported), "name": name} for file, name in names.items()},
        tmp_path_factory.mktemp("llamafactory") / "work",
        program="llamafactory",
        model=tokenizer,
    )
    return told.__getitem__


@pytest.fixture(scope="session")
def by_axolotl(
    exported: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Return a function that returns axolotl's training data for a file name."""
    stanzas = {name: exported / f"{name}.axolotl.yaml" for name in ALL | OF_A_RUN}
    told = understood(
        "axolotl",
        {name: {"stanza": str(stanza)} for name, stanza in stanzas.items()},
        tmp_path_factory.mktemp("axolotl") / "work",
        program="axolotl",
        model=tokenizer,
        start_in=exported,  # The path in the stanza is relative to this directory.
    )
    return told.__getitem__
