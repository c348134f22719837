"""Which request is sent next: of which stage, one that failed before or a fresh one, and whether it may be.

Knows what is still to be asked; never sends anything. What is asked first never changes the dataset.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from selfinstruct.budget.limits import Budget
from selfinstruct.cost import Consumption
from selfinstruct.pipeline.plan import (
    generation_request,
    is_plannable,
    is_worth_asking,
    task_request,
)
from selfinstruct.records import Request, Stage, Task
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.bad_requests import BadRequests
from selfinstruct.runner.directory import Run
from selfinstruct.runner.outages import OutagePolicy

# Downstream work must not starve generation, nor the other way round: generation goes first while it holds
# less than this share of the slots and the accepted tasks do not pile up, and after them otherwise.
_GENERATION_SHARE = 0.25

# So many open tasks for each request that may run ahead of the commits: enough to ask about while a list that
# takes long keeps the commits waiting, and no more, since what is open when a run is stopped is not in the
# dataset yet.
_PILE = 4

_TASK_STAGES: tuple[Stage, ...] = ("instances", "classify")
"""In the order in which they are served: a task that is nearly done goes first."""


class Scheduler:
    """What is still to be asked, in the order in which it is."""

    def __init__(
        self,
        run: Run,
        *,
        outage_policy: OutagePolicy,
        bad_requests: BadRequests,
        budget: Budget,
        now: Callable[[], float],
    ) -> None:
        self._run = run
        self._outage_policy = outage_policy
        self._bad_requests = bad_requests
        self._budget = budget
        self._now = now
        self._next_number = 1
        self._open_tasks: dict[Stage, deque[str]] = {stage: deque() for stage in _TASK_STAGES}
        """Ids of tasks by what is to be asked about them next."""
        self._put_back: dict[Stage, deque[Request]] = {}
        """Requests that were planned, and could not be sent."""
        self._longest_task = max((task.instruction for task in run.seed_tasks), key=_size)
        """The longest instruction that anything was asked about: what a further one can cost goes by it."""
        self._longest_list = run.recipe.instructions_asked
        """The most that a list brings, as far as is known …"""
        self._looked_at = 0
        """… from so many commits."""
        self._last_waiting = 0
        """Number of the last list that an earlier process received and could not commit."""
        self._finishing: tuple[tuple[str, Consumption], Consumption] | None = None
        """What the questions about a task can consume, and what that was reckoned from."""
        budget.kept_back = self._kept_back
        self.held: set[Stage] = set()
        """Stages of which a limit held something back that would have been sent."""

    @property
    def has_enough(self) -> bool:
        """Whether no more instructions are needed."""
        return self._run.state.accepted >= self._run.config.num_instructions

    def open_all(self) -> None:
        """Take up whatever an earlier process left unasked about its tasks, or did not live to hear."""
        for open_tasks in self._open_tasks.values():
            open_tasks.clear()
        for task in self._run.state.pool.generated:
            if not task.is_final:
                self.open(task.id)
        lists = (o.request_id for o in self._run.state.waiting.values() if o.stage == "generate")
        self._last_waiting = max((int(name.rpartition("/")[2]) for name in lists), default=0)

    def open(self, task_id: str) -> None:
        """Something is to be asked about a task."""
        task = self._run.state.pool.by_id(task_id)
        self._longest_task = max(self._longest_task, task.instruction, key=_size)
        asked_before = task.is_classification is not None
        self._open_tasks["instances" if asked_before else "classify"].append(task_id)

    def put_back(self, request: Request) -> None:
        """A request was not sent after all, and nothing was learned from that."""
        self._outage_policy.gone(request)
        self._put_back.setdefault(request.stage, deque()).append(request)

    def next(self, *, generating: int) -> Request | None:
        """The request to send now, or None; `generating` is how many generation requests are in flight."""
        if self.has_enough:
            # Whatever failed, was refused or was put back, is not needed any more.
            self._outage_policy.forget("generate")
            self._bad_requests.forget("generate")
            self._put_back.pop("generate", None)
        stages: tuple[Stage, ...] = (*_TASK_STAGES, "generate")
        config, state = self._run.config, self._run.state
        pile = _PILE * max(config.lag(state.commits + 1), config.max_concurrency)
        if generating < _GENERATION_SHARE * config.max_concurrency and state.open_tasks < pile:
            stages = ("generate", *_TASK_STAGES)
        self.held.clear()
        for stage in stages:
            fresh = partial(self._fresh, stage)
            request = self._outage_policy.choose(stage, fresh, now=self._now())
            if request is None:
                continue
            if self._budget.admits(request):
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
        task = self._run.state.pool.by_id(self._open_tasks[stage].popleft())
        return self._about(task)

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

    def _kept_back(self, request: Request) -> Consumption:
        """What must be left for whole records, if this is sent now: a list, and no check, brings tasks."""
        if not request.id.startswith("generate/") or not self._run.recipe.has_task_stages:
            return Consumption()
        state = self._run.state
        # This one included, and what is in the journal already and only waits for those before it.
        last = max(self._next_number - 1, self._last_waiting)
        on_their_way = max(1, last - state.commits)
        sizes = state.pool_sizes
        for commit in range(self._looked_at, state.commits):
            self._longest_list = max(self._longest_list, sizes[commit + 1] - sizes[commit])
        self._looked_at = state.commits
        return (state.open_tasks + on_their_way * self._longest_list) * self._finishing_one()

    def _finishing_one(self) -> Consumption:
        """What the questions about a task can consume at most, if it is no longer than those so far."""
        known = (self._longest_task, self._run.state.ledger.excess)
        if self._finishing is None or self._finishing[0] != known:
            task = Task(id="none", instruction=self._longest_task, origin="generated")
            asked = [self._about(task)]
            asked += [self._about(replace(task, is_classification=k)) for k in (True, False)]
            classify, *instances = map(self._budget.most, asked)
            # It may be unclear, and asked again.
            most = 2 * classify + max(instances, key=lambda c: c.tokens)
            self._finishing = (known, most)
        return self._finishing[1]


def _size(instruction: str) -> int:
    """In bytes, as bounds go by them."""
    return len(instruction.encode())
