"""The loop: plan → complete → journal → decide → journal.

Completions arrive in any order; generation requests are committed in number order, a whole request at a time,
and classify and instance requests are folded in by task. So given the same completions, concurrency, latency,
retries and crashes cannot change the dataset.

A request holds its slot until its outcome is written, so what a kill makes us ask again never exceeds what
was in flight; and no outcome is used before it is synced, so not even a power cut can make the dataset depend
on a reply that is lost. One sync serves all that was written within a few milliseconds.
"""

import asyncio
import platform
from collections import deque
from collections.abc import Callable
from importlib.metadata import version

from selfinstruct import __version__
from selfinstruct.backend import Backend, scrub
from selfinstruct.config import OPERATIONAL, plain
from selfinstruct.decide import next_decisions
from selfinstruct.errors import (
    EndpointError,
    RequestRejectedError,
    SelfInstructError,
    StalledError,
    TransientError,
)
from selfinstruct.events import (
    Classified,
    Committed,
    CompletionReceived,
    Event,
    Outcome,
    RequestFailed,
    RunEnd,
    RunFinished,
    RunStarted,
)
from selfinstruct.journal import Journal
from selfinstruct.plan import generation_request, is_plannable, is_worth_asking, task_request
from selfinstruct.records import Completion, Request, Stage
from selfinstruct.run_directory import Run
from selfinstruct.state import RunState, apply, generation_id
from selfinstruct.summary import RunSummary, summarize

# Downstream work must not starve generation, nor the other way round: generation goes first while it holds
# less than this share of the slots, then the accepted tasks do.
_GENERATION_SHARE = 0.25

# A power cut may cost the replies of so long a time, no more; a disk is asked to sync so often, no more.
_SYNC_WITHIN_S = 0.02

# One prompt may be refused for what it says; so many in a row, and nothing between them, cannot be.
_REFUSALS_IN_A_ROW = 10
# Where nothing else could be asked meanwhile, as in a small window, so many must do.
_REFUSALS_TOO_MANY_AT_REST = 3

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
) -> RunSummary:
    """Grow the run until its target is reached; every reply is journaled before it is used.

    `stop` ends planning; what is in flight lands. It is set when the run fails, too. Raises BackendError
    when the endpoint gives up, StalledError when nothing is accepted any more, JournalError when the disk
    gives up; what was received is safe in each case, and the next call continues from there.
    """
    if run.journal is None:
        raise ValueError("the run was only read; open it with open_run")
    if not is_complete(run):
        await _Growth(run, run.journal, backend, stop or asyncio.Event(), watch).run()
    return summarize(run.state)


