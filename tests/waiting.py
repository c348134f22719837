"""Waiting in tests: for a condition, never for a time.

    until(log.exists)                              # returns as soon as the condition holds
    process.communicate(timeout=PATIENCE_S)

A busy machine makes a test slower. It must not make the test fail.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 300.0
"""The upper bound of every wait. It ends a test that would hang; no result depends on it."""
_BETWEEN_LOOKS_S: Final = 0.01


def until(condition: Callable[[], T]) -> T:
    """Return the first true value of `condition`; fail where none comes within `PATIENCE_S`."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < gives_up_at, "the condition never came true"
        time.sleep(_BETWEEN_LOOKS_S)
    return value
