"""Declare a setting: its default, help text, panel of `--help`, and valid values.

`RunConfig` consists of these declarations; `reading`, the command line and the fingerprint use them.

    >>> at_least(1)(0)
    'must be at least 1, not 0'
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], str | None]
"""Returns the problem with a value, or None."""


def between(low: float, high: float) -> Check:
    """Check that a number is in a range; both ends are valid."""
    return lambda v: None if low <= v <= high else f"must be between {low:g} and {high:g}, not {v}"


def at_least(low: float) -> Check:
    """Check that a number is not below a minimum."""
    return lambda v: None if v >= low else f"must be at least {low:g}, not {v}"


def one_of(*choices: str) -> Check:
    """Check that a text is one of the choices."""
    listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return lambda v: None if v in choices else f"must be {listed}, not {v!r}"


@dataclass(frozen=True, slots=True)
class By:
    """A default that depends on another setting."""

    setting: str
    values: Mapping[str, Any]
    """Default for each value of the other setting; the first entry is for its own default."""
    at_most: str = ""
    """Name of a setting that is an upper bound for this default."""

    def __str__(self) -> str:
        values = {name: "none" if value is None else value for name, value in self.values.items()}
        (_, usual), *others = values.items()
        return "; ".join([f"{usual}", *(f"{name}: {value}" for name, value in others)])


def setting(
    default: Any,
    help_text: str,
    *,
    panel: str,
    short: str = "",
    shown_default: str = "",
    operational: bool = False,
    rare: bool = False,
    check: Check | None = None,
) -> Any:
    """Declare a setting as a dataclass field.

    `short` is a one-letter flag. `shown_default` replaces the default in the help. `operational` settings
    may change between starts of a run. `rare` settings have no flag: the command line takes them in `--set`.
    """
    metadata = {
        "help": help_text,
        "shown_default": shown_default,
        "panel": panel,
        "short": short,
        "operational": operational,
        "rare": rare,
        "check": check,
    }
    return field(default=default, metadata=metadata)
