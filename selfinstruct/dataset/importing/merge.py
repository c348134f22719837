"""What all records say of each task, joined by its instruction, and what is left out, by cause.

    records = used + Σ left_out

Tasks are in the order in which they are first named. What is said of one twice counts once.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from selfinstruct.dataset.importing.source_formats import Told
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.records import Answer, Completion, Instance


class LeftOut(StrEnum):
    """Why nothing is taken from a record. The enum is closed."""

    EMPTY_INSTRUCTION = "empty_instruction"
    SEED_TASK = "seed_task"
    REPEATED = "repeated"
    OTHER_ANSWER = "other_answer"
    ROWS_STAND = "rows_stand"


MEANING = {
    LeftOut.EMPTY_INSTRUCTION: "the instruction is empty",
    LeftOut.SEED_TASK: "the instruction is a seed task's",
    LeftOut.REPEATED: "other records say all of it",
    LeftOut.OTHER_ANSWER: "another answer about the kind stands",
    LeftOut.ROWS_STAND: "raw instances of a task whose rows are there, too",
}
"""What a cause says, in a few words for a person."""


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What is known of a task."""

    instruction: str
    place: str
    """Where it is first named."""
    file: int
    """Number of that file, from 0."""
    model: str | None
    is_classification: bool | None = None
    answer: Answer | None = None
    """What the reply said that the kind was read from; "unclear" leaves the kind open."""
    raws: dict[Completion, None] = field(default_factory=dict)
    """Replies that hold instances, in order."""
    instances: dict[Instance, None] = field(default_factory=dict)
    """Finished ones, in order. An output may be empty."""

    @property
    def has_instances(self) -> bool:
        """Whether a finished instance can be used."""
        return any(instance.output.strip() for instance in self.instances)


class Gathering:
    """Takes what records say, one after the other; `profile` reads the answers about kinds."""

    def __init__(self, seed_instructions: Iterable[str], *, profile: str) -> None:
        self._seeds = frozenset(text.strip() for text in seed_instructions)
        self._read_answer = PROFILES[profile].read_answer
        self.tasks: dict[str, Gathered] = {}
        """By instruction without white space at its ends, in order."""
        self.records = 0
        self.mended = 0
        """Records with halves of surrogate pairs."""
        self.left_out: Counter[LeftOut] = Counter()
        """Records by the cause for which nothing was taken from them."""

    def take(self, told: Told, *, place: str, file: int) -> None:
        """Take what a record says; `place` is where it stands, `file` the number of its file from 0."""
        self.records += 1
        self.mended += told.mended
        if not told.instruction.strip():
            self.left_out[LeftOut.EMPTY_INSTRUCTION] += 1
            return
        key = told.instruction.strip()
        if key in self._seeds:
            self.left_out[LeftOut.SEED_TASK] += 1
            return
        task = self.tasks.get(key)
        is_news = task is None
        if task is None:
            task = Gathered(instruction=told.instruction, place=place, file=file, model=told.model)
            self.tasks[key] = task
        task.model = task.model or told.model
        if told.raw is not None and told.raw not in task.raws:
            task.raws[told.raw] = None
            is_news = True
        for instance in told.instances:
            is_news |= instance not in task.instances
            task.instances[instance] = None
        cause = self._take_kind(task, told)
        if cause is not None and not (is_news and cause is LeftOut.REPEATED):
            self.left_out[cause] += 1

    def _take_kind(self, task: Gathered, told: Told) -> LeftOut | None:
        """Take what is said about the kind; the cause for which it, or what was said before, is left out."""
        answer: Answer | None = None
        kind = told.is_classification
        if told.answer is not None:
            answer = self._read_answer(told.answer, instruction=task.instruction)
            kind = {"yes": True, "no": False, "unclear": None}[answer]
        elif kind in (None, task.is_classification):
            return LeftOut.REPEATED
        known, said = (task.is_classification, task.answer), (kind, answer)
        if known == said:
            return LeftOut.REPEATED
        if kind is not None or task.is_classification is None:
            task.is_classification, task.answer = said
        # Where there are instances, the kind is one field among others, which are taken in any case.
        is_about_kind_only = not told.instances and told.raw is None
        return LeftOut.OTHER_ANSWER if known != (None, None) and is_about_kind_only else None

    def count_rows_stand(self) -> None:
        """Count the raw instances that are not read, once all records are taken."""
        for task in self.tasks.values():
            if task.raws and task.has_instances:
                self.left_out[LeftOut.ROWS_STAND] += len(task.raws)
