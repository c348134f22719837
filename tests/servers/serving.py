"""Servers that are not ours, started and stopped: where they are installed, and when they answer.

`scripts/install-servers` puts them into an environment of their own; nothing here imports them.
"""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import ROOT
from waiting import PATIENCE_S, until

ENVIRONMENT = ROOT / ".venv-servers"
PYTHON = ENVIRONMENT / "bin" / "python"
NO_LLAMA = ENVIRONMENT / "no-llama"
"""Why llama.cpp is not installed, where it is not."""

_SHOWN = 3000
"""Characters of a server's own output that a failure carries."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    name: str
    base_url: str
    model: str
    """As requests must name it."""


def environ(folder: Path) -> dict[str, str]:
    """For a process of the servers' environment: it may look at no hub, report nothing, and use one core."""
    (folder / "hub").mkdir(parents=True, exist_ok=True)  # or transformers serve lists no models
    return {
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(folder),
        "HF_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[Server]:
    """Start `transformers serve` with the model."""
    port = _free_port()
    command = [PYTHON, PYTHON.parent / "transformers", "serve", model, "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", port]
    with _serving("transformers", command, folder, port=port, model=str(model)) as server:
        yield server


@contextmanager
def llama_server(model: Path, folder: Path, *, context: int) -> Iterator[Server]:
    """llama.cpp's server, as its Python package starts it, with a window of `context` tokens."""
    if NO_LLAMA.exists():
        pytest.skip(f"llama.cpp is not installed: {NO_LLAMA.read_text(encoding='utf-8').strip()}")
    # Its own arithmetic of windows goes wrong where llama.cpp rounds them up.
    assert context % 256 == 0, context
    port = _free_port()
    command = [PYTHON, "-m", "llama_cpp.server", "--model", model / "model.gguf"]
    command += ["--model_alias", "tiny", "--n_ctx", context, "--n_threads", 1]
    # Without logits of all tokens, requests for log-probabilities get status 500.
    command += ["--host", "127.0.0.1", "--port", port, "--logits_all", "true"]
    with _serving("llama.cpp", command, folder, port=port, model="tiny") as server:
        yield server


@contextmanager
def _serving(
    name: str, command: Sequence[object], folder: Path, *, port: int, model: str
) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{port}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environ(folder / "home"),
            start_new_session=True,
        ) as process,
    ):
        server = Server(name, f"http://127.0.0.1:{port}/v1", model)
        try:
            _wait_until_it_answers(server, process, log)
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until(lambda: process.poll() is not None or _answers(server))
    if process.returncode is not None:
        said = log.read_text(encoding="utf-8", errors="replace")[-_SHOWN:]
        pytest.fail(f"{server.name} ended with {process.returncode}; {log} ends with:\n{said}")


def _answers(server: Server) -> bool:
    """Whether it completes something, which a list of models would not tell."""
    asked = {"model": server.model, "prompt": "9.", "max_tokens": 1}
    request = urllib.request.Request(
        f"{server.base_url}/completions",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    # Whoever runs the tests may have a proxy set, which knows nothing of this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
