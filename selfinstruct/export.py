"""From tasks to files that trainers read. Written whole or not at all.

A file holds only what is a function of the replies (no times, costs or run ids): tasks in pool order, their
instances in text order. The same replies give the same bytes.

    alpaca    [{"instruction": …, "input": …, "output": …}, …]          "" where there is no input
    jsonl     {"id": "task_000001/1", "instruction": …, …, "request_id": …, "demonstration_ids": […]}
"""

import io
import json
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import jsonlines

from selfinstruct.errors import ExportError, InputError
from selfinstruct.files import because, run_that_consists_of, write_whole
from selfinstruct.pool import Pool
from selfinstruct.records import Task

Row = dict[str, Any]

PROVENANCE_COLUMNS = (
    "id",
    "instruction",
    "input",
    "output",
    "task_id",
    "origin",
    "is_classification",
    "classification_answer",
    "request_id",
    "ordinal",
    "model",
    "template",
    "demonstration_ids",
)
"""Fields of a row with provenance, in order."""


def select(pool: Pool, *, include_seed_tasks: bool = False, limit: int | None = None) -> list[Task]:
    """The first `limit` accepted tasks in pool order, the seed tasks before them if wanted."""
    seeds = list(pool)[: pool.seed_count] if include_seed_tasks else []
    return [*seeds, *pool.generated[:limit]]


Added = Mapping[str, Mapping[str, Any]]
"""Fields that the rows of some tasks get besides: by task id."""
_PUBLISHED = ("instruction", "input", "output")


def alpaca_rows(
    tasks: Iterable[Task], *, without: Container[str] = (), added: Added | None = None
) -> Iterator[Row]:
    """One row an instance, with exactly the three published fields and what is added."""
    for row in provenance_rows(tasks, without=without, added=added):
        yield {
            name: value
            for name, value in row.items()
            if name in _PUBLISHED or name not in PROVENANCE_COLUMNS
        }


def provenance_rows(
    tasks: Iterable[Task], *, without: Container[str] = (), added: Added | None = None
) -> Iterator[Row]:
    """One row an instance, with ids and where it comes from, but for the ids in `without`."""
    for task in tasks:
        origin = task.provenance
        for ordinal, instance in enumerate(task.instances or (), start=1):
            id_ = f"{task.id}/{ordinal}"
            if id_ in without:
                continue
            values = (
                id_,
                task.instruction,
                instance.input,
                instance.output,
                task.id,
                task.origin,
                task.is_classification,
                task.classification_answer,
                origin.request_id if origin else None,
                origin.ordinal if origin else None,
                origin.model if origin else None,
                origin.template if origin else None,
                list(origin.demonstration_ids) if origin else [],
            )
            more = (added or {}).get(task.id, {})
            yield dict(zip(PROVENANCE_COLUMNS, values, strict=True)) | dict(more)


class Render(Protocol):
    """Makes a file of tasks, without the rows whose ids are named, and with what is added to the others."""

    def __call__(
        self, tasks: Iterable[Task], *, without: Container[str] = (), added: Added | None = None
    ) -> bytes:
        """The bytes of the file."""


def render_alpaca(
    tasks: Iterable[Task], *, without: Container[str] = (), added: Added | None = None
) -> bytes:
    """A JSON list."""
    rows = list(alpaca_rows(tasks, without=without, added=added))
    text = json.dumps(rows, ensure_ascii=False, indent=4)
    return (text + "\n").encode("utf-8")


def render_jsonl(
    tasks: Iterable[Task], *, without: Container[str] = (), added: Added | None = None
) -> bytes:
    """A JSON object a line."""
    buffer = io.StringIO(newline="\n")
    dumps: Callable[[object], str] = lambda row: json.dumps(row, ensure_ascii=False)  # noqa: E731
    with jsonlines.Writer(buffer, dumps=dumps) as writer:
        writer.write_all(provenance_rows(tasks, without=without, added=added))
    return buffer.getvalue().encode("utf-8")


FORMATS: Mapping[str, Render] = {
    "alpaca": render_alpaca,
    "jsonl": render_jsonl,
}


def write_export(path: Path, data: bytes) -> None:
    """Write a rendered dataset to a file, or to stdout for "-".

    Raises ExportError, and InputError for a file that a run consists of; then the file, if there was one,
    is as it was.
    """
    if str(path) == "-":
        if sys.stdout is None:
            raise ExportError(path, "stdout is closed")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        run = run_that_consists_of(path)
        if run is not None:
            raise InputError(
                path,
                f"is a part of the run in {run} and is not replaced; choose another name, such as "
                f"{run / 'exports' / 'alpaca_data.json'}",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise ExportError(path, f"cannot be written {because(error)}") from None
    except ValueError:
        raise ExportError(path, "is no name of a file; choose another") from None
