"""A bar for work of which the share done is known: drawn on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfinstruct.cli.terminal import say

_DRAWN_EVERY_S = 0.25
_SAID_EVERY_S = 30.0

Show = Callable[[float | None, str], None]
"""Takes the share done, None where it is not known, and what there is to say."""


@contextmanager
def bar(*, quiet: bool = False, now: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """Show how far it is while the block runs; call what it yields as often as you like."""
    every, shown_at = _SAID_EVERY_S, now()

    def is_due() -> bool:
        nonlocal shown_at
        due = not quiet and now() - shown_at >= every
        shown_at = now() if due else shown_at
        return due

    if quiet or sys.stderr is None or not sys.stderr.isatty():

        def tell(share: float | None, line: str) -> None:
            if is_due():
                say(line if share is None else f"{share:.0%}, {line}")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    every, shown_at = _DRAWN_EVERY_S, shown_at - _SAID_EVERY_S
    columns = (
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TextColumn("{task.fields[line]}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=4, transient=True) as drawn:
        task = drawn.add_task("", total=1.0, line="")

        def draw(share: float | None, line: str) -> None:
            if is_due():
                drawn.update(task, total=None if share is None else 1.0, completed=share, line=line)

        yield draw
