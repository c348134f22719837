"""Sends requests until no more are needed, and journals each reply before it is used.

A pump decides when to send a request. Its `Work` decides which request to send and what to do with its
outcome. A request keeps its slot until its outcome is in the journal. So if a process is killed, at most the
requests in flight are sent again. No outcome is used before the journal is synced (see `unsynced`).
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from selfinstruct.backend import Backend, Checkable
from selfinstruct.budget.limits import Budget
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.display import duration
from selfinstruct.errors import (
    BackendError,
    EndpointError,
    LimitReachedError,
    RequestRejectedError,
    TransientError,
)
from selfinstruct.journal_events import Outcome, received
from selfinstruct.records import Completion, Request, Stage
from selfinstruct.records.finish_reasons import Ending
from selfinstruct.runner.failures import FailurePolicy, OnPause
from selfinstruct.runner.unsynced import OutcomeLog, UnsyncedOutcomes

Watch = Callable[[int], None]
"""Called in each round with the number of requests in flight."""


class Work(Protocol):
    """Provides the requests that a pump sends, and uses their outcomes."""

    def stages(self, in_flight: Mapping[Stage, int], /) -> Sequence[Stage]:
        """Return the stages that still need requests, the most urgent first.

        `in_flight` is the number of requests in flight by stage. The pump drops the failed requests of all
        stages that are not returned.
        """
        ...

    def next_request(self, stage: Stage, /) -> Request | None:
        """Return the stage's next request, or None if no request can be planned now."""
        ...

    def apply(self, *outcomes: Outcome) -> None:
        """Use outcomes that are already on disk, in the order of their journal lines."""
        ...

    def decide(self) -> bool:
        """Make some of the decisions that the outcomes allow. Return whether there were any.

        The pump calls this repeatedly, and the requests in flight make progress between calls.
        """
        ...


