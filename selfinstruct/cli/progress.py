"""How a run shows that it lives: a bar on a terminal, a plain line every half minute elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfinstruct.cli.funnel import say
from selfinstruct.generate import Watch
from selfinstruct.state import RunState

_PLAIN_EVERY_S = 30.0
_SHOWN_EVERY_S = 0.25


class Pace:
    """How fast instructions are accepted in this process, and so when the target will be reached."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._accepted_before: int | None = None

    def line(self, state: RunState, in_flight: int, target: int) -> str:
        """Acceptance rate, requests in flight, tokens, time left."""
        candidates = state.accepted + state.counts.rejected.total()
        rate = f"{state.accepted / candidates:.0%}" if candidates else "–"
        tokens = state.counts.prompt_tokens + state.counts.completion_tokens
        return (
            f"{rate} of candidates accepted, {in_flight} in flight, "
            f"{tokens / 1e6:.2f} M tokens, {self._time_left(state, target)}"
        )

    def _time_left(self, state: RunState, target: int) -> str:
        if self._accepted_before is None:
            self._accepted_before = state.accepted
        gained = state.accepted - self._accepted_before
        missing = target - state.accepted
        if missing <= 0:
            return "finishing instances"
        if not gained:
            return "time left unknown"
        seconds = round((self._now() - self._began) / gained * missing)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


@contextmanager
def progress(target: int, *, now: Callable[[], float] = time.monotonic) -> Iterator[Watch]:
    """Show progress while the block runs; call what it yields after every round."""
    pace = Pace(now=now)
    if not sys.stderr.isatty():
        with _plain(pace, target) as watch_plainly:
            yield watch_plainly
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task("accepted", total=target, line="")
        shown_at = -_SHOWN_EVERY_S

        def watch(state: RunState, in_flight: int) -> None:
            nonlocal shown_at
            if now() - shown_at >= _SHOWN_EVERY_S or not in_flight:
                shown_at = now()
                line = pace.line(state, in_flight, target)
                bar.update(task, completed=state.accepted, line=line)

        yield watch


@contextmanager
def _plain(pace: Pace, target: int) -> Iterator[Watch]:
    latest: tuple[RunState, int] | None = None
    ended = threading.Event()

    def watch(state: RunState, in_flight: int) -> None:
        nonlocal latest
        latest = state, in_flight

    def talk() -> None:
        # By the clock and not by rounds: a log must show that the run lives when the endpoint hangs.
        while not ended.wait(_PLAIN_EVERY_S):
            if latest is not None:
                state, in_flight = latest
                say(
                    f"accepted {state.accepted:,}/{target:,}: {pace.line(state, in_flight, target)}"
                )

    thread = threading.Thread(target=talk, name="progress", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
