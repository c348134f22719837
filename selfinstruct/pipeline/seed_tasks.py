"""Reads seed tasks. Knows the file formats; does not know what seed tasks are for.

Three forms, told apart by their content, extra fields ignored in each:

    {"id": "seed_task_0", "name": …, "instruction": …, "instances": [{"input": …, "output": …}],
     "is_classification": false}                               a line of JSONL, the published schema
    {"instruction": …, "input": …, "output": …}                a line of JSONL, Alpaca-style
    [{"instruction": …, "input": …, "output": …}, …]           a JSON list, Alpaca-style

A missing id is made from the place in the file ("seed_task_0" is the first).
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonlines

from selfinstruct.errors import InputError
from selfinstruct.files import Opener, because, read_at_most
from selfinstruct.records import Instance, SeedTask

_LARGEST = 100_000_000
"""Bytes; the published 175 tasks are a thousandth of it, and all of Alpaca a quarter."""
_FORM = "a line holds one whole task as a JSON object, or the file is one JSON list"


def read_seed_tasks(path: Path | str, *, opener: Opener | None = None) -> tuple[SeedTask, ...]:
    """Read seed tasks from a file.

    Raises InputError with path, line and problem for a file that cannot be read, a bad line, an id that
    stands twice, and a file without tasks.
    """
    path = Path(path)
    try:
        text = read_at_most(path, _LARGEST, opener=opener).decode("utf-8-sig")
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as such"
        raise InputError(path, problem) from None
    except ValueError as error:
        raise InputError(path, f"{error}; name a file of seed tasks") from None
    tasks: list[SeedTask] = []
    lines_by_id: dict[str, int | None] = {}
    for line, entry in _entries(path, text):
        task = _seed_task(path, line, entry, place=len(tasks))
        if task.id in lines_by_id:
            first = f" (first in line {lines_by_id[task.id]})" if line is not None else ""
            problem = f"the id {task.id!r} appears twice{first}; ids must differ"
            raise InputError(path, problem, line=line)
        lines_by_id[task.id] = line
        tasks.append(task)
    if not tasks:
        raise InputError(path, f"holds no seed tasks; {_FORM}")
    return tuple(tasks)


def render_seed_tasks(tasks: Sequence[SeedTask]) -> bytes:
    """Seed tasks as JSONL in the published schema: the same tasks give the same bytes."""
    buffer = io.StringIO(newline="\n")
    with jsonlines.Writer(buffer, dumps=_dumps) as writer:
        writer.write_all(_entry(task) for task in tasks)
    return buffer.getvalue().encode("utf-8")


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entry(task: SeedTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "name": task.name,
        "instruction": task.instruction,
        "instances": [{"input": i.input, "output": i.output} for i in task.instances],
        "is_classification": task.is_classification,
    }


def _entries(path: Path, text: str) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    """(line, entry) of each task; the line is None in a JSON list, where lines mean nothing."""
    if text.lstrip()[:1] == "[":
        try:
            listed = json.loads(text)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg.lower()}; mend the list there"
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
                cause.msg.lower() if isinstance(cause, json.JSONDecodeError) else "another type"
            )
            problem = f"is not a JSON object ({problem}); {_FORM}"
            raise InputError(path, problem, line=number) from None
        except RecursionError:
            raise InputError(path, "is nested too deeply", line=number) from None
        yield number, entry


_KINDS = {int: "a number", float: "a number", list: "a list", dict: "an object"}
"""What JSON holds besides text, in words."""


def _in_words(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else _KINDS[type(value)]


def _remedy(value: object) -> str:
    if value is None:
        return "; a task has an instruction, and an output in it or in each of its instances"
    return "; put it in quotes" if isinstance(value, int | float) else ""


def _seed_task(path: Path, line: int | None, entry: Mapping[str, Any], *, place: int) -> SeedTask:
    def refuse(problem: str) -> InputError:
        where = "" if line is not None else f"entry {place + 1}: "
        return InputError(path, where + problem, line=line)

    def text_of(holder: Mapping[str, Any], name: str, default: str | None = None) -> str:
        value = holder.get(name)
        if value is None:
            value = default
        if not isinstance(value, str):
            found = "missing" if value is None else f"{_in_words(value)}, not text"
            raise refuse(f"{name!r} is {found}{_remedy(value)}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise refuse(
                f"{name!r} holds half of a surrogate pair, which is no character"
            ) from None
        return value

    instruction = text_of(entry, "instruction")
    if not instruction.strip():
        raise refuse("'instruction' is empty")
    if "instances" in entry:
        listed = entry["instances"]
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise refuse(
                "'instances' is not a list of objects with input and output; write [] for none"
            )
        holders = listed
    else:
        holders = [entry]
    instances = tuple(
        Instance(input=text_of(item, "input", ""), output=text_of(item, "output"))
        for item in holders
    )
    is_classification = entry.get("is_classification", False)
    if not isinstance(is_classification, bool):
        raise refuse("'is_classification' is neither true nor false")
    return SeedTask(
        id=text_of(entry, "id", f"seed_task_{place}"),
        name=text_of(entry, "name", f"seed_task_{place}"),
        instruction=instruction,
        instances=instances,
        is_classification=is_classification,
    )
