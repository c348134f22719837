"""The main loop: plan → complete → journal → decide → journal.

Replies arrive in any order. Generation requests are committed in the order of their numbers, one whole
request at a time; classify and instance requests are decided task by task. So the same replies give the same
dataset, whatever the concurrency, the latency, the retries and the crashes.

A request keeps its slot until its outcome is in the journal, so a killed run repeats at most the requests in
flight. No outcome is used before the journal is synced (`unsynced`).
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

from selfinstruct.backend import Backend, Checkable
from selfinstruct.budget.limits import Budget
from selfinstruct.budget.prices import price_of
from selfinstruct.config.schema import OPERATIONAL, plain
from selfinstruct.cost import ExpectedUse
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.errors import (
    BackendError,
    EndpointError,
    LimitReachedError,
    RequestRejectedError,
    SelfInstructError,
    StalledError,
    TransientError,
)
from selfinstruct.events import (
    Classified,
    Committed,
    Event,
    RunEnd,
    RunFinished,
    RunStarted,
    received,
)
from selfinstruct.pipeline.decide import next_decisions
from selfinstruct.pipeline.state import RunState, apply
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Completion, Request, Stage
from selfinstruct.records.finish_reasons import Ending
from selfinstruct.runner.directory import Run
from selfinstruct.runner.failures import FailurePolicy, OnPause
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.manifest import program_versions
from selfinstruct.runner.scheduler import Scheduler
from selfinstruct.runner.unsynced import UnsyncedOutcomes
from selfinstruct.text import duration, scrub

_OBJECTS_UNTIL_COLLECTED = 20_000

Watch = Callable[[RunState, int], None]
"""Called after each round with the state and the number of requests in flight."""


def is_complete(run: Run) -> bool:
    """Return whether the target is reached and every accepted task is final."""
    state = run.state
    return state.accepted >= run.config.num_instructions and not state.open_tasks


async def grow(
    run: Run,
    *,
    backend: Backend,
    stop: asyncio.Event | None = None,
    watch: Watch | None = None,
    on_pause: OnPause = lambda _: None,
    expected_use: ExpectedUse | None = None,
) -> RunSummary:
    """Grow the run until its target is reached; journal every reply before it is used.

    Set `stop` to stop sending requests; the replies in flight are still journaled. A failure sets `stop` too.
    `on_pause` is called for each pause during an outage of the endpoint (see `failures`). `expected_use` is
    the estimate, which the journal stores for a later comparison.

    Raises BackendError when the endpoint gives up, StalledError when no candidate is accepted any more,
    LimitReachedError when a limit is reached, and JournalError when the journal cannot be written. Every
    reply is safe in each case, and the next call continues from there.
    """
    if run.journal is None or run.budget is None:
        raise ValueError("the run was only read; open it with open_run")
    if not is_complete(run):
        stop = stop or asyncio.Event()
        growth = _Growth(run, run.journal, run.budget, backend, stop, watch, on_pause)
        with _collecting_less_often():
            await growth.run(expected_use)
    return summarize(run.state)


@contextmanager
def _collecting_less_often() -> Iterator[None]:
    """Run the garbage collector less often: a request creates thousands of objects, few of them in cycles."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Growth:
    """The work of one process on a run."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        budget: Budget,
        backend: Backend,
        stop: asyncio.Event,
        watch: Watch | None,
        on_pause: OnPause,
    ) -> None:
        self._run = run
        self._state = run.state
        self._journal = journal
        self._budget = budget
        self._backend = backend
        self._stop = stop
        self._watch = watch
        self._in_flight: Counter[Stage] = Counter()
        self._landed: asyncio.Queue[tuple[Request, Completion | Exception]] = asyncio.Queue()
        counts = run.state.counts
        self._failure_policy = FailurePolicy(
            slots=run.config.max_concurrency,
            give_up_after_s=run.config.give_up_after_s,
            answered={stage: n - counts.failed[stage] for stage, n in counts.requests.items()},
            can_check=isinstance(backend, Checkable),
            on_pause=on_pause,
        )
        self._may_decide = True
        """Whether a decision may be due."""
        self._now = asyncio.get_running_loop().time
        self._unsynced = UnsyncedOutcomes(journal, now=self._now)
        self._failure: Exception | None = None
        self._commits_before = run.state.commits
        """Commits of earlier processes; they do not count towards a stall."""
        self._scheduler = Scheduler(
            run, failure_policy=self._failure_policy, budget=budget, now=self._now
        )

    async def run(self, expected_use: ExpectedUse | None) -> None:
        self._record(
            RunStarted(
                versions={**program_versions(), "openai": version("openai")},
                settings={n: v for n, v in plain(self._run.config).items() if n in OPERATIONAL},
                price=price_of(self._run.config),
                expected_use=expected_use,
            )
        )
        while self._may_decide:
            self._decide_some()
        self._scheduler.open_all()
        timer = self._start_timer()
        try:
            async with asyncio.TaskGroup() as group:
                await self._rounds(group)
        except BaseExceptionGroup as failures:
            # One task failed, and the group cancelled the others.
            raise failures.exceptions[0] from None
        finally:
            if timer is not None:
                timer.cancel()
        if isinstance(self._failure, LimitReachedError) and is_complete(self._run):
            self._failure = None  # the replies in flight completed the run
        reason: RunEnd = "complete" if is_complete(self._run) else "interrupted"
        if self._failure is not None:
            reason = "limit" if isinstance(self._failure, LimitReachedError) else "failed"
        self._record(RunFinished(reason=reason, detail=_detail(self._failure)))
        if self._failure is not None:
            raise self._failure

    async def _rounds(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._start_requests(group)
            if self._watch is not None:
                self._watch(self._state, self._in_flight.total())
            # While all slots are busy, more outcomes may share the sync.
            if self._unsynced and (self._has_free_slot or not self._unsynced.due_s):
                for outcome in self._unsynced.sync():
                    apply(self._state, outcome)
                self._may_decide = True
            elif self._may_decide:
                # The reply to a slow list may release hundreds of waiting lists. Decide a few at a time, so
                # that the requests in flight make progress meanwhile.
                self._decide_some()
                await asyncio.sleep(0)
                self._take_landed()
            elif self._in_flight.total():
                await self._land()
            elif self._stop.is_set():
                return
            elif self._failure_policy.wants_check:
                await self._check()
            elif (wait_s := self._wait_s()) is not None:
                await self._pause(wait_s)
            elif self._failure_policy.has_rejected:
                self._settle_rejected()
            elif self._scheduler.held:
                self._fail(self._budget.limit_reached())
            else:
                return

    @property
    def _has_free_slot(self) -> bool:
        return self._in_flight.total() < self._run.config.max_concurrency

    def _wait_s(self) -> float | None:
        """Return the seconds until a failed request may be sent again; None where no request waits."""
        return self._failure_policy.wait_s(now=self._now(), without=self._scheduler.held)

    def _start_timer(self) -> asyncio.TimerHandle | None:
        """Start the timer that stops the run after `max_time_s`, counted over all its processes."""
        limit_s = self._run.config.max_time_s
        if limit_s is None:
            return None

        def stop() -> None:
            problem = (
                f"--max-time is reached: {duration(limit_s)}; raise --max-time to continue the run"
            )
            self._fail(LimitReachedError("max_time_s", problem))

        left_s = limit_s - self._run.worked_s
        if left_s <= 0:
            stop()  # before any request is sent
            return None
        return asyncio.get_running_loop().call_later(left_s, stop)

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_requests(self, group: asyncio.TaskGroup) -> None:
        started: list[Request] = []
        while self._has_free_slot and not self._stop.is_set():
            request = self._scheduler.next(generating=self._in_flight["generate"])
            if request is None:
                break
            self._in_flight[request.stage] += 1
            self._budget.begin(request.id, worst_case(request))
            started.append(request)
        if started:
            self._budget.sync()
        for request in started:
            group.create_task(self._complete(request))

    # ── complete ─────────────────────────────────────────────────────────────────────────────────────────

    async def _complete(self, request: Request) -> None:
        try:
            result: Completion | Exception = await self._backend.complete(request)
            if not isinstance(result, Completion):
                result = TypeError(f"a backend must return a Completion, not {result!r:.100}")
            elif result.ending is Ending.FAILED:
                result = TransientError(
                    f"the reply is incomplete (finish reason {result.finish_reason!r:.100})"
                )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The backend cancelled its own work, not this task.
            result = TransientError("the backend cancelled the request")
        except Exception as error:  # noqa: BLE001 - raised again once the replies in flight are journaled
            result = error
        self._landed.put_nowait((request, result))

    async def _land(self) -> None:
        """Wait for a result until the next sync or retry is due; journal everything that arrived."""
        waits: list[float | None] = []
        if self._has_free_slot and not self._stop.is_set():
            waits.append(self._wait_s())
        if self._unsynced:
            waits.append(self._unsynced.due_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(min((w for w in waits if w is not None), default=None)):
                self._take_landed(await self._landed.get())

    def _take_landed(self, *first: tuple[Request, Completion | Exception]) -> None:
        """Journal these results and all that arrived since."""
        landed = [*first]
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        for request, result in landed:
            self._take(request, result)
        for request, _ in landed:
            self._in_flight[request.stage] -= 1

    def _take(self, request: Request, result: Completion | Exception) -> None:
        """Journal a completion, or record a failure with the policy."""
        policy = self._failure_policy
        if isinstance(result, BackendError) and not result.may_bill:
            self._budget.release(request.id)
        is_needed = request.stage != "generate" or not self._scheduler.has_enough
        if isinstance(result, Completion):
            failures = policy.answered(request, now=self._now())
            self._unsynced.write(received(request, result), *failures)
        elif isinstance(result, BackendError) and not is_needed:
            policy.gone(request)
        elif isinstance(result, LimitReachedError) and result.limit in self._budget.limit_names:
            self._scheduler.put_back(request)
        elif isinstance(result, RequestRejectedError):
            self._fail_if(policy.rejected(request, result))
        elif isinstance(result, TransientError):
            # After a stop, the error only means that the backend stopped too.
            if not self._stop.is_set():
                policy.failed(request, result, now=self._now())
                self._fail_if(policy.overdue(now=self._now()))
        else:
            self._fail(result)

    async def _check(self) -> None:
        """Check whether the endpoint is up, since no other request can be sent."""
        assert isinstance(self._backend, Checkable)
        number = self._failure_policy.begin_check()
        checking = asyncio.ensure_future(self._backend.answers())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((checking, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not checking.done():
                return
            is_up = checking.result()
            self._unsynced.write(
                *self._failure_policy.checked(number, is_up=is_up, now=self._now())
            )
        except (EndpointError, LimitReachedError) as error:
            self._fail(error)
        finally:
            checking.cancel()
            stopping.cancel()
        self._fail_if(self._failure_policy.overdue(now=self._now()))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the run stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _settle_rejected(self) -> None:
        try:
            self._unsynced.write(*self._failure_policy.settle_rejected())
        except EndpointError as error:
            self._fail(error)

    def _fail_if(self, failure: Exception | None) -> None:
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        """Stop sending requests; a backend with the same `stop` stops its retries too."""
        self._failure = self._failure or failure
        self._stop.set()

    # ── decide ───────────────────────────────────────────────────────────────────────────────────────────

    def _decide_some(self) -> None:
        """Make the decisions that are due and independent of each other."""
        decisions = list(next_decisions(self._state, self._run.config))
        self._may_decide = bool(decisions)
        if not decisions:
            return
        self._record(*decisions, durable=False)
        for decision in decisions:
            if isinstance(decision, Committed):
                for accepted in decision.accepted:
                    if accepted.instance is None:
                        self._scheduler.open(accepted.task_id)
            elif isinstance(decision, Classified):
                self._scheduler.open(decision.task_id)
        self._stop_if_stalled()

    def _stop_if_stalled(self) -> None:
        limit = self._run.config.stall_after
        sizes = self._state.pool_sizes
        if (
            not self._scheduler.has_enough
            and self._state.commits - self._commits_before >= limit
            and sizes[-1 - limit] == sizes[-1]
        ):
            self._fail(StalledError(limit))

    def _record(self, *events: Event, durable: bool = True) -> None:
        """Journal events, then apply them to the state."""
        self._journal.append(*events, durable=durable)
        for event in events:
            apply(self._state, event)


def _detail(failure: Exception | None) -> str:
    """Return the text of a failure for the journal; only the type of errors from other libraries."""
    if failure is None:
        return ""
    return scrub(str(failure)) if isinstance(failure, SelfInstructError) else type(failure).__name__
