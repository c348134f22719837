"""What a caller of long work on files can watch."""

from collections.abc import Callable

Progress = Callable[[float | None, str], None]
"""Called often with the share done, None if unknown, and a short text."""

Hold = Callable[[], None]
"""Called once, when all files are complete and only the renaming is left. May raise KeyboardInterrupt."""


def no_progress(share: float | None, text: str) -> None:
    """Show nothing."""


def no_hold() -> None:
    """Do nothing before the files get their names."""
