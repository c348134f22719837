"""Types of the callbacks that are called during long work on files, and callbacks that do nothing."""

from collections.abc import Callable

Progress = Callable[[float | None, str], None]
"""Called often, with the completed share of the work from 0 to 1 (None if unknown) and a progress text."""

Hold = Callable[[], None]
"""Called once, after all files are complete and before they are renamed. May raise KeyboardInterrupt."""


def no_progress(share: float | None, text: str) -> None:
    """Do nothing. This is the default for `Progress`."""


def no_hold() -> None:
    """Do nothing. This is the default for `Hold`."""
