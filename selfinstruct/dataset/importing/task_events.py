"""Turns a merged task into its journal event. The functions do no I/O.

Finished rows are used unchanged. If a task has none, the profile's parsers read its raw replies, and
unusable instances become rejections. For a task without instances, the run generates some when it continues.
"""

from collections.abc import Iterator

from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.importing.merge import MergedTask
from selfinstruct.journal_events import TaskImported
from selfinstruct.pipeline.parse.types import AskedInstances, pair_text
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import InstancesStage
from selfinstruct.records import Instance, Reason, Rejection
from selfinstruct.records.ids import import_id, in_reply_order


def task_imported(task: MergedTask, number: int, config: RunConfig) -> TaskImported:
    """Return the event for an imported task. `number` is the task's number, counting from 1."""
    task_id = f"task_{number:06d}"
    items = [*_rows(task)] if task.has_instances else [*_rows(task), *_parsed(task, config)]
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
        kind = False  # An unclear answer counts as no: the run asks nothing more about this task.
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


def _rows(task: MergedTask) -> Iterator[Instance | Rejection]:
    for instance in task.instances:
        yield instance if instance.output.strip() else _rejection(instance, Reason.EMPTY_OUTPUT)


def _parsed(task: MergedTask, config: RunConfig) -> Iterator[Instance | Rejection]:
    """Yield the items in the raw replies; duplicates and instances beyond the maximum are rejected."""
    kept: dict[Instance, None] = {}
    asked = AskedInstances(
        output_first=task.is_classification is True,
        instruction=task.instruction,
        limit=config.max_instances,
    )
    parse = SELF_INSTRUCT.stage(InstancesStage).parsers[config.profile]
    for raw in task.raws:
        parsed = parse("reply", raw, asked)
        for _, item in in_reply_order(parsed.instances, parsed.rejections):
            if isinstance(item, Rejection):
                yield item
            elif item in kept:
                yield _rejection(item, Reason.DUPLICATE_INSTANCE)
            elif len(kept) == config.max_instances:
                yield _rejection(item, Reason.OVER_LIMIT)
            else:
                kept[item] = None
                yield item


def _rejection(instance: Instance, reason: Reason) -> Rejection:
    """Return a rejection of `instance`. The caller sets `candidate_id`."""
    return Rejection(candidate_id="", stage="parse", reason=reason, text=pair_text(instance))
