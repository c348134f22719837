"""Code shared by the scripts that run in the programs' environments. It uses only the standard library.

    PYTHONPATH=tests .venv-readers/trl/bin/python -m readers.read_with_trl JOBS.json RESULT.json

JOBS.json contains {"model": DIRECTORY, "read": {NAME: {…}}}; each script documents its jobs. RESULT.json
contains {NAME: result}, or {NAME: {"error": …}} if the program fails on a job's input.
"""

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def carry_out(read: Callable[[Job, str, Path], Any]) -> None:
    """Call `read` with each job, the model directory, and a new output directory. Writes the results."""
    jobs_file, result = map(Path, sys.argv[1:])
    jobs = json.loads(jobs_file.read_text(encoding="utf-8"))
    understood: dict[str, Any] = {}
    for name, job in jobs["read"].items():
        room = result.parent / "room" / name
        room.mkdir(parents=True)
        try:
            understood[name] = read(job, jobs.get("model", ""), room)
        except Exception as error:  # noqa: BLE001 - the test checks the error
            traceback.print_exc()
            understood[name] = {"error": f"{type(error).__name__}: {error}"}
    result.write_text(json.dumps(understood), encoding="utf-8")


def told(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> dict[str, str]:
    """Return the masked text of a row, and the text that a model learns from it."""
    read = [token for token, label in zip(ids, labels, strict=True) if label == -100]
    learned = [label for label in labels if label != -100]
    return {"read": tokenizer.decode(read), "learned": tokenizer.decode(learned)}
