"""The generation loop: plan → complete → journal → decide → journal.

The pump sends the requests and journals the replies. The loop plans requests, makes decisions, and determines
when the run is complete. Replies may arrive in any order. The replies to generation requests are committed
one by one, in the order of the requests' numbers. For classification and instance requests, each decision
concerns only one task. So the same replies always produce the same dataset, regardless of concurrency,
latency, retries and crashes.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from selfinstruct.backend import Backend
from selfinstruct.budget.prices import price_of
from selfinstruct.config.schema import OPERATIONAL, plain
from selfinstruct.cost import ExpectedUse
from selfinstruct.display import scrub
from selfinstruct.errors import LimitReachedError, SelfInstructError, StalledError
from selfinstruct.journal_events import (
    Classified,
    Committed,
    Event,
    RunEnd,
    RunFinished,
    RunStarted,
)
from selfinstruct.pipeline.decide import next_decisions
from selfinstruct.pipeline.state import apply
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Request, Stage
from selfinstruct.runner.directory import Run
from selfinstruct.runner.failures import OnPause
from selfinstruct.runner.manifest import program_versions
from selfinstruct.runner.pump import Pump, Watch

_OBJECTS_UNTIL_COLLECTED = 20_000

OnEvent = Callable[[Event], None]
"""Called for each event after it is applied, except for reservations."""


def is_complete(run: Run) -> bool:
    """Return whether the run has reached its target and every accepted task is final."""
    state = run.state
    return state.accepted >= run.config.num_instructions and not state.open_tasks


async def grow(
    run: Run,
    *,
    backend: Backend,
    stop: asyncio.Event | None = None,
    watch: Watch = lambda _: None,
    on_pause: OnPause = lambda _: None,
    on_event: OnEvent = lambda _: None,
    expected_use: ExpectedUse | None = None,
) -> RunSummary:
    """Grow the run until it reaches its target. Each reply is journaled before it is used.

    Set `stop` to stop sending requests. The replies to requests in flight are still journaled. A failure also
    sets `stop`. `on_pause` is called for each pause while the endpoint is out (see `failures`). `on_event` is
    called for each event except reservations. `expected_use` is the estimated use. It is journaled, so the
    actual use can be compared with it later.

    Raises BackendError if the endpoint keeps failing, StalledError if no more candidates are accepted,
    LimitReachedError if a limit is reached, and JournalError if the journal cannot be written. No journaled
    reply is lost in any of these cases, and the next call continues the run.
    """
    growth = _Growth(
        run,
        backend=backend,
        stop=stop or asyncio.Event(),
        watch=watch,
        on_pause=on_pause,
        on_event=on_event,
    )
    if not is_complete(run):
        with _collecting_less_often():
            await growth.run(expected_use)
    return summarize(run.state)


@contextmanager
def _collecting_less_often() -> Iterator[None]:
    """Run the garbage collector less often within the block, for speed.

    A request creates thousands of objects, but few of them are in reference cycles.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Growth:
    """The work that one process does on a run; see `pump.Work`."""

    def __init__(
        self,
        run: Run,
        *,
        backend: Backend,
        stop: asyncio.Event,
        watch: Watch,
        on_pause: OnPause,
        on_event: OnEvent,
    ) -> None:
        if run.journal is None or run.scheduler is None or run.budget is None:
            raise ValueError("the run was opened for reading only; open it with open_run")
        self._run = run
        self._state = run.state
        self._journal = run.journal
        self._scheduler = run.scheduler
        self._on_event = on_event
        self._commits_before = run.state.commits
        """Number of commits by earlier processes. They do not count towards a stall."""
        counts = run.state.counts
        self._pump = Pump(
            self,
            backend=backend,
            journal=run.journal,
            budget=run.budget,
            stop=stop,
            slots=run.config.max_concurrency,
            give_up_after_s=run.config.give_up_after_s,
            answered={stage: n - counts.failed[stage] for stage, n in counts.requests.items()},
            on_pause=on_pause,
            watch=watch,
        )

    async def run(self, expected_use: ExpectedUse | None) -> None:
        config = self._run.config
        self._record(
            RunStarted(
                versions={**program_versions(), "openai": version("openai")},
                settings={n: v for n, v in plain(config).items() if n in OPERATIONAL},
                price=price_of(config),
                expected_use=expected_use,
            )
        )
        while self.decide():
            pass
        self._scheduler.open_all()
        failure = await self._pump.run(max_time_s=config.max_time_s, worked_s=self._run.worked_s)
        reason: RunEnd = "complete" if is_complete(self._run) else "interrupted"
        if isinstance(failure, LimitReachedError) and reason == "complete":
            failure = None  # the replies to the requests in flight completed the run
        if failure is not None:
            reason = "limit" if isinstance(failure, LimitReachedError) else "failed"
        self._record(RunFinished(reason=reason, detail=_detail(failure)))
        if failure is not None:
            raise failure

    # ── the work of the pump ─────────────────────────────────────────────────────────────────────────────

    def stages(self, in_flight: Mapping[Stage, int]) -> Sequence[Stage]:
        return self._scheduler.stages(in_flight)

    def next_request(self, stage: Stage) -> Request | None:
        return self._scheduler.next_request(stage)

    def apply(self, *events: Event) -> None:
        for event in events:
            apply(self._state, event)
            self._on_event(event)

    def decide(self) -> bool:
        """Make the decisions that are due and independent of each other. Return whether there were any."""
        # One slow reply may delay hundreds of later lists, so only a few decisions are made per call.
        decisions = list(next_decisions(self._state, self._run.config))
        if not decisions:
            return False
        self._record(*decisions, durable=False)
        for decision in decisions:
            if isinstance(decision, Committed):
                for accepted in decision.accepted:
                    if accepted.instance is None:
                        self._scheduler.open(accepted.task_id)
            elif isinstance(decision, Classified):
                self._scheduler.open(decision.task_id)
        self._stop_if_stalled()
        return True

    def _stop_if_stalled(self) -> None:
        limit = self._run.config.stall_after
        sizes = self._state.pool_sizes
        if (
            not self._scheduler.has_enough
            and self._state.commits - self._commits_before >= limit
            and sizes[-1 - limit] == sizes[-1]
        ):
            self._pump.fail(StalledError(limit))

    def _record(self, *events: Event, durable: bool = True) -> None:
        """Journal events, then apply them to the state."""
        self._journal.append(*events, durable=durable)
        self.apply(*events)


def _detail(failure: Exception | None) -> str:
    """Return a failure's text for the journal. For other libraries' errors, it is only the error's type."""
    if failure is None:
        return ""
    return scrub(str(failure)) if isinstance(failure, SelfInstructError) else type(failure).__name__
