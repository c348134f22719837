"""Creates rows from a run: one row per instance, with ids and provenance.

    {"id": "task_000001/1", "instruction": …, "input": "", "output": …, "task_id": "task_000001", …}

A row depends only on the replies: it contains no times, costs or run ids. Tasks are in pool order, and
instances are in the order of the reply.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from selfinstruct.pipeline.pool import Pool
from selfinstruct.records import Task

Row = dict[str, Any]
"""A row: its values by column name. It has at least the columns in PUBLISHED, as text."""

PUBLISHED = ("instruction", "input", "output")
"""The columns of Alpaca's published data. A missing input is ""."""

COLUMN_TYPES: Mapping[str, str] = {
    "id": "string",
    "instruction": "string",
    "input": "string",
    "output": "string",
    "task_id": "string",
    "origin": "string",
    "is_classification": "bool",
    "classification_answer": "string",
    "request_id": "string",
    "ordinal": "int64",
    "model": "string",
    "template": "string",
    "demonstration_ids": "list<string>",
}
"""The columns' Arrow types, which do not depend on the values."""

PROVENANCE_COLUMNS = tuple(COLUMN_TYPES)
"""The columns in the rows of a run, in order."""

Added = Mapping[str, Mapping[str, Any]]
"""Additional fields for each task's rows, by task id."""


def select(pool: Pool, *, include_seed_tasks: bool = False, limit: int | None = None) -> list[Task]:
    """Return the first `limit` accepted tasks in pool order, after the seed tasks if these are included."""
    seeds = list(pool)[: pool.seed_count] if include_seed_tasks else []
    return [*seeds, *pool.generated[:limit]]


def provenance_rows(tasks: Iterable[Task], *, added: Added | None = None) -> Iterator[Row]:
    """Yield the tasks' rows, with PROVENANCE_COLUMNS and the fields in `added`."""
    for task in tasks:
        origin = task.provenance
        for ordinal, instance in enumerate(task.instances or (), start=1):
            values = (
                f"{task.id}/{ordinal}",
                task.instruction,
                instance.input,
                instance.output,
                task.id,
                task.origin,
                task.is_classification,
                task.classification_answer,
                origin.request_id if origin else None,
                origin.ordinal if origin else None,
                origin.model if origin else task.imported_model,
                origin.template if origin else None,
                list(origin.demonstration_ids) if origin else [],
            )
            more = (added or {}).get(task.id, {})
            yield dict(zip(PROVENANCE_COLUMNS, values, strict=True)) | dict(more)
