"""An event loop in which no time passes: where all would wait, the clock is put forward instead.

    with asyncio.Runner(loop_factory=VirtualClock) as runner:
        runner.run(asyncio.sleep(7200))       # at once, and loop.time() has moved by two hours

For code that does no I/O but through its own event loop's clock.
"""

import asyncio
import selectors
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: tells the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout is not None else None)
        # Some time does pass, or what is due a rounding error from now never would be.
        self.passed_s += 1e-9
        if not ready and timeout is not None and timeout > 0:
            self.passed_s += timeout
        return ready


class VirtualClock(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed_s
