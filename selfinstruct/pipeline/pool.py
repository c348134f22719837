"""The pool: seed tasks, then imported tasks, then accepted tasks in order of acceptance.

The pool only grows, so the pool after an earlier commit is a prefix, and a task never changes its position. A
task may be replaced by the same task with more fields filled in, such as its instances.
"""

from collections.abc import Iterator, Sequence
from random import Random

from selfinstruct.pipeline import stable_random
from selfinstruct.records import SeedTask, Task


class Pool:
    """Ordered tasks, accessible by position or by id."""

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
        """Return the task with this id. Raises KeyError."""
        return self._tasks[self._positions[task_id]]

    def add(self, task: Task) -> None:
        """Append a task. Raises ValueError if the pool has a task with the same id."""
        if task.id in self._positions:
            raise ValueError(f"the task {task.id!r} is in the pool already")
        self._positions[task.id] = len(self._tasks)
        self._tasks.append(task)

    def replace(self, task: Task) -> None:
        """Replace the task that has the same id."""
        self._tasks[self._positions[task.id]] = task

    @property
    def generated(self) -> list[Task]:
        """All tasks except the seed tasks: imported tasks first, then accepted tasks."""
        return self._tasks[self.seed_count :]

    def sample(self, rng: Random, *, count: int, generated: int, size: int) -> tuple[Task, ...]:
        """Sample `count` different tasks in random order from the first `size` tasks.

        At most `generated` of the tasks are generated or imported; seed tasks fill the rest (Self-Instruct,
        section 2.2: six seed tasks and two generated tasks). The pool must have `count` seed tasks or more.
        """
        available = size - self.seed_count
        generated = min(generated, available)
        positions = [
            self.seed_count + n for n in stable_random.distinct(rng, generated, below=available)
        ] + stable_random.distinct(rng, count - generated, below=self.seed_count)
        return tuple(self._tasks[n] for n in stable_random.shuffled(rng, positions))
