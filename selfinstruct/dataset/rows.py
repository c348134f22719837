"""Creates rows from a run: one row per instance, with ids and provenance.

    {"id": "task_000001/1", "instruction": …, "input": "", "output": …, "task_id": "task_000001", …}

A row depends only on the replies: it contains no times, costs or run ids. Tasks are in pool order, and
instances are in the order of the reply.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from selfinstruct.dataset.callbacks import Progress
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.state import RunState
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


SIMILARITIES = ("most_similar_instructions", "avg_similarity_score")
"""The columns that `with_similarities` adds."""


def select(pool: Pool, *, include_seed_tasks: bool = False) -> list[Task]:
    """Return the accepted tasks in pool order, perhaps after the seed tasks."""
    seeds = list(pool)[: pool.seed_count] if include_seed_tasks else []
    return [*seeds, *pool.generated]


def provenance_rows(tasks: Iterable[Task]) -> Iterator[Row]:
    """Yield the rows of tasks, with PROVENANCE_COLUMNS."""
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
            yield dict(zip(PROVENANCE_COLUMNS, values, strict=True))


def with_similarities(rows: Iterable[Row], state: RunState, progress: Progress) -> Iterator[Row]:
    """Yield the rows of a run with the similarities of each task to the pool when it was accepted."""
    rows = [*rows]  # so that all cores can compute the scores together
    positions = {task.id: number for number, task in enumerate(state.pool)}
    ids = [*dict.fromkeys(row["task_id"] for row in rows)]
    similarities = state.index.similarities(
        [positions[task_id] for task_id in ids], workers=os.cpu_count() or 1
    )
    added = {}
    for number, (task_id, similar) in enumerate(zip(ids, similarities, strict=True), start=1):
        added[task_id] = similar.as_fields(state.index.texts)
        progress(number / len(ids), f"{number:,} of {len(ids):,} similarities")
    for row in rows:
        yield row | added[row["task_id"]]
