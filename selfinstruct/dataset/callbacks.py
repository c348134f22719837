"""What a caller of long work on files can watch."""

from collections.abc import Callable

Progress = Callable[[float | None, str], None]
"""Called often, with the share of work done (None if unknown) and a short progress text."""

Hold = Callable[[], None]
"""Called once, after all files are complete and before they are renamed. May raise KeyboardInterrupt."""


def no_progress(share: float | None, text: str) -> None:
    """Show nothing."""


def no_hold() -> None:
    """Do nothing before the files are renamed."""
