"""Show the progress of a run: share done, time left and cost.

The share done is a share of the requests, not of the accepted instructions, because each accepted instruction
still needs about two more requests.
"""

import asyncio
import time
from collections.abc import Callable

from selfinstruct.cli.cost_lines import doubling, next_thousand
from selfinstruct.cli.progress_bar import bar
from selfinstruct.display import dollars
from selfinstruct.pipeline.marginal_cost import RECENT, marginal_cost
from selfinstruct.pipeline.plan import expected_yield
from selfinstruct.pipeline.recipes.types import Recipe
from selfinstruct.pipeline.state import RunState
from selfinstruct.runner.directory import Run

_UPDATED_EVERY_S = 0.25


class Pace:
    """Computes how far a run has progressed and how fast this process works."""

    def __init__(
        self, target: int, recipe: Recipe, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._recipe = recipe
        self._now = now
        self._started_at = 0.0
        self._done_before: int | None = None

    def share_done(self, state: RunState) -> float:
        """Return the share of the run's requests that is done, from 0 to 1. The total is an estimate."""
        done = state.counts.requests.total()
        return done / (done + self._left(state)) if done else 0.0

    def parts(self, state: RunState, in_flight: int) -> list[str]:
        """Return the parts of the progress line, with the most important first."""
        costs = marginal_cost(state)
        return [
            f"{state.accepted:,}/{self._target:,} accepted",
            self._time_left(state),
            *([dollars(costs.cost_usd)] if costs.cost_usd else []),
            f"{costs.acceptance:.0%} of candidates" if state.commits else "– of candidates",
            f"{state.counts.finished_tasks:,} finished",
            f"{in_flight} in flight",
            f"{state.ledger.spent.tokens / 1e6:.2f} M tokens",
        ]

    def prospects(self, state: RunState) -> list[str]:
        """Return the cost per instruction so far, and the expected cost of further instructions."""
        costs, parts = marginal_cost(state), []
        if costs.cost_usd and costs.usd_per_accepted:
            parts.append(f"{dollars(costs.usd_per_accepted)} an instruction")
        if state.grown > RECENT:
            recent = [f"{costs.recent_acceptance:.0%}"]
            if costs.cost_usd and costs.recent_usd_per_accepted:
                recent.insert(0, dollars(costs.recent_usd_per_accepted))
            parts.append(f"the last {RECENT}: {', '.join(recent)}")
        if ahead := next_thousand(costs):
            parts.append(f"the next 1,000: {ahead}")
        if costs.doubles_at is not None and (at := doubling(costs.doubles_at)):
            parts.append(f"twice that {at}")
        return parts

    def text(self, state: RunState, in_flight: int) -> str:
        """Return the progress line, followed by a line about costs if any are known."""
        lines = (self.parts(state, in_flight), self.prospects(state))
        return "\n".join(", ".join(parts) for parts in lines if parts)

    def _left(self, state: RunState) -> float:
        """Estimate the number of requests left: one per later stage of a task, plus generation requests."""
        missing = max(0, self._target - state.accepted)
        lists = missing / expected_yield(state, self._recipe)
        requests = state.counts.requests
        # An open task that is already classified needs only one more request instead of two.
        classified = requests["classify"] + state.counts.imported_kinds - requests["instances"]
        about_tasks = len(self._recipe.task_stages) * (missing + state.open_tasks)
        return max(0.0, lists + about_tasks - max(0, classified))

    def _time_left(self, state: RunState) -> str:
        done = state.counts.requests.total()
        if self._done_before is None:
            self._done_before, self._started_at = done, self._now()
        gained = done - self._done_before
        if not gained:
            return "time left unknown"
        seconds = round((self._now() - self._started_at) / gained * self._left(state))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


async def show_progress(run: Run, in_flight: Callable[[], int]) -> None:
    """Update the progress display every 0.25 seconds until cancelled, even if the endpoint does not reply."""
    pace = Pace(run.config.num_instructions, run.recipe)
    with bar() as show:
        while True:
            show(pace.share_done(run.state), pace.text(run.state, in_flight()))
            await asyncio.sleep(_UPDATED_EVERY_S)
