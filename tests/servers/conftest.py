"""Servers that are not ours, with one tiny model. Only `bash scripts/test --servers` runs these tests."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.overhear import overhear
from servers.serving import PYTHON, Server, environ, llama_server, transformers_serve

collect_ignore_glob = [] if os.environ.get("SELFINSTRUCT_SERVERS") else ["test_*.py"]

MAKER = Path(__file__).parent / "make_model.py"
SERVERS = ["transformers", "llama.cpp"]


@pytest.fixture(scope="session")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model, made on the spot; kept as long as what it is made from stays the same."""
    overheard = overhear(tmp_path_factory.mktemp("overheard"))
    identity = hashlib.sha256(overheard.encode() + MAKER.read_bytes()).hexdigest()[:16]
    assert request.config.cache is not None
    kept = request.config.cache.mkdir("tiny-model") / identity
    if not kept.exists():
        for older in kept.parent.iterdir():
            shutil.rmtree(older)
        folder = tmp_path_factory.mktemp("model")
        (folder / "overheard.json").write_text(overheard, encoding="utf-8")
        done = subprocess.run(
            [PYTHON, MAKER, folder / "overheard.json", folder / "made"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ(folder / "home"),
            timeout=900,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        shutil.move(folder / "made", kept)
    return kept


@pytest.fixture(scope="session")
def transformers(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start `transformers serve`."""
    with transformers_serve(model, tmp_path_factory.mktemp("transformers")) as server:
        yield server


@pytest.fixture(scope="session")
def llama(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """llama.cpp's server, with a window that every prompt of ours fits into."""
    with llama_server(model, tmp_path_factory.mktemp("llama"), context=4096) as server:
        yield server


@pytest.fixture(scope="session")
def small_llama(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start `transformers serve` with a context window that is too small for some prompts."""
    with llama_server(model, tmp_path_factory.mktemp("small-llama"), context=1024) as server:
        yield server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of them in turn."""
    found = request.getfixturevalue({"llama.cpp": "llama"}.get(request.param, request.param))
    assert isinstance(found, Server)
    return found
