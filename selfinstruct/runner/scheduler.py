"""The order of requests: the next stage, a failed or a fresh request, and whether the limits allow it.

The scheduler knows what is still to be asked, and sends nothing. The order never changes the dataset.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from selfinstruct.budget.limits import Budget
from selfinstruct.cost import Consumption
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.pipeline.plan import (
    generation_request,
    is_plannable,
    is_worth_asking,
    task_request,
)
from selfinstruct.records import Request, Stage, Task
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.directory import Run
from selfinstruct.runner.failures import FailurePolicy

# Neither generation nor the other stages may starve: generation goes first while it has less than this share
# of the slots and few tasks are open, and last otherwise.
_GENERATION_SHARE = 0.25

# Maximum number of open tasks per request that may run ahead of the commits. More open tasks would be lost to
# the dataset when a run stops; fewer would leave slots empty while a slow list delays the commits.
_OPEN_TASKS_AHEAD = 4

_TASK_STAGES: tuple[Stage, ...] = ("instances", "classify")
"""In order of priority: a task that is nearly complete goes first."""


class Scheduler:
    """Chooses the next request."""

    def __init__(
        self,
        run: Run,
        *,
        failure_policy: FailurePolicy,
        budget: Budget,
        now: Callable[[], float],
    ) -> None:
        self._run = run
        self._failure_policy = failure_policy
        self._budget = budget
        self._now = now
        self._next_number = 1
        self._open_tasks: dict[Stage, deque[str]] = {stage: deque() for stage in _TASK_STAGES}
        """Ids of tasks by their next stage."""
        self._put_back: dict[Stage, deque[Request]] = {}
        """Requests that were planned and not sent."""
        self._longest_task = max((task.instruction for task in run.seed_tasks), key=_byte_length)
        """The longest instruction so far, the worst case of a further task."""
        self._longest_list = run.recipe.instructions_asked
        """The most tasks that a list has brought, the worst case of a further list."""
        self._commits_measured = 0
        """Commits that `_longest_list` takes into account."""
        self._last_waiting = 0
        """Number of the last list that an earlier process received and did not commit."""
        self._finishing: tuple[tuple[str, Consumption], Consumption] | None = None
        """Worst case of the requests about one task, with the inputs of the computation."""
        budget.finishing_cost = self._finishing_cost
        self.held: set[Stage] = set()
        """Stages with a request that a limit does not allow."""

    @property
    def has_enough(self) -> bool:
        """Whether the run has enough instructions."""
        return self._run.state.accepted >= self._run.config.num_instructions

    def open_all(self) -> None:
        """Open every task that an earlier process left incomplete, and find the lists that it received."""
        for open_tasks in self._open_tasks.values():
            open_tasks.clear()
        for task in self._run.state.pool.generated:
            if not task.is_final:
                self.open(task.id)
        lists = (o.request_id for o in self._run.state.waiting.values() if o.stage == "generate")
        self._last_waiting = max((int(name.rpartition("/")[2]) for name in lists), default=0)

    def open(self, task_id: str) -> None:
        """Schedule the next request about a task."""
        task = self._run.state.pool.by_id(task_id)
        self._longest_task = max(self._longest_task, task.instruction, key=_byte_length)
        is_classified = task.is_classification is not None
        self._open_tasks["instances" if is_classified else "classify"].append(task_id)

    def put_back(self, request: Request) -> None:
        """Take back a request that was not sent."""
        self._failure_policy.gone(request)
        self._put_back.setdefault(request.stage, deque()).append(request)

    def next(self, *, generating: int) -> Request | None:
        """Return the request to send now, or None; `generating` counts generation requests in flight."""
        if self.has_enough:
            self._failure_policy.forget("generate")
            self._put_back.pop("generate", None)
        stages: tuple[Stage, ...] = (*_TASK_STAGES, "generate")
        config, state = self._run.config, self._run.state
        most_open = _OPEN_TASKS_AHEAD * max(config.lag(state.commits + 1), config.max_concurrency)
        if generating < _GENERATION_SHARE * config.max_concurrency and state.open_tasks < most_open:
            stages = ("generate", *_TASK_STAGES)
        self.held.clear()
        for stage in stages:
            fresh = partial(self._fresh, stage)
            request = self._failure_policy.choose(stage, fresh, now=self._now())
            if request is None:
                continue
            if self._budget.admits(request.id, worst_case(request)):
                return request
            self.put_back(request)
            self.held.add(stage)
        return None

    def _fresh(self, stage: Stage) -> Request | None:
        if waiting := self._put_back.get(stage):
            return waiting.popleft()
        if stage == "generate":
            return self._fresh_generation()
        if not self._open_tasks[stage]:
            return None
        return self._about(self._run.state.pool.by_id(self._open_tasks[stage].popleft()))

    def _about(self, task: Task) -> Request:
        return task_request(self._run.state, self._run.config, self._run.templates, task)

    def _fresh_generation(self) -> Request | None:
        run, state = self._run, self._run.state
        if self.has_enough:
            return None
        number = max(self._next_number, state.commits + 1)
        while generation_id(number) in state.waiting:
            number += 1
        self._next_number = number
        if not is_plannable(state, run.config, number):
            return None
        if not is_worth_asking(state, run.config, run.recipe, number):
            return None
        self._next_number += 1
        return generation_request(state, run.config, run.recipe, run.templates, number)

    def _finishing_cost(self, request_id: str) -> Consumption:
        """Return the worst case of completing all tasks that exist once a request is answered.

        Only a generation request brings tasks. A check brings none, whatever its stage is.
        """
        if not request_id.startswith("generate/") or not self._run.recipe.has_task_stages:
            return Consumption()
        state = self._run.state
        # The lists to come: this one, the lists in flight, and the lists that wait in the journal.
        last = max(self._next_number - 1, self._last_waiting)
        lists = max(1, last - state.commits)
        sizes = state.pool_sizes
        for commit in range(self._commits_measured, state.commits):
            self._longest_list = max(self._longest_list, sizes[commit + 1] - sizes[commit])
        self._commits_measured = state.commits
        return (state.open_tasks + lists * self._longest_list) * self._finishing_one()

    def _finishing_one(self) -> Consumption:
        """Return the worst case of the requests about one task that is no longer than those so far."""
        inputs = (self._longest_task, self._run.state.ledger.excess)
        if self._finishing is None or self._finishing[0] != inputs:
            task = Task(id="none", instruction=self._longest_task, origin="generated")
            kinds = (None, True, False)
            requests = [self._about(replace(task, is_classification=kind)) for kind in kinds]
            worst_cases = map(worst_case, requests)
            classify, *instances = map(self._budget.with_excess, worst_cases)
            # An unclear classification is repeated once.
            cost = 2 * classify + max(instances, key=lambda c: c.tokens)
            self._finishing = (inputs, cost)
        return self._finishing[1]


def _byte_length(instruction: str) -> int:
    """Return the length in bytes, the unit of the worst case."""
    return len(instruction.encode())
