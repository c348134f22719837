"""Read and write seed-task files.

Three formats are detected from the file's content. Additional fields are ignored:

    {"id": "seed_task_0", "name": …, "instruction": …, "instances": [{"input": …, "output": …}],
     "is_classification": false}                               a line of JSONL, the published schema
    {"instruction": …, "input": …, "output": …}                a line of JSONL, Alpaca-style
    [{"instruction": …, "input": …, "output": …}, …]           a JSON list, Alpaca-style

A task without an id gets one from its position in the file. The first such id is "seed_task_0".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonlines

from selfinstruct.errors import InputError
from selfinstruct.files import Opener, because, read_at_most
from selfinstruct.records import Instance, SeedTask

_MAX_BYTES = 100_000_000
"""Maximum size of a seed-task file. The whole Alpaca data set takes a quarter of this size."""
_FORMAT = "write each task as a JSON object on one line, or all tasks as one JSON list"


def read_seed_tasks(path: Path | str, *, opener: Opener | None = None) -> tuple[SeedTask, ...]:
    """Read seed tasks from a file.

    Raises InputError if the file is unreadable, a line is malformed, an id is a duplicate, or the file has no
    tasks. The error contains the path, the line number and the problem.
    """
    path = Path(path)
    try:
        text = read_at_most(path, _MAX_BYTES, opener=opener).decode("utf-8-sig")
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as UTF-8"
        raise InputError(path, problem) from None
    except ValueError as error:
        raise InputError(path, f"{error}; choose a seed-task file") from None
    tasks: list[SeedTask] = []
    lines_by_id: dict[str, int | None] = {}
    for line, entry in _entries(path, text):
        task = _seed_task(path, line, entry, position=len(tasks))
        if task.id in lines_by_id:
            first = f" (first in line {lines_by_id[task.id]})" if line is not None else ""
            problem = f"the id {task.id!r} appears twice{first}; each id must be unique"
            raise InputError(path, problem, line=line)
        lines_by_id[task.id] = line
        tasks.append(task)
    if not tasks:
        raise InputError(path, f"contains no seed tasks; {_FORMAT}")
    return tuple(tasks)


def render_seed_tasks(tasks: Sequence[SeedTask]) -> bytes:
    """Return seed tasks as JSONL in the published schema. Equal tasks produce equal bytes."""
    entries = (json.dumps(asdict(task), ensure_ascii=False) for task in tasks)
    return "".join(f"{entry}\n" for entry in entries).encode("utf-8")


def _entries(path: Path, text: str) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    """Yield each task's line number and JSON object. In a JSON list, the line number is None."""
    if text.lstrip()[:1] == "[":
        try:
            listed = json.loads(text)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg.lower()}; correct that line"
            raise InputError(path, problem, line=error.lineno) from None
        except (ValueError, RecursionError) as error:
            raise InputError(path, f"is not usable JSON ({error})") from None
        for number, entry in enumerate(listed, start=1):
            if not isinstance(entry, dict):
                raise InputError(path, f"entry {number} is not an object with an instruction")
            yield None, entry
        return
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    reader = jsonlines.Reader(line for _, line in numbered)
    for number, _ in numbered:
        try:
            entry = reader.read(type=dict)
        except jsonlines.InvalidLineError as error:
            cause = error.__cause__
            problem = (
                cause.msg.lower() if isinstance(cause, json.JSONDecodeError) else "a different type"
            )
            problem = f"is not a JSON object ({problem}); {_FORMAT}"
            raise InputError(path, problem, line=number) from None
        except RecursionError:
            raise InputError(path, "is nested too deeply", line=number) from None
        yield number, entry


def _not_text(value: object) -> str:
    """Return a description of a JSON value that is not text, with a remedy if there is one."""
    if value is None:
        return "missing; a task needs an instruction, and an output in the task or in each instance"
    if isinstance(value, int | float):
        name = str(value).lower() if isinstance(value, bool) else "a number"
        return f"{name}, not text; put it in quotes"
    return f"{'a list' if isinstance(value, list) else 'an object'}, not text"


def _seed_task(
    path: Path, line: int | None, entry: Mapping[str, Any], *, position: int
) -> SeedTask:
    def problem(description: str) -> InputError:
        where = "" if line is not None else f"entry {position + 1}: "
        return InputError(path, where + description, line=line)

    def text_of(item: Mapping[str, Any], name: str, default: str | None = None) -> str:
        value = item.get(name)
        if value is None:
            value = default
        if not isinstance(value, str):
            raise problem(f"{name!r} is {_not_text(value)}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            description = f"{name!r} contains a lone surrogate, which is not a character"
            raise problem(description) from None
        return value

    instruction = text_of(entry, "instruction")
    if not instruction.strip():
        raise problem("'instruction' is empty")
    items = entry.get("instances", [entry])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise problem(
            "'instances' is not a list of objects with input and output; write [] for no instances"
        )
    instances = tuple(
        Instance(input=text_of(item, "input", ""), output=text_of(item, "output")) for item in items
    )
    is_classification = entry.get("is_classification", False)
    if not isinstance(is_classification, bool):
        raise problem("'is_classification' is neither true nor false")
    return SeedTask(
        id=text_of(entry, "id", f"seed_task_{position}"),
        name=text_of(entry, "name", f"seed_task_{position}"),
        instruction=instruction,
        instances=instances,
        is_classification=is_classification,
    )
