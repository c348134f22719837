"""Starts the programs that read exports, and returns their results.

`scripts/install-readers` installs each program into a separate environment. The tests never import them.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import ROOT

ENVIRONMENTS = ROOT / ".venv-readers"
PROGRAMS = ("trl", "llamafactory", "axolotl")
"""The environments' names. The three environments have three versions of the package `datasets`."""

_LONGEST_S = 600.0
_SHOWN = 5000
"""Maximum number of characters of a program's output in a failure message."""


def python(program: str) -> Path:
    """Return the path of an environment's Python interpreter."""
    return ENVIRONMENTS / program / "bin" / "python"


def environ(folder: Path) -> dict[str, str]:
    """Return environment variables that disable the Hub and telemetry, and restrict a program to one core."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT / "tests"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "HF_HOME": str(folder / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def understood(
    script: str,
    jobs: Mapping[str, Mapping[str, Any]],
    folder: Path,
    *,
    program: str,
    model: Path | None = None,
    start_in: Path | None = None,
) -> dict[str, Any]:
    """Run `read_with_SCRIPT` with these jobs, and return the results by job name."""
    folder.mkdir(parents=True)
    (folder / "jobs.json").write_text(json.dumps({"model": str(model), "read": jobs}))
    said = run(
        [program, "-m", f"readers.read_with_{script}", folder / "jobs.json", folder / "told.json"],
        folder,
        start_in=start_in,
    )
    told: dict[str, Any] = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    assert told.keys() == jobs.keys(), said
    return told


def run(command: list[object], folder: Path, *, start_in: Path | None = None) -> str:
    """Run Python in an environment, and return its output. `command` is the environment and the arguments."""
    program, *arguments = map(str, command)
    done = subprocess.run(
        [python(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ(folder / "home"),
        cwd=start_in or folder,
        timeout=_LONGEST_S,
    )
    assert done.returncode == 0, done.stdout[-_SHOWN:]
    return done.stdout
