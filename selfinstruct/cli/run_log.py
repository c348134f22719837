"""Log the events of a run. At no log level does an event contain a prompt, a reply or a key.

An event may quote the endpoint's reason for rejecting a request, with any keys removed.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from selfinstruct.cli.log_file import LOGGER
from selfinstruct.cli.on_finish import Ending
from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import CompletionReceived, Event, RequestFailed, RunStarted
from selfinstruct.runner.directory import Run

PROGRESS_EVERY_S = 30.0

_LIMITS = [
    spec.name
    for spec in RunConfig.specs()
    if spec.metadata["panel"] == "Costs and limits" and spec.name.startswith("max_")
]


def log(event: str, *, level: int = logging.INFO, **members: object) -> None:
    """Log an event. Its fields are in the attribute `members` of the log record."""
    LOGGER.log(level, event, extra={"members": members})


class RunLog:
    """Logs one process's work on a run."""

    def __init__(self, run: Run, *, address: str) -> None:
        """Prepare to log. `address` is the endpoint's address."""
        self._run = run
        self._address = address
        self._is_new = not run.state.counts.requests

    def heard(self, event: Event) -> None:
        """Log an event that was appended to the journal, if it is of a logged kind."""
        match event:
            case RunStarted():
                self._log_start(event)
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
                self._log_completion(event)

    def _log_start(self, event: RunStarted) -> None:
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

    def _log_completion(self, event: CompletionReceived) -> None:
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

    async def log_progress(self, in_flight: Callable[[], int]) -> None:
        """Log progress every 30 seconds, even while the endpoint does not reply."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            state = self._run.state
            members: dict[str, Any] = {
                "accepted": state.accepted,
                "target": self._run.config.num_instructions,
                "candidates": state.grown + state.counts.rejected.total(),
                "finished": state.counts.finished_tasks,
                "in_flight": in_flight(),
                "requests": state.counts.requests.total(),
                "failed": state.counts.failed.total(),
                "prompt_tokens": state.counts.prompt_tokens,
                "completion_tokens": state.counts.completion_tokens,
            }
            if state.price is not None:
                members["cost_usd"] = round(float(state.price.cost(state.ledger.spent)), 6)
            log("progress", **members)


def log_ending(ending: Ending) -> None:
    """Log the limit that stopped the run, if any, and then how the run ended."""
    if ending.limit:
        log("limit_reached", level=logging.WARNING, limit=ending.limit, problem=ending.detail)
    level = {"failed": logging.ERROR, "limit": logging.WARNING}.get(ending.reason, logging.INFO)
    log("finished", level=level, **ending.as_json())
