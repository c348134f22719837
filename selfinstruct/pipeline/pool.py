"""The pool: seed tasks, then imported ones, then accepted tasks in order of acceptance. It only grows.

Because it only grows, "the pool as it stood after commit j" is just a length, and a task's place never
changes. A task may be replaced by the same task knowing more (its kind, its instances).
"""

from collections.abc import Iterator, Sequence
from random import Random

from selfinstruct.pipeline import stable_random
from selfinstruct.records import SeedTask, Task


class Pool:
    """Ordered tasks, found by place or by id."""

    def __init__(self, seed_tasks: Sequence[SeedTask]) -> None:
        self._tasks: list[Task] = []
        self._places: dict[str, int] = {}
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

    def __getitem__(self, place: int) -> Task:
        return self._tasks[place]

    def by_id(self, task_id: str) -> Task:
        """The task of that id. Raises KeyError."""
        return self._tasks[self._places[task_id]]

    def add(self, task: Task) -> None:
        """Append a task. Its id must be new."""
        if task.id in self._places:
            raise ValueError(f"the task {task.id!r} is in the pool already")
        self._places[task.id] = len(self._tasks)
        self._tasks.append(task)

    def replace(self, task: Task) -> None:
        """Put what is now known of a task in its place."""
        self._tasks[self._places[task.id]] = task

    @property
    def generated(self) -> list[Task]:
        """The tasks that are no seed tasks: those imported, if any, then those accepted, in order."""
        return self._tasks[self.seed_count :]

    def draw(self, rng: Random, *, count: int, generated: int, upto: int) -> tuple[Task, ...]:
        """Draw `count` different tasks in random order out of the first `upto`.

        At most `generated` of them are generated or imported ones; seed tasks fill up while there are fewer
        (Self-Instruct §2.2: six of eight are written by people, two by the model). There must be at least
        `count` seed tasks.
        """
        available = upto - self.seed_count
        generated = min(generated, available)
        places = [
            self.seed_count + n for n in stable_random.distinct(rng, generated, below=available)
        ] + stable_random.distinct(rng, count - generated, below=self.seed_count)
        return tuple(self._tasks[place] for place in stable_random.shuffled(rng, places))
