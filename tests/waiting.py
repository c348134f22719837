"""Waiting in tests: for conditions, never for a fixed time.

    until(log.exists)                              # returns as soon as the condition holds
    process.communicate(timeout=PATIENCE_S)

A busy machine may slow a test down, but must not make it fail.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 300.0
"""Maximum of every wait. It only ends tests that hang; no result depends on it."""
_POLL_EVERY_S: Final = 0.01


def until(condition: Callable[[], T]) -> T:
    """Return the first true value of `condition`; fail after `PATIENCE_S`."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < gives_up_at, "the condition never came true"
        time.sleep(_POLL_EVERY_S)
    return value
