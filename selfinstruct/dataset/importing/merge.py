"""Merges the statements of all records into tasks, and counts the records without any use.

    records = used + Σ left_out

Tasks are in the order of their first record. A repeated statement counts once.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from selfinstruct.dataset.importing.source_formats import Statement
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import ClassifyStage
from selfinstruct.records import Answer, Completion, Instance


class LeftOut(StrEnum):
    """The cause that makes a record useless."""

    EMPTY_INSTRUCTION = "empty_instruction"
    SEED_TASK = "seed_task"
    REPEATED = "repeated"
    OTHER_ANSWER = "other_answer"
    HAS_ROWS = "has_rows"


MEANING = {
    LeftOut.EMPTY_INSTRUCTION: "the instruction is empty",
    LeftOut.SEED_TASK: "the instruction is a seed task",
    LeftOut.REPEATED: "other records say the same",
    LeftOut.OTHER_ANSWER: "a different answer about the kind was kept",
    LeftOut.HAS_ROWS: "raw instances of a task that has finished rows",
}
"""The meaning of each cause."""


@dataclass(slots=True, kw_only=True)
class MergedTask:
    """The statements about one task."""

    instruction: str
    place: str
    """The place of the first record."""
    file: int
    """The number of the file of the first record, from 0."""
    model: str | None
    is_classification: bool | None = None
    answer: Answer | None = None
    """The answer that gave the kind; "unclear" leaves the kind open."""
    raws: dict[Completion, None] = field(default_factory=dict)
    """Raw replies with instances, in order."""
    instances: dict[Instance, None] = field(default_factory=dict)
    """Finished instances, in order. An output may be empty."""

    @property
    def has_instances(self) -> bool:
        """True if a finished instance is usable."""
        return any(instance.output.strip() for instance in self.instances)


class TaskMerger:
    """Takes one statement after the other; `profile` reads the answers about kinds."""

    def __init__(self, seed_instructions: Iterable[str], *, profile: str) -> None:
        self._seeds = frozenset(text.strip() for text in seed_instructions)
        self._read_answer = SELF_INSTRUCT.stage(ClassifyStage).parsers[profile]
        self.tasks: dict[str, MergedTask] = {}
        """Tasks by instruction without surrounding white space, in order."""
        self.records = 0
        self.repaired = 0
        """Records with halves of surrogate pairs."""
        self.left_out: Counter[LeftOut] = Counter()
        """Records without any use, by cause."""

    def add(self, statement: Statement, *, place: str, file: int) -> None:
        """Add the statement of a record at `place` in the file with this number, from 0."""
        self.records += 1
        self.repaired += statement.repaired
        key = statement.instruction.strip()
        if not key or key in self._seeds:
            self.left_out[LeftOut.SEED_TASK if key else LeftOut.EMPTY_INSTRUCTION] += 1
            return
        task = self.tasks.get(key)
        is_new = task is None
        if task is None:
            task = MergedTask(
                instruction=statement.instruction, place=place, file=file, model=statement.model
            )
            self.tasks[key] = task
        task.model = task.model or statement.model
        if statement.raw is not None and statement.raw not in task.raws:
            task.raws[statement.raw] = None
            is_new = True
        for instance in statement.instances:
            is_new |= instance not in task.instances
            task.instances[instance] = None
        cause = self._add_kind(task, statement)
        if cause is not None and not (is_new and cause is LeftOut.REPEATED):
            self.left_out[cause] += 1

    def _add_kind(self, task: MergedTask, statement: Statement) -> LeftOut | None:
        """Add the kind; returns a cause if the new or the earlier kind has no use."""
        answer: Answer | None = None
        kind = statement.is_classification
        if statement.answer is not None:
            answer = self._read_answer(statement.answer, task.instruction)
            kind = {"yes": True, "no": False, "unclear": None}[answer]
        elif kind in (None, task.is_classification):
            return LeftOut.REPEATED
        earlier, new = (task.is_classification, task.answer), (kind, answer)
        if earlier == new:
            return LeftOut.REPEATED
        if kind is not None or task.is_classification is None:
            task.is_classification, task.answer = new
        # A record with instances is used in any case.
        is_about_kind_only = not statement.instances and statement.raw is None
        return LeftOut.OTHER_ANSWER if earlier != (None, None) and is_about_kind_only else None

    def count_unread_replies(self) -> None:
        """Count the raw replies of tasks with finished rows, after all statements."""
        for task in self.tasks.values():
            if task.raws and task.has_instances:
                self.left_out[LeftOut.HAS_ROWS] += len(task.raws)
