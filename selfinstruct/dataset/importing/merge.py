"""Merges the statements of all records into tasks, and counts the unused records.

    records = used + Σ left_out

Tasks are in the order of their first records. If a statement is repeated, only the first one is used.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from selfinstruct.dataset.importing.source_formats import Statement
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import ClassifyStage
from selfinstruct.records import Answer, Completion, Instance

LeftOut = Literal["empty_instruction", "seed_task", "repeated", "other_answer", "has_rows"]
"""Why a record is left out."""

MEANING: Mapping[LeftOut, str] = {
    "empty_instruction": "the instruction is empty",
    "seed_task": "the instruction is a seed task",
    "repeated": "other records contain the same statement",
    "other_answer": "a different answer about the task's kind was kept",
    "has_rows": "the record has raw instances, but its task has finished rows",
}
"""A description of each cause, for users."""


@dataclass(slots=True, kw_only=True)
class MergedTask:
    """All statements about one task, merged."""

    instruction: str
    place: str
    """The first record's place, such as "data.jsonl:17"."""
    file: int
    """The index of the file with the first record, counting from 0."""
    model: str | None
    is_classification: bool | None = None
    answer: Answer | None = None
    """The answer from which the kind was read. If it is "unclear", the kind is None."""
    raws: dict[Completion, None] = field(default_factory=dict)
    """Raw replies that contain instances, in the order of their records."""
    instances: dict[Instance, None] = field(default_factory=dict)
    """Finished instances, in the order of their records. Their outputs may be empty."""

    @property
    def has_instances(self) -> bool:
        """True if at least one finished instance has an output."""
        return any(instance.output.strip() for instance in self.instances)


class TaskMerger:
    """Merges statements one by one. `profile` determines how answers about a task's kind are parsed."""

    def __init__(self, seed_instructions: Iterable[str], *, profile: str) -> None:
        self._seeds = frozenset(text.strip() for text in seed_instructions)
        self._read_answer = SELF_INSTRUCT.stage(ClassifyStage).parsers[profile]
        self.tasks: dict[str, MergedTask] = {}
        """Merged tasks by stripped instruction, in the order of their first records."""
        self.records = 0
        self.repaired = 0
        """Number of records in which lone surrogates were replaced."""
        self.left_out: Counter[LeftOut] = Counter()
        """Number of unused records by cause."""

    def add(self, statement: Statement, *, place: str, file: int) -> None:
        """Add the statement of the record at `place`. `file` is the file's index, counting from 0."""
        self.records += 1
        self.repaired += statement.repaired
        key = statement.instruction.strip()
        if not key or key in self._seeds:
            self.left_out["seed_task" if key else "empty_instruction"] += 1
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
        if cause is not None and not (is_new and cause == "repeated"):
            self.left_out[cause] += 1

    def _add_kind(self, task: MergedTask, statement: Statement) -> LeftOut | None:
        """Update the task's kind from a statement. Returns the cause if the statement's kind is not needed.

        Also returns OTHER_ANSWER if a record that states only a kind contradicts the task's earlier kind.
        """
        answer: Answer | None = None
        kind = statement.is_classification
        if statement.answer is not None:
            answer = self._read_answer(statement.answer, task.instruction)
            kind = {"yes": True, "no": False, "unclear": None}[answer]
        elif kind in (None, task.is_classification):
            return "repeated"
        earlier, new = (task.is_classification, task.answer), (kind, answer)
        if earlier == new:
            return "repeated"
        if kind is not None or task.is_classification is None:
            task.is_classification, task.answer = new
        # A record with instances is used even if its kind is not.
        is_about_kind_only = not statement.instances and statement.raw is None
        return "other_answer" if earlier != (None, None) and is_about_kind_only else None

    def count_unread_replies(self) -> None:
        """Count raw replies as unused if their tasks have finished rows. Call this once, at the end."""
        for task in self.tasks.values():
            if task.raws and task.has_instances:
                self.left_out["has_rows"] += len(task.raws)
