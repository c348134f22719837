"""From what is known of a task to the event that a journal has of it. Pure.

Finished rows stand as they are. Where there are none, raw replies are read by the parsers of the run's
profile, as replies of its own would be; what cannot be used becomes rejections, and a task without any
instance is asked for some once the run goes on.
"""

from collections.abc import Iterator

from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.importing.merge import Gathered
from selfinstruct.events import TaskImported
from selfinstruct.pipeline.parse.types import AskedInstances, pair_text
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.records import Completion, Instance, Reason, Rejection
from selfinstruct.records.ids import import_id, in_reply_order


def task_imported(task: Gathered, number: int, config: RunConfig) -> TaskImported:
    """The event of the task that is imported as the `number`-th, from 1."""
    task_id = f"task_{number:06d}"
    items = list(_rows(task) if task.has_instances else (*_rows(task), *_read(task, config)))
    instances = tuple(item for item in items if isinstance(item, Instance))
    rejected = tuple(
        Rejection(
            candidate_id=f"{import_id(task_id)}#{n}",
            stage=item.stage,
            reason=item.reason,
            text=item.text,
        )
        for n, item in enumerate(items, start=1)
        if isinstance(item, Rejection)
    )
    kind = task.is_classification
    if kind is None and task.answer == "unclear" and instances:
        kind = False  # what stays unclear counts as no, and nobody will be asked any more
    return TaskImported(
        task_id=task_id,
        instruction=task.instruction,
        place=task.place,
        is_classification=kind,
        answer=task.answer,
        instances=instances or None,
        rejected=rejected,
        model=task.model,
    )


def _rows(task: Gathered) -> Iterator[Instance | Rejection]:
    for instance in task.instances:
        yield instance if instance.output.strip() else _rejection(instance, Reason.EMPTY_OUTPUT)


def _read(task: Gathered, config: RunConfig) -> Iterator[Instance | Rejection]:
    """What raw replies hold, in the order of the text: each instance once, and no more than are kept."""
    kept: dict[Instance, None] = {}
    for raw in task.raws:
        for item in _items(task, raw, config):
            if isinstance(item, Rejection):
                yield item
            elif item in kept:
                yield _rejection(item, Reason.DUPLICATE_INSTANCE)
            elif len(kept) == config.max_instances:
                yield _rejection(item, Reason.OVER_LIMIT)
            else:
                kept[item] = None
                yield item


def _items(task: Gathered, raw: Completion, config: RunConfig) -> Iterator[Instance | Rejection]:
    """What one reply holds, kept and rejected, in the order of its text."""
    asked = AskedInstances(
        output_first=task.is_classification is True,
        instruction=task.instruction,
        limit=config.max_instances,
    )
    parsed = PROFILES[config.profile].read_instances("reply", raw, asked)
    for _, item in in_reply_order(parsed.instances, parsed.rejections):
        yield item


def _rejection(instance: Instance, reason: Reason) -> Rejection:
    """Of an instance; its id is put in once all are there."""
    return Rejection(candidate_id="", stage="parse", reason=reason, text=pair_text(instance))
