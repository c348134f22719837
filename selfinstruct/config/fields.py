"""How a setting is declared: its default, its help text, where it belongs, and what it may be.

`RunConfig` consists of such declarations; `reading`, the flags and the fingerprint read them.

    >>> at_least(1)(0)
    'must be at least 1, not 0'
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Check = Callable[[Any], str | None]
"""Says what is wrong with a value, or None."""


def between(low: float, high: float) -> Check:
    """Check that a number lies between two others, these included."""
    return lambda v: None if low <= v <= high else f"must lie between {low:g} and {high:g}, not {v}"


def at_least(low: float) -> Check:
    """Check that a number is not smaller than another."""
    return lambda v: None if v >= low else f"must be at least {low:g}, not {v}"


def one_of(*choices: str) -> Check:
    """Check that a text is one of these."""
    listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return lambda v: None if v in choices else f"must be {listed}, not {v!r}"


@dataclass(frozen=True, slots=True)
class By:
    """A default that depends on another setting."""

    setting: str
    values: Mapping[str, Any]
    """By the other's value; the first is that of the other's own default."""
    at_most: str = ""
    """A setting whose value this default does not exceed."""

    def __str__(self) -> str:
        values = {name: "none" if value is None else value for name, value in self.values.items()}
        (_, usual), *others = values.items()
        return "; ".join([f"{usual}", *(f"{name}: {value}" for name, value in others)])


def setting(
    default: T | By,
    text: str,
    *,
    panel: str,
    short: str = "",
    shown_default: str = "",
    operational: bool = False,
    rare: bool = False,
    check: Check | None = None,
) -> T:
    """Declare one setting: its default, its help text and where it belongs."""
    metadata = {
        "help": text,
        "shown_default": shown_default,
        "panel": panel,
        "short": short,
        "operational": operational,
        "rare": rare,
        "check": check,
    }
    declared: Any = field(default=default, metadata=metadata)
    return declared  # type: ignore[no-any-return]
