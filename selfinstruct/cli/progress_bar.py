"""Show a progress bar on a terminal, or print a line every 30 seconds if stderr is not a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfinstruct.cli.output import is_terminal, say
from selfinstruct.display import one_line

_DRAWN_EVERY_S = 0.25
_PRINTED_EVERY_S = 30.0
_BAR_COLUMNS = 16
_SHARE_COLUMNS = 7
"""Width of the percentage and the spaces around it, in columns."""

Show = Callable[[float | None, str], None]
"""Function that shows the share done (0 to 1, None if unknown) and a text, which may have two lines."""


@contextmanager
def bar(*, quiet: bool = False, now: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """Show progress while the block runs. Yields a `Show` function, whose too frequent calls are skipped."""
    if quiet:
        yield lambda _share, _text: None
    elif is_terminal(sys.stderr):
        with _drawn() as show:
            yield _throttled(show, _DRAWN_EVERY_S, now(), now)
    else:
        yield _throttled(_print, _PRINTED_EVERY_S, now() + _PRINTED_EVERY_S, now)


def _throttled(show: Show, every_s: float, next_at: float, now: Callable[[], float]) -> Show:
    def show_if_due(share: float | None, text: str) -> None:
        nonlocal next_at
        if now() >= next_at:
            next_at = now() + every_s
            show(share, text)

    return show_if_due


def _print(share: float | None, text: str) -> None:
    line = text.replace("\n", ", ")
    say(line if share is None else f"{share:.0%}, {line}")


@contextmanager
def _drawn() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        BarColumn(_BAR_COLUMNS),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=4, transient=True) as drawn:
        task = drawn.add_task("", total=1.0, text="")

        def show(share: float | None, text: str) -> None:
            room = console.width - _BAR_COLUMNS - _SHARE_COLUMNS
            cut = "\n".join(one_line(line, room) for line in text.split("\n"))
            drawn.update(task, total=None if share is None else 1.0, completed=share, text=cut)

        yield show
