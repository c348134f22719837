"""What a run made, as rows: one an instance, with ids and where it comes from.

    {"id": "task_000001/1", "instruction": …, "input": "", "output": …, "task_id": "task_000001", …}

A row holds only what is a function of the replies: no times, costs or run ids. Tasks are in pool order, their
instances in text order.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from selfinstruct.pipeline.pool import Pool
from selfinstruct.records import Task

Row = dict[str, Any]
"""Has at least the published fields, all of them text."""

PUBLISHED = ("instruction", "input", "output")
"""The fields of a row of Alpaca's data; the input is "" where there is none."""

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
"""Fields of a run's row, in order."""

COLUMN_TYPES: Mapping[str, str] = {
    **dict.fromkeys(PROVENANCE_COLUMNS, "string"),
    "is_classification": "bool",
    "ordinal": "int64",
    "demonstration_ids": "list<string>",
}
"""What they are where columns have types, whatever the values at hand are."""

Added = Mapping[str, Mapping[str, Any]]
"""Fields that the rows of some tasks get besides: by task id."""


def select(pool: Pool, *, include_seed_tasks: bool = False, limit: int | None = None) -> list[Task]:
    """The first `limit` accepted tasks in pool order, the seed tasks before them if wanted."""
    seeds = list(pool)[: pool.seed_count] if include_seed_tasks else []
    return [*seeds, *pool.generated[:limit]]


def provenance_rows(tasks: Iterable[Task], *, added: Added | None = None) -> Iterator[Row]:
    """The rows of tasks, with PROVENANCE_COLUMNS and what is added."""
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
