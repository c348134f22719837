"""Determines the order of a run's requests: the stage to continue, and the next request in that stage.

The scheduler keeps track of the requests that are still needed, but does not send them. The order of requests
never changes the dataset.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from selfinstruct.cost import Consumption
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.pipeline.plan import (
    generation_request,
    is_plannable,
    is_worth_asking,
    task_request,
)
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request, Stage, Task
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.manifest import Manifest

# Generation has the highest priority while it uses less than this share of the slots and few tasks are open.
# Otherwise it has the lowest. So neither generation nor the other stages have to wait forever.
_GENERATION_SHARE = 0.25

# Maximum number of open tasks for each request that may be sent ahead of the commits. With more, a run that
# stops would leave more tasks incomplete. With fewer, slots would be empty while a slow list delays commits.
_OPEN_TASKS_AHEAD = 4


class Scheduler:
    """Chooses a run's next request."""

    def __init__(self, run: Manifest, state: RunState) -> None:
        self._run = run
        self._state = state
        self._next_number = 1
        self._open_tasks: dict[Stage, deque[str]] = {
            stage.name: deque() for stage in reversed(run.recipe.task_stages)
        }
        """Ids of tasks by their next stage. Nearly complete tasks go first."""
        self._longest_task = max((task.instruction for task in run.seed_tasks), key=_byte_length)
        """The longest instruction so far, the worst case of a further task."""
        self._longest_list = run.recipe.generate.instructions_asked
        """The most tasks that a list has brought, the worst case of a further list."""
        self._commits_measured = 0
        """Number of commits that `_longest_list` takes into account."""
        self._last_waiting = 0
        """Number of the last generation request whose reply earlier processes received but did not commit."""
        self._finishing: tuple[tuple[str, Consumption], Consumption] | None = None
        """The cached result of `_finishing_one`, with the values that it was computed from."""

    @property
    def has_enough(self) -> bool:
        """True if the run has accepted as many instructions as its target."""
        return self._state.accepted >= self._run.config.num_instructions

    def open_all(self) -> None:
        """Open all tasks that earlier processes left incomplete, and find lists that they did not commit."""
        self._next_number = 1
        for open_tasks in self._open_tasks.values():
            open_tasks.clear()
        for task in self._state.pool.generated:
            if not task.is_final:
                self.open(task.id)
        lists = (o.request_id for o in self._state.waiting.values() if o.stage == "generate")
        self._last_waiting = max((int(name.rpartition("/")[2]) for name in lists), default=0)

    def open(self, task_id: str) -> None:
        """Schedule a task's next request."""
        task = self._state.pool.by_id(task_id)
        self._longest_task = max(self._longest_task, task.instruction, key=_byte_length)
        self._open_tasks[self._run.recipe.next_stage(task).name].append(task_id)

    def stages(self, in_flight: Mapping[Stage, int]) -> Sequence[Stage]:
        """Return the stages that still need requests; see `pump.Work`."""
        if self.has_enough:
            return tuple(self._open_tasks)
        config, state = self._run.config, self._state
        most_open = _OPEN_TASKS_AHEAD * max(config.lag(state.commits + 1), config.max_concurrency)
        is_first = in_flight["generate"] < _GENERATION_SHARE * config.max_concurrency
        if is_first and state.open_tasks < most_open:
            return ("generate", *self._open_tasks)
        return (*self._open_tasks, "generate")

    def next_request(self, stage: Stage) -> Request | None:
        """Return the stage's next request, or None if no request can be planned now."""
        if stage == "generate":
            return self._fresh_generation()
        if not self._open_tasks[stage]:
            return None
        return self._about(self._state.pool.by_id(self._open_tasks[stage].popleft()))

    def _about(self, task: Task) -> Request:
        return task_request(self._state, self._run.config, self._run.templates, task)

    def _fresh_generation(self) -> Request | None:
        run, state = self._run, self._state
        number = max(self._next_number, state.commits + 1)
        while generation_id(number) in state.waiting:
            number += 1
        self._next_number = number
        if not is_plannable(state, run.config, number):
            return None
        if not is_worth_asking(state, run.config, number):
            return None
        self._next_number += 1
        return generation_request(state, run.config, run.templates, number)

    def finishing_cost(self, request_id: str) -> Consumption:
        """Return the worst-case consumption for completing all tasks.

        This includes the tasks that may be added by this request and by other uncommitted requests. Only
        generation requests add tasks. A check does not, whatever its stage is.
        """
        if not request_id.startswith("generate/"):
            return Consumption()
        state = self._state
        # Uncommitted lists: this request's, those in flight, and those that are already in the journal.
        last = max(self._next_number - 1, self._last_waiting)
        lists = max(1, last - state.commits)
        sizes = state.pool_sizes
        for commit in range(self._commits_measured, state.commits):
            self._longest_list = max(self._longest_list, sizes[commit + 1] - sizes[commit])
        self._commits_measured = state.commits
        return (state.open_tasks + lists * self._longest_list) * self._finishing_one()

    def _finishing_one(self) -> Consumption:
        """Return the worst-case consumption of the requests about one task.

        The task's instruction is assumed to be at most as long as the longest so far.
        """
        ledger = self._state.ledger
        inputs = (self._longest_task, ledger.excess)
        if self._finishing is None or self._finishing[0] != inputs:
            tasks = [Task(id="none", instruction=self._longest_task, origin="generated")]
            cost = Consumption()
            for stage in self._run.recipe.task_stages:
                costs = [ledger.with_excess(worst_case(self._about(task))) for task in tasks]
                cost += len(stage.request_ids("none")) * max(costs, key=lambda c: c.tokens)
                tasks = [after for task in tasks for after in stage.after(task)]
            self._finishing = (inputs, cost)
        return self._finishing[1]


def _byte_length(instruction: str) -> int:
    """Return the instruction's length in UTF-8 bytes, which the worst case is computed from."""
    return len(instruction.encode())
