"""The loop: plan → complete → journal → decide → journal.

Completions arrive in any order; generation requests are committed in number order, a whole request at a time,
and classify and instance requests are folded in by task. So given the same completions, concurrency, latency,
retries and crashes cannot change the dataset.

A request holds its slot until its outcome is written, so what a kill makes us ask again never exceeds what
was in flight; and no outcome is used before it is synced, so not even a power cut can make the dataset depend
on a reply that is lost. One sync serves all that was written within a few milliseconds.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

from selfinstruct.backend import Backend, Checkable
from selfinstruct.budget.limits import Budget
from selfinstruct.budget.prices import price_of
from selfinstruct.config.schema import OPERATIONAL, plain
from selfinstruct.cost import ExpectedUse
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
    Outcome,
    RequestFailed,
    RunEnd,
    RunFinished,
    RunStarted,
    received,
)
from selfinstruct.pipeline.decide import next_decisions
from selfinstruct.pipeline.state import RunState, apply
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Completion, Request
from selfinstruct.records.finish_reasons import Ending
from selfinstruct.runner.bad_requests import BadRequests
from selfinstruct.runner.directory import Run
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.manifest import program_versions
from selfinstruct.runner.outages import GivenUp, OnPause, OutagePolicy
from selfinstruct.runner.scheduler import Scheduler
from selfinstruct.text import duration, scrub

# A power cut may cost the replies of so long a time, no more; a disk is asked to sync so often, no more.
_SYNC_WITHIN_S = 0.02

_OBJECTS_UNTIL_COLLECTED = 20_000

Watch = Callable[[RunState, int], None]
"""Called after each round with the state and the number of requests in flight."""


def is_complete(run: Run) -> bool:
    """Whether the target is reached and every accepted task has its final outcome."""
    state = run.state
    return state.accepted >= run.config.num_instructions and not state.open_tasks


async def grow(
    run: Run,
    *,
    backend: Backend,
    stop: asyncio.Event | None = None,
    watch: Watch | None = None,
    on_pause: OnPause | None = None,
    expected_use: ExpectedUse | None = None,
) -> RunSummary:
    """Grow the run until its target is reached; every reply is journaled before it is used.

    `stop` ends planning; what is in flight lands. It is set when the run fails, too. `on_pause` is told of
    the pauses in which the run waits for an endpoint that answers nobody (see `outages`). `expected_use`
    is the estimate, which the journal stores for a later comparison.

    Raises BackendError when the endpoint gives up, StalledError when nothing is accepted any more,
    LimitReachedError when what the settings allow is used up, JournalError when the disk gives up; what was
    received is safe in each case, and the next call continues from there.
    """
    if run.journal is None or run.budget is None:
        raise ValueError("the run was only read; open it with open_run")
    if not is_complete(run):
        growth = _Growth(
            run, run.journal, run.budget, backend, stop or asyncio.Event(), watch, on_pause
        )
        with _collecting_less_often():
            await growth.run(expected_use)
    return summarize(run.state)


@contextmanager
def _collecting_less_often() -> Iterator[None]:
    """Let Python look for garbage in cycles less often than after every few hundred objects.

    A request makes some thousands of them, nearly all of which go without that.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Growth:
    """One process's work on a run."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        budget: Budget,
        backend: Backend,
        stop: asyncio.Event,
        watch: Watch | None,
        on_pause: OnPause | None,
    ) -> None:
        self._run = run
        self._state = run.state
        self._journal = journal
        self._budget = budget
        self._backend = backend
        self._stop = stop
        self._watch = watch
        self._in_flight: set[str] = set()
        self._generating = 0
        """How many of those in flight are generation requests."""
        self._landed: asyncio.Queue[tuple[Request, Completion | Exception]] = asyncio.Queue()
        self._written: list[Outcome] = []
        """Outcomes in the journal that are not known to be on the disk yet, and so not used."""
        counts = run.state.counts
        answered = {stage: n - counts.failed[stage] for stage, n in counts.requests.items()}
        self._bad_requests = BadRequests(answered)
        self._outage_policy = OutagePolicy(
            slots=run.config.max_concurrency,
            give_up_after_s=run.config.give_up_after_s,
            answered=answered,
            can_check=isinstance(backend, Checkable),
            on_pause=on_pause,
        )
        self._is_undecided = True
        """Whether some decision may be due."""
        self._sync_due = 0.0
        self._now = asyncio.get_running_loop().time
        self._failure: Exception | None = None
        self._commits_before = run.state.commits
        """Commits of earlier processes: a run that stalled may try again for as long as it may stall."""
        self._scheduler = Scheduler(
            run,
            outage_policy=self._outage_policy,
            bad_requests=self._bad_requests,
            budget=budget,
            now=self._now,
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
        while self._is_undecided:
            self._decide_some()
        self._scheduler.open_all()
        time_is_up = self._end_in_time()
        try:
            async with asyncio.TaskGroup() as group:
                await self._rounds(group)
        except BaseExceptionGroup as failures:
            # One thing went wrong, and the group has ended the requests in flight for it.
            raise failures.exceptions[0] from None
        finally:
            if time_is_up is not None:
                time_is_up.cancel()
        if isinstance(self._failure, LimitReachedError) and is_complete(self._run):
            self._failure = None  # what was in flight was all that was missing
        reason: RunEnd = "complete"
        if isinstance(self._failure, LimitReachedError):
            reason = "limit"
        elif self._failure is not None:
            reason = "failed"
        elif not is_complete(self._run):
            reason = "interrupted"
        self._record(RunFinished(reason=reason, detail=_told(self._failure)))
        if self._failure is not None:
            raise self._failure

    async def _rounds(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._start_requests(group)
            if self._watch is not None:
                self._watch(self._state, len(self._in_flight))
            if self._written and self._is_time_to_sync():
                self._use_what_was_written()
                self._is_undecided = True
            elif self._is_undecided:
                # A slow list that lands at last sets hundreds of others free to be committed. Decided in one
                # go, they would keep everybody waiting who is in flight.
                self._decide_some()
                await asyncio.sleep(0)
                self._take_landed()
            elif self._in_flight:
                await self._land()
            elif self._stop.is_set():
                return
            elif self._outage_policy.wants_check:
                await self._check()
            elif (wait_s := self._wait_s()) is not None:
                await self._pause(wait_s)
            elif self._bad_requests:
                self._believe_refusals()
            elif self._scheduler.held:
                self._fail(self._budget.limit_reached())
            else:
                return

    def _wait_s(self) -> float | None:
        """Seconds until something may be sent again that failed; None where nothing waits for its time."""
        return self._outage_policy.wait_s(now=self._now(), without=self._scheduler.held)

    def _end_in_time(self) -> asyncio.TimerHandle | None:
        """Stop when the run has taken as long as it may, in all its processes together."""
        limit_s = self._run.config.max_time_s
        if limit_s is None:
            return None

        def time_is_up() -> None:
            problem = (
                f"--max-time is reached: {duration(limit_s)}; a higher --max-time continues the run"
            )
            self._fail(LimitReachedError("max_time_s", problem))

        left_s = limit_s - self._run.worked_s
        if left_s <= 0:
            time_is_up()  # before anything is sent
            return None
        return asyncio.get_running_loop().call_later(left_s, time_is_up)

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_requests(self, group: asyncio.TaskGroup) -> None:
        started: list[Request] = []
        while len(self._in_flight) < self._run.config.max_concurrency and not self._stop.is_set():
            request = self._scheduler.next(generating=self._generating)
            if request is None:
                break
            self._in_flight.add(request.id)
            self._generating += request.stage == "generate"
            self._bad_requests.sent(request)
            self._budget.begin(request)
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
                    f"the backend broke its reply off (finish reason {result.finish_reason!r:.100})"
                )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            result = TransientError(
                "the backend broke the request off"
            )  # whoever it cancelled, not us
        except Exception as error:  # noqa: BLE001 - raised again once the replies in flight have landed
            result = error
        self._landed.put_nowait((request, result))

    async def _land(self) -> None:
        """Wait for a result, but no longer than the next sync may; journal it and all that came with it."""
        now = self._now()
        waits: list[float | None] = []
        if not self._stop.is_set() and len(self._in_flight) < self._run.config.max_concurrency:
            waits.append(self._wait_s())
        if self._written:
            waits.append(max(0.0, self._sync_due - now))
        try:
            async with asyncio.timeout(min((w for w in waits if w is not None), default=None)):
                self._take_landed(await self._landed.get())
        except TimeoutError:
            return

    def _take_landed(self, *first: tuple[Request, Completion | Exception]) -> None:
        """Journal what landed, and all that has landed since."""
        landed = [*first]
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        for request, result in landed:
            self._take(request, result)
        for request, _ in landed:
            self._in_flight.remove(request.id)
            self._generating -= request.stage == "generate"

    def _take(self, request: Request, result: Completion | Exception) -> None:
        """Journal a result, or remember what is the matter with the request."""
        if isinstance(result, BackendError) and not result.may_bill:
            self._budget.release(request)
        if isinstance(result, Completion):
            self._write(received(request, result))
            self._give_up(self._outage_policy.answered(request, now=self._now()))
            for other, refusal in self._bad_requests.answered(request):
                self._write(_failed(other, refusal))
        elif (
            isinstance(result, BackendError)
            and request.stage == "generate"
            and self._scheduler.has_enough
        ):
            self._outage_policy.gone(request)  # it is not needed any more
            self._bad_requests.gone(request)
        elif isinstance(result, LimitReachedError) and result.limit in self._budget.limited_by:
            self._bad_requests.gone(request)
            self._scheduler.put_back(request)
        elif isinstance(result, RequestRejectedError):
            self._outage_policy.gone(request)
            self._refuse(request, result)
        elif isinstance(result, TransientError):
            self._bad_requests.gone(request)
            # After stopping it is a backend that was told to give up.
            if not self._stop.is_set():
                self._outage_policy.failed(request, result, now=self._now())
                self._lose_patience()
        else:
            self._fail(result)

    def _refuse(self, request: Request, error: RequestRejectedError) -> None:
        try:
            self._bad_requests.refused(request, error)
        except EndpointError as wrong_set_up:
            self._fail(wrong_set_up)

    def _give_up(self, requests: GivenUp) -> None:
        for request, error in requests:
            self._write(_failed(request, error))

    def _lose_patience(self) -> None:
        ended = self._outage_policy.overdue(now=self._now())
        if ended is not None:
            self._fail(ended)

    async def _check(self) -> None:
        """Nothing else can be asked: see whether the endpoint is up, and what that says of what failed."""
        assert isinstance(self._backend, Checkable)
        number = self._outage_policy.check_begins()
        checking = asyncio.ensure_future(self._backend.answers())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((checking, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not checking.done():
                return
            self._give_up(
                self._outage_policy.checked(number, is_up=checking.result(), now=self._now())
            )
        except (EndpointError, LimitReachedError) as error:
            self._fail(error)
        finally:
            checking.cancel()
            stopping.cancel()
        self._lose_patience()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the run is being stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _is_time_to_sync(self) -> bool:
        # While every slot is busy nothing is lost by waiting for more to share a sync.
        return len(self._in_flight) < self._run.config.max_concurrency or (
            self._now() >= self._sync_due
        )

    def _use_what_was_written(self) -> None:
        """Make the outcomes written so far durable, then fold them in."""
        self._journal.sync()
        for outcome in self._written:
            apply(self._state, outcome)
        self._written.clear()

    def _believe_refusals(self) -> None:
        """Nothing else can be done: a few may be refused for what they say, if others never were."""
        try:
            for request, error in self._bad_requests.believed():
                self._write(_failed(request, error))
        except EndpointError as error:
            self._fail(error)

    def _write(self, outcome: Outcome) -> None:
        self._journal.append(outcome, durable=False)
        if not self._written:
            self._sync_due = self._now() + _SYNC_WITHIN_S
        self._written.append(outcome)

    def _fail(self, failure: Exception) -> None:
        """Plan nothing more; a backend that was given the same `stop` makes no further attempts."""
        self._failure = self._failure or failure
        self._stop.set()

    # ── decide ───────────────────────────────────────────────────────────────────────────────────────────

    def _decide_some(self) -> None:
        """Make the decisions that can be made now and do not depend on each other."""
        decisions = list(next_decisions(self._state, self._run.config))
        self._is_undecided = bool(decisions)
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
        self._notice_a_stall()

    def _notice_a_stall(self) -> None:
        limit = self._run.config.stall_after
        sizes = self._state.pool_sizes
        if (
            not self._scheduler.has_enough
            and self._state.commits - self._commits_before >= limit
            and sizes[-1 - limit] == sizes[-1]
        ):
            self._fail(StalledError(limit))

    def _record(self, *events: Event, durable: bool = True) -> None:
        """Journal events, then fold them in."""
        self._journal.append(*events, durable=durable)
        for event in events:
            apply(self._state, event)


def _failed(request: Request, error: RequestRejectedError | TransientError) -> RequestFailed:
    return RequestFailed(
        request_id=request.id,
        stage=request.stage,
        prompt_sha256=request.prompt.sha256,
        problem=scrub(error.problem),
        status=error.status if isinstance(error, RequestRejectedError) else None,
        attempts=error.attempts,
    )


def _told(failure: Exception | None) -> str:
    """What the journal says of a failure: our own words, or the mere kind of somebody else's error."""
    if failure is None:
        return ""
    return scrub(str(failure)) if isinstance(failure, SelfInstructError) else type(failure).__name__