class Pump:
    """Sends one process's requests."""

    def __init__(
        self,
        work: Work,
        *,
        backend: Backend,
        journal: OutcomeLog,
        budget: Budget,
        stop: asyncio.Event,
        slots: int,
        give_up_after_s: float,
        answered: Mapping[Stage, int],
        on_pause: OnPause = lambda _: None,
        watch: Watch = lambda _: None,
    ) -> None:
        """Create a pump.

        If `stop` is set, the pump sends no more requests. A failure also sets it. `slots` is the maximum
        number of requests in flight. `answered` is the number of requests answered in earlier processes, by
        stage.
        """
        self._work = work
        self._backend = backend
        self._budget = budget
        self._stop = stop
        self._slots = slots
        self._watch = watch
        self._policy = FailurePolicy(
            slots=slots,
            give_up_after_s=give_up_after_s,
            answered=answered,
            can_check=isinstance(backend, Checkable),
            on_pause=on_pause,
        )
        self._now = asyncio.get_running_loop().time
        self._unsynced = UnsyncedOutcomes(journal, now=self._now)
        self._in_flight: Counter[Stage] = Counter()
        self._landed: asyncio.Queue[tuple[Request, Completion | Exception]] = asyncio.Queue()
        self._put_back: defaultdict[Stage, deque[Request]] = defaultdict(deque)
        """Requests that were planned but not sent, by stage."""
        self._over_limit: set[Stage] = set()
        """Stages whose next request would exceed a limit."""
        self._may_decide = True
        """True if `Work.decide` must be called, because a decision may be due."""
        self._failure: Exception | None = None

    async def run(
        self, *, max_time_s: float | None = None, worked_s: float = 0.0
    ) -> Exception | None:
        """Send requests until no more are needed. If a failure stopped this early, return the failure.

        `max_time_s` limits the total working time of all processes, in seconds. `worked_s` is the working
        time of earlier processes. Raises JournalError.
        """
        timer = self._start_timer(max_time_s, worked_s) if max_time_s is not None else None
        try:
            async with asyncio.TaskGroup() as group:
                await self._rounds(group)
        except BaseExceptionGroup as failures:
            # One task failed, and the group cancelled the others.
            raise failures.exceptions[0] from None
        finally:
            if timer is not None:
                timer.cancel()
        return self._failure

    def fail(self, failure: Exception) -> None:
        """Stop sending requests because of a failure. A backend with the same `stop` also stops retrying."""
        self._failure = self._failure or failure
        self._stop.set()

    async def _rounds(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._start_requests(group)
            self._watch(self._in_flight.total())
            # While all slots are busy, a sync can wait, so that it covers more outcomes.
            if self._unsynced and (self._has_free_slot or not self._unsynced.due_s):
                self._work.apply(*self._unsynced.sync())
                self._may_decide = True
            elif self._may_decide:
                # One outcome may allow hundreds of decisions.
                self._may_decide = self._work.decide()
                await asyncio.sleep(0)
                self._take_landed()
            elif self._in_flight.total():
                await self._land()
            elif self._stop.is_set():
                return
            elif self._policy.wants_check:
                await self._check()
            elif (wait_s := self._wait_s()) is not None:
                await self._pause(wait_s)
            elif self._policy.has_rejected:
                self._settle_rejected()
            elif self._over_limit:
                self.fail(self._budget.limit_reached())
            else:
                return

    @property
    def _has_free_slot(self) -> bool:
        return self._in_flight.total() < self._slots

    def _wait_s(self) -> float | None:
        """Return the seconds until a failed request may be sent again; None if no request is waiting."""
        return self._policy.wait_s(now=self._now(), without=self._over_limit)

    def _start_timer(self, max_time_s: float, worked_s: float) -> asyncio.TimerHandle:
        """Start the timer that stops the pump at the time limit."""
        problem = (
            f"--max-time is reached: {duration(max_time_s)}; raise --max-time to continue the run"
        )
        stop = partial(self.fail, LimitReachedError("max_time_s", problem))
        if worked_s >= max_time_s:
            stop()  # before any request is sent
        return asyncio.get_running_loop().call_later(max_time_s - worked_s, stop)

    # ── send ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_requests(self, group: asyncio.TaskGroup) -> None:
        started: list[Request] = []
        while self._has_free_slot and not self._stop.is_set():
            request = self._reserve_next()
            if request is None:
                break
            self._in_flight[request.stage] += 1
            started.append(request)
        if started:
            self._budget.sync()
        for request in started:
            group.create_task(self._complete(request))

    def _reserve_next(self) -> Request | None:
        """Reserve the failed or fresh request to send now; return None if there is none that limits allow."""
        stages = self._work.stages(self._in_flight)
        self._policy.forget_except(stages)
        self._over_limit.clear()
        for stage in stages:
            request = self._policy.choose(stage, partial(self._fresh, stage), now=self._now())
            if request is None:
                continue
            most = worst_case(request)
            if self._budget.admits(request.id, most):
                self._budget.begin(request.id, most)
                return request
            self._not_sent(request)
            self._over_limit.add(stage)
        return None

    def _fresh(self, stage: Stage) -> Request | None:
        waiting = self._put_back[stage]
        return waiting.popleft() if waiting else self._work.next_request(stage)

    def _not_sent(self, request: Request) -> None:
        """Put back a request that was chosen but not sent."""
        self._policy.gone(request)
        self._put_back[request.stage].append(request)

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
        except Exception as error:  # noqa: BLE001 - `run` returns it after all replies are journaled
            result = error
        self._landed.put_nowait((request, result))

    # ── receive ──────────────────────────────────────────────────────────────────────────────────────────

    async def _land(self) -> None:
        """Wait for results until the next sync or retry is due, and journal those that arrived."""
        waits = [self._unsynced.due_s]
        if self._has_free_slot and not self._stop.is_set():
            waits.append(self._wait_s())
        with suppress(TimeoutError):
            async with asyncio.timeout(min((w for w in waits if w is not None), default=None)):
                self._take_landed(await self._landed.get())

    def _take_landed(self, *first: tuple[Request, Completion | Exception]) -> None:
        """Journal the given results, and all results that have arrived since."""
        landed = [*first]
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        for request, result in landed:
            self._take(request, result)
        for request, _ in landed:
            self._in_flight[request.stage] -= 1

    def _take(self, request: Request, result: Completion | Exception) -> None:
        """Journal a completion, or report a failure to the policy."""
        policy = self._policy
        if isinstance(result, BackendError) and not result.may_bill:
            self._budget.release(request.id)
        if isinstance(result, Completion):
            failures = policy.answered(request, now=self._now())
            self._unsynced.write(received(request, result), *failures)
        elif isinstance(result, BackendError) and not self._is_needed(request):
            policy.gone(request)
        elif isinstance(result, LimitReachedError) and result.limit in self._budget.limit_names:
            self._not_sent(request)
        elif isinstance(result, RequestRejectedError):
            self._fail_if(policy.rejected(request, result))
        elif isinstance(result, TransientError):
            # After a stop, such an error only means that the backend has stopped too.
            if not self._stop.is_set():
                policy.failed(request, result, now=self._now())
                self._fail_if(policy.overdue(now=self._now()))
        else:
            self.fail(result)

    def _is_needed(self, request: Request) -> bool:
        return request.stage in self._work.stages(self._in_flight)

    # ── without a request to send ────────────────────────────────────────────────────────────────────────

    async def _check(self) -> None:
        """Check whether the endpoint is up, since no other request can be sent."""
        assert isinstance(self._backend, Checkable)
        number = self._policy.begin_check()
        checking = asyncio.ensure_future(self._backend.answers())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((checking, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not checking.done():
                return
            is_up = checking.result()
            self._unsynced.write(*self._policy.checked(number, is_up=is_up, now=self._now()))
        except (EndpointError, LimitReachedError) as error:
            self.fail(error)
        finally:
            checking.cancel()
            stopping.cancel()
        self._fail_if(self._policy.overdue(now=self._now()))

    async def _pause(self, seconds: float) -> None:
        """Wait for this time, or until the run is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _settle_rejected(self) -> None:
        try:
            self._unsynced.write(*self._policy.settle_rejected())
        except EndpointError as error:
            self.fail(error)

    def _fail_if(self, failure: Exception | None) -> None:
        if failure is not None:
            self.fail(failure)
