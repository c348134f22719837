"""What the scripts that run beside a program have in common; nothing here needs more than Python itself.

    PYTHONPATH=tests .venv-readers/trl/bin/python -m readers.read_with_trl JOBS.json RESULT.json

JOBS.json is {"model": FOLDER, "read": {NAME: {…}}}, where what is to be told of a NAME depends on the script.
RESULT.json is {NAME: what the program made of it}, or {NAME: {"error": …}} where it would not have it.
"""

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def carry_out(read: Callable[[Job, str, Path], Any]) -> None:
    """Call `read` with each job, the folder of the model, and a folder to write into."""
    jobs_file, result = map(Path, sys.argv[1:])
    jobs = json.loads(jobs_file.read_text(encoding="utf-8"))
    understood: dict[str, Any] = {}
    for name, job in jobs["read"].items():
        room = result.parent / "room" / name
        room.mkdir(parents=True)
        try:
            understood[name] = read(job, jobs.get("model", ""), room)
        except Exception as error:  # noqa: BLE001 - it is for the test to judge
            traceback.print_exc()
            understood[name] = {"error": f"{type(error).__name__}: {error}"}
    result.write_text(json.dumps(understood), encoding="utf-8")


def told(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> dict[str, str]:
    """What of a row the model only reads, and what it learns to write."""
    read = [token for token, label in zip(ids, labels, strict=True) if label == -100]
    learned = [label for label in labels if label != -100]
    return {"read": tokenizer.decode(read), "learned": tokenizer.decode(learned)}
