"""An event loop with a virtual clock: when all tasks wait, the clock jumps to the next timer.

    run_at_once(asyncio.sleep(7200))      # returns at once; loop.time() has advanced by two hours

Both ends of a connection may be in the loop: sent data arrives before the clock jumps. Work for a thread runs
in the loop. The clock does not wait for other processes.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

UNDER_WAY_S = 0.05
"""Real seconds for the kernel to deliver sent data, before the clock jumps."""

T = TypeVar("T")


def run_at_once(main: Coroutine[Any, Any, T], *, under_way_s: float = UNDER_WAY_S) -> T:
    """Run `main` on a virtual clock, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualClock(under_way_s)) as runner:
        return runner.run(main)


class _Jumping(selectors.SelectSelector):
    """A selector that advances the clock instead of waiting."""

    def __init__(self, under_way_s: float) -> None:
        super().__init__()
        self.passed_s = 0.0
        self._under_way_s = under_way_s

    def select(self, timeout: float | None = None) -> list[Any]:
        # One file is the wake-up pipe of the loop; any other is a connection.
        real_s = self._under_way_s if len(self.get_map()) > 1 else 0.0
        ready = super().select(timeout if timeout is None else min(timeout, real_s))
        # Advance a little, so that a timer that is due after a rounding error fires.
        self.passed_s += 1e-9
        if not ready and timeout is not None and timeout > 0:
            self.passed_s += timeout
        return ready


class VirtualClock(asyncio.SelectorEventLoop):
    """The event loop of `run_at_once`."""

    def __init__(self, under_way_s: float = UNDER_WAY_S) -> None:
        self._jumping = _Jumping(under_way_s)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed_s

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            done.set_exception(error)
        return done
