"""The pool: first the seed tasks, then the imported tasks, then the accepted tasks in order of acceptance.

Tasks are only added at the end. So the pool after an earlier commit is a prefix of the pool now, and a task
never changes its position. A task may be replaced by the same task with more of its fields known, such as its
instances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from selfinstruct.pipeline import stable_random
from selfinstruct.records import SeedTask, Task


class Pool:
    """An ordered collection of tasks, accessible by position or by id."""

    def __init__(self, seed_tasks: Sequence[SeedTask]) -> None:
        self._tasks: list[Task] = []
        self._positions: dict[str, int] = {}
        for seed in seed_tasks:
            self.add(
                Task(
                    id=seed.id,
                    instruction=seed.instruction,
                    origin="seed",
                    is_classification=seed.is_classification,
                    instances=seed.instances,
                )
            )
        self.seed_count = len(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    def __getitem__(self, position: int) -> Task:
        return self._tasks[position]

    def by_id(self, task_id: str) -> Task:
        """Return the task with this id. Raises KeyError if the pool has no such task."""
        return self._tasks[self._positions[task_id]]

    def add(self, task: Task) -> None:
        """Add a task to the end of the pool. Raises ValueError if the pool has a task with the same id."""
        if task.id in self._positions:
            raise ValueError(f"the task {task.id!r} is already in the pool")
        self._positions[task.id] = len(self._tasks)
        self._tasks.append(task)

    def update(self, task_id: str, **known: Any) -> None:
        """Set fields of the task with this id. Raises KeyError if the pool has no such task."""
        self._tasks[self._positions[task_id]] = replace(self.by_id(task_id), **known)

    @property
    def generated(self) -> list[Task]:
        """All tasks except the seed tasks: imported tasks first, then accepted tasks."""
        return self._tasks[self.seed_count :]

    def sample(self, rng: Random, *, count: int, generated: int, size: int) -> tuple[Task, ...]:
        """Sample `count` different tasks from the first `size` tasks in the pool, in random order.

        At most `generated` of them are generated or imported; the others are seed tasks. (Self-Instruct,
        section 2.2, uses six seed tasks and two generated tasks.) The pool must have at least `count` seed
        tasks.
        """
        available = size - self.seed_count
        generated = min(generated, available)
        positions = [
            self.seed_count + n for n in stable_random.distinct(rng, generated, below=available)
        ] + stable_random.distinct(rng, count - generated, below=self.seed_count)
        return tuple(self._tasks[n] for n in stable_random.shuffled(rng, positions))