class _Growth:
    """One process's work on a run."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        backend: Backend,
        stop: asyncio.Event,
        watch: Watch | None,
    ) -> None:
        self._run = run
        self._state = run.state
        self._journal = journal
        self._backend = backend
        self._stop = stop
        self._watch = watch
        self._in_flight: set[str] = set()
        self._generating = 0
        """How many of those in flight are generation requests."""
        self._landed: asyncio.Queue[tuple[Request, Completion | Exception]] = asyncio.Queue()
        self._written: list[Outcome] = []
        """Outcomes in the journal that are not known to be on the disk yet, and so not used."""
        self._refused: dict[Stage, list[tuple[Request, RequestRejectedError]]] = {}
        """Refused since the last success of their stage, and not journaled."""
        self._sync_due = 0.0
        self._now = asyncio.get_running_loop().time
        self._failure: Exception | None = None
        self._next_number = 1
        self._commits_before = run.state.commits
        """Commits of earlier processes: a run that stalled may try again for as long as it may stall."""
        self._open_tasks: deque[str] = deque()

    async def run(self) -> None:
        self._record(
            RunStarted(
                versions={
                    "selfinstruct": __version__,
                    "python": platform.python_version(),
                    "openai": version("openai"),
                },
                settings={n: v for n, v in plain(self._run.config).items() if n in OPERATIONAL},
            )
        )
        self._decide()
        # Whatever an earlier process left unasked about its tasks, or asked and did not live to hear.
        self._open_tasks = deque(t.id for t in self._state.pool.generated if not t.is_final)
        try:
            async with asyncio.TaskGroup() as group:
                await self._rounds(group)
        except BaseExceptionGroup as failures:
            # One thing went wrong, and the group has ended the requests in flight for it.
            raise failures.exceptions[0] from None
        reason: RunEnd = "complete"
        if self._failure is not None:
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
                self._decide()
            elif self._in_flight:
                await self._land()
            elif self._refused and not self._stop.is_set():
                self._believe_refusals()
            else:
                return

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────

    def _start_requests(self, group: asyncio.TaskGroup) -> None:
        while len(self._in_flight) < self._run.config.max_concurrency:
            if self._stop.is_set():
                return
            request = self._next_request()
            if request is None:
                return
            self._in_flight.add(request.id)
            self._generating += request.stage == "generate"
            group.create_task(self._complete(request))

    def _next_request(self) -> Request | None:
        if self._generating < _GENERATION_SHARE * self._run.config.max_concurrency:
            request = self._next_generation_request()
            if request is not None:
                return request
        return self._next_task_request() or self._next_generation_request()

    def _next_generation_request(self) -> Request | None:
        run, state = self._run, self._state
        if state.accepted >= run.config.num_instructions:
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

    def _next_task_request(self) -> Request | None:
        if not self._open_tasks:
            return None
        task = self._state.pool.by_id(self._open_tasks.popleft())
        return task_request(self._state, self._run.config, self._run.templates, task)

    # ── complete ─────────────────────────────────────────────────────────────────────────────────────────

    async def _complete(self, request: Request) -> None:
        try:
            result: Completion | Exception = await self._backend.complete(request)
            if not isinstance(result, Completion):
                result = TypeError(f"a backend must return a Completion, not {result!r:.100}")
        except Exception as error:  # noqa: BLE001 - raised again once the replies in flight have landed
            result = error
        self._landed.put_nowait((request, result))

    async def _land(self) -> None:
        """Wait for a result, but no longer than the next sync may; journal it and all that came with it."""
        wait_s = max(0.0, self._sync_due - self._now()) if self._written else None
        try:
            async with asyncio.timeout(wait_s):
                landed = [await self._landed.get()]
        except TimeoutError:
            return
        while not self._landed.empty():
            landed.append(self._landed.get_nowait())
        for request, result in landed:
            if isinstance(result, Completion):
                self._write(_received(request, result))
                self._write_refusals(request.stage)
            elif isinstance(result, RequestRejectedError):
                self._refuse(request, result)
            elif not (self._stop.is_set() and isinstance(result, TransientError)):
                # After stopping, a transient error is a backend that was told to give up.
                self._fail(result)
        for request, _ in landed:
            self._in_flight.remove(request.id)
            self._generating -= request.stage == "generate"

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

    # ── refusals: of one request, or of everything? ──────────────────────────────────────────────────────

    def _refuse(self, request: Request, error: RequestRejectedError) -> None:
        """Hold a refusal back until it is clear what it means: once journaled it is never asked again."""
        refused = self._refused.setdefault(request.stage, [])
        refused.append((request, error))
        if len(refused) >= _REFUSALS_IN_A_ROW:
            self._fail(_wrong_set_up(request.stage, refused))

    def _write_refusals(self, stage: Stage) -> None:
        """Something of this stage succeeded: what was refused before was refused for its own sake."""
        for request, error in self._refused.pop(stage, ()):
            self._write(_failed(request, error))

    def _believe_refusals(self) -> None:
        """Nothing else is left to do: one or two may be refused for what they say, if others never were."""
        for stage, refused in list(self._refused.items()):
            counts = self._state.counts
            ever_succeeded = counts.requests[stage] > counts.failed[stage]
            if ever_succeeded and len(refused) < _REFUSALS_TOO_MANY_AT_REST:
                self._write_refusals(stage)
            else:
                self._fail(_wrong_set_up(stage, refused))

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

    def _decide(self) -> None:
        """Make all decisions that can be made now."""
        while decisions := list(next_decisions(self._state, self._run.config)):
            self._record(*decisions, durable=False)
            for decision in decisions:
                if isinstance(decision, Committed):
                    self._open_tasks.extend(
                        a.task_id for a in decision.accepted if a.instance is None
                    )
                elif isinstance(decision, Classified):
                    self._open_tasks.append(decision.task_id)
        self._notice_a_stall()

    def _notice_a_stall(self) -> None:
        limit = self._run.config.stall_after
        sizes = self._state.pool_sizes
        if (
            self._state.accepted < self._run.config.num_instructions
            and self._state.commits - self._commits_before >= limit
            and sizes[-1 - limit] == sizes[-1]
        ):
            self._fail(StalledError(limit))

    def _record(self, *events: Event, durable: bool = True) -> None:
        """Journal events, then fold them in."""
        self._journal.append(*events, durable=durable)
        for event in events:
            apply(self._state, event)


def _received(request: Request, completion: Completion) -> CompletionReceived:
    return CompletionReceived(
        request_id=request.id,
        stage=request.stage,
        template=request.prompt.template,
        prompt_sha256=request.prompt.sha256,
        demonstration_ids=request.prompt.demonstration_ids,
        completion=completion,
    )


def _failed(request: Request, error: RequestRejectedError) -> RequestFailed:
    return RequestFailed(
        request_id=request.id,
        stage=request.stage,
        prompt_sha256=request.prompt.sha256,
        problem=scrub(error.problem),
        status=error.status,
        attempts=error.attempts,
    )


def _wrong_set_up(
    stage: Stage, refused: list[tuple[Request, RequestRejectedError]]
) -> EndpointError:
    count = "the only request" if len(refused) == 1 else f"{len(refused)} requests in a row"
    _, error = refused[-1]
    return EndpointError(
        f"of the stage {stage}, {count} were refused and none was answered, "
        f"so the set-up must be wrong: {error.problem}",
        attempts=error.attempts,
    )


def _told(failure: Exception | None) -> str:
    """What the journal says of a failure: our own words, or the mere kind of somebody else's error."""
    if failure is None:
        return ""
    return scrub(str(failure)) if isinstance(failure, SelfInstructError) else type(failure).__name__
