"""What is logged of a run: events with their members. No prompt, no reply and no key, at any level.

What an endpoint says about a request that it refuses is logged in its words, without keys.
"""

import asyncio
import logging
from typing import Any

from selfinstruct.cli.log_file import LOGGER
from selfinstruct.cli.on_finish import Ending
from selfinstruct.events import CompletionReceived, Event, RequestFailed, RunStarted
from selfinstruct.pipeline.state import RunState
from selfinstruct.runner.directory import Run

PROGRESS_EVERY_S = 30.0

_LIMITS = (
    "max_cost",
    "max_tokens_total",
    "max_requests",
    "max_time_s",
    "max_requests_per_minute",
    "max_tokens_per_minute",
)


def log(event: str, *, level: int = logging.INFO, **members: object) -> None:
    """Log an event. A handler finds the members as `record.members`."""
    LOGGER.log(level, event, extra={"members": members})


def costs_logged(state: RunState) -> dict[str, Any]:
    """What a run has cost so far, as a member of its progress; none where that is not known."""
    if state.price is None:
        return {}
    return {"cost_usd": round(float(state.price.cost(state.ledger.spent)), 6)}


class RunLog:
    """What happens in one process's work on a run."""

    def __init__(self, run: Run, *, address: str) -> None:
        """Begin before the first event; `address` is that of the endpoint, which holds no secret."""
        self._run = run
        self._address = address
        self._is_new = not run.state.counts.requests
        self._in_flight = 0

    def heard(self, event: Event) -> None:
        """Log what has been journaled."""
        match event:
            case RunStarted():
                self._started(event)
            case RequestFailed():
                log(
                    "request_failed",
                    level=logging.WARNING,
                    id=event.request_id,
                    stage=event.stage,
                    problem=event.problem,
                    status=event.status,
                    attempts=event.attempts,
                )
            case CompletionReceived():
                self._completed(event)

    def _started(self, event: RunStarted) -> None:
        config, state = self._run.config, self._run.state
        log(
            "run_started" if self._is_new else "run_continued",
            directory=str(self._run.directory.absolute()),
            model=config.model,
            address=self._address,
            target=config.num_instructions,
            accepted=state.accepted,
            requests=state.counts.requests.total(),
            versions=dict(event.versions),
            limits={n: getattr(config, n) for n in _LIMITS if getattr(config, n) is not None},
        )

    def _completed(self, event: CompletionReceived) -> None:
        if not LOGGER.isEnabledFor(logging.DEBUG):
            return
        completion = event.completion
        log(
            "request_completed",
            level=logging.DEBUG,
            id=event.request_id,
            stage=event.stage,
            latency_s=completion.latency_s,
            attempts=completion.attempts,
            prompt_tokens=completion.usage.prompt_tokens if completion.usage else None,
            completion_tokens=completion.usage.completion_tokens if completion.usage else None,
            finish_reason=completion.finish_reason,
        )

    def watch(self, _: RunState, in_flight: int) -> None:
        """Remember what is in flight; see `selfinstruct.runner.loop.Watch`."""
        self._in_flight = in_flight

    async def tell_progress(self) -> None:
        """Log how far the run is, by the clock: a log must show that it lives when the endpoint hangs."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            self._progress()

    def _progress(self) -> None:
        state = self._run.state
        log(
            "progress",
            accepted=state.accepted,
            target=self._run.config.num_instructions,
            candidates=state.grown + state.counts.rejected.total(),
            finished=state.counts.finished_tasks,
            in_flight=self._in_flight,
            requests=state.counts.requests.total(),
            failed=state.counts.failed.total(),
            prompt_tokens=state.counts.prompt_tokens,
            completion_tokens=state.counts.completion_tokens,
            **costs_logged(state),
        )


def log_ending(ending: Ending) -> None:
    """Log how the run ended, and first of all which limit ended it."""
    if ending.limit:
        log("limit_reached", level=logging.WARNING, limit=ending.limit, problem=ending.detail)
    level = {"failed": logging.ERROR, "limit": logging.WARNING}.get(ending.reason, logging.INFO)
    log("finished", level=level, **ending.as_json())
