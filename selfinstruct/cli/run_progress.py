"""Progress of a run: a bar on a terminal, elsewhere a plain line every 30 s.

Counts requests instead of accepted instructions, because two thirds of the requests follow the acceptance.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfinstruct.cli.cost_lines import doubling, next_thousand
from selfinstruct.cli.terminal import say
from selfinstruct.cost import dollars
from selfinstruct.pipeline.marginal_cost import RECENT, marginal_cost
from selfinstruct.pipeline.plan import expected_yield
from selfinstruct.pipeline.recipes import Recipe
from selfinstruct.pipeline.state import RunState
from selfinstruct.runner.loop import Watch

_PLAIN_EVERY_S = 30.0
_SHOWN_EVERY_S = 0.25
_BAR_WIDTH = 16


class Pace:
    """The finished share of a run, and the speed of this process."""

    def __init__(
        self, target: int, recipe: Recipe, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._recipe = recipe
        self._now = now
        self._began = 0.0
        self._done_before: int | None = None

    def share_done(self, state: RunState) -> float:
        """Return finished requests ÷ all requests that the run will probably need, in [0, 1]."""
        done = _requests(state)
        return done / (done + self._left(state)) if done else 0.0

    def parts(self, state: RunState, in_flight: int) -> list[str]:
        """Return the parts of the progress line, most important first."""
        now = marginal_cost(state)
        return [
            f"{state.accepted:,}/{self._target:,} accepted",
            self._time_left(state),
            *([dollars(now.cost_usd)] if now.cost_usd else []),
            f"{now.acceptance:.0%} of candidates" if state.commits else "– of candidates",
            f"{state.counts.finished_tasks:,} finished",
            f"{in_flight} in flight",
            f"{state.ledger.spent.tokens / 1e6:.2f} M tokens",
        ]

    def prospects(self, state: RunState) -> list[str]:
        """Return the parts about the cost of an instruction, now and later."""
        now, parts = marginal_cost(state), []
        if now.cost_usd and now.usd_per_accepted:
            parts.append(f"{dollars(now.usd_per_accepted)} an instruction")
        if state.grown > RECENT:
            lately = [f"{now.recent_acceptance:.0%}"]
            if now.cost_usd and now.recent_usd_per_accepted:
                lately.insert(0, dollars(now.recent_usd_per_accepted))
            parts.append(f"the last {RECENT}: {', '.join(lately)}")
        if ahead := next_thousand(now):
            parts.append(f"the next 1,000: {ahead}")
        if now.doubles_at is not None and (shown := doubling(now.doubles_at)):
            parts.append(f"twice that {shown}")
        return parts

    def _left(self, state: RunState) -> float:
        """Return the requests still to send: generation requests, and two requests for each instruction."""
        missing = max(0, self._target - state.accepted)
        lists = missing / expected_yield(state, self._recipe)
        requests = state.counts.requests
        # Open tasks with a known kind.
        classified = requests["classify"] + state.counts.imported_kinds - requests["instances"]
        return max(0.0, 2 * missing + lists + 2 * state.open_tasks - max(0, classified))

    def _time_left(self, state: RunState) -> str:
        done = _requests(state)
        if self._done_before is None:
            self._done_before, self._began = done, self._now()
        gained = done - self._done_before
        if not gained:
            return "time left unknown"
        seconds = round((self._now() - self._began) / gained * self._left(state))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


def _requests(state: RunState) -> int:
    return state.counts.requests.total()


def fitting(parts: list[str], width: int) -> str:
    """Return the first parts, at least one, that fit into a line of `width` characters."""
    while len(parts) > 1 and len(", ".join(parts)) > width:
        parts = parts[:-1]
    return ", ".join(parts)


@contextmanager
def progress(
    target: int, recipe: Recipe, *, now: Callable[[], float] = time.monotonic
) -> Iterator[Watch]:
    """Show progress inside the `with` block; the caller calls the yielded function after every round."""
    pace = Pace(target, recipe, now=now)
    if sys.stderr is None or not sys.stderr.isatty():
        with _plain(pace) as watch_plainly:
            yield watch_plainly
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=_BAR_WIDTH),
        TaskProgressColumn(),
        TextColumn("{task.fields[line]}", markup=False),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task("", total=1.0, line="")
        shown_at = -_SHOWN_EVERY_S

        def watch(state: RunState, in_flight: int) -> None:
            nonlocal shown_at
            if now() - shown_at >= _SHOWN_EVERY_S or not in_flight:
                shown_at = now()
                width = console.width - _BAR_WIDTH - 7
                line = fitting(pace.parts(state, in_flight), width)
                if prospects := pace.prospects(state):
                    line += f"\n{fitting(prospects, width)}"
                bar.update(task, completed=pace.share_done(state), line=line)

        yield watch


@contextmanager
def _plain(pace: Pace) -> Iterator[Watch]:
    latest: tuple[RunState, int] | None = None
    ended = threading.Event()

    def watch(state: RunState, in_flight: int) -> None:
        nonlocal latest
        if latest is None:
            pace.parts(state, in_flight)  # starts the clock now, not at the first line
        latest = state, in_flight

    def talk() -> None:
        # By the clock, not by rounds: the log must show progress lines while the endpoint hangs.
        while not ended.wait(_PLAIN_EVERY_S):
            if latest is not None:
                state, in_flight = latest
                say(", ".join(pace.parts(state, in_flight) + pace.prospects(state)))

    thread = threading.Thread(target=talk, name="progress", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
