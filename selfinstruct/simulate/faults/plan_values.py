"""Values in a fault plan: what each must be, by the name of its field, and how to say that one is not.

Knows single values, and none of the things that they are a part of::

    >>> shown(None), shown("teapot"), shown([1])
    ('null', "'teapot'", 'a list')
    >>> wanted("share")
    'a number from 0 to 1'
"""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

LONGEST_S: Final = 86_400
_MOST: Final = 10**12
_WIDEST: Final = 60

REQUEST_FAULTS: Final = (
    "never",
    "length",
    "content_filter",
    "refusal",
    "empty",
    "null_content",
    "no_usage",
    "other_model",
)
"""What can befall a request: it is never answered, or its reply is always amiss in the same way."""


class FaultPlanError(ValueError):
    """A plan that cannot be: `problem` says why and what to do, `path` and `line` where it stands."""

    def __init__(self, problem: str, *, path: Path | None = None, line: int | None = None) -> None:
        self.problem = problem
        self.path = path
        self.line = line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(f"{place}{problem}")


class Checked:
    """A dataclass whose single values are checked by the rules for their names."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raises FaultPlanError for the first value that is not what its name wants."""
        for spec in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, spec.name)
            if spec.name not in _RULES or (value is None and spec.default is None):
                continue
            want, accepts = _RULES[spec.name]
            if not accepts(value):
                raise FaultPlanError(f"{spec.name} must be {want}, not {shown(value)}")


def wanted(name: str) -> str:
    """What the value called `name` must be, in words."""
    return _RULES[name][0]


def shown(value: object) -> str:
    """A value as YAML has it, short enough for an error message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | float):
        text = repr(value)
        return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
    if isinstance(value, int):
        # Python refuses to write out a number of more than some thousand digits.
        return str(value) if abs(value) < 10**20 else "so large a number"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"


def _number(low: float, high: float) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _whole(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    )


def _a(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _word(*words: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in words


_TIME: Final[Any] = (f"a number of seconds from 0 to {LONGEST_S}", _number(0, LONGEST_S))
_MILLISECONDS: Final = LONGEST_S * 1000
_RULES: Final[dict[str, tuple[str, Callable[[object], bool]]]] = {
    "share": ("a number from 0 to 1", _number(0, 1)),
    "status": ("an HTTP status from 400 to 599", _whole(400, 599)),
    "code": ("text", _a(str)),
    "message": ("text", _a(str)),
    "then_close": ("true or false", _a(bool)),
    "seconds": _TIME,
    "milliseconds": (
        f"a number of milliseconds from 0 to {_MILLISECONDS}",
        _number(0, _MILLISECONDS),
    ),
    "date": _TIME,
    "format": ("html or plain", _word("html", "plain")),
    "choices": ("missing, null or empty", _word("missing", "null", "empty")),
    "fault": (f"one of {', '.join(REQUEST_FAULTS)}", _word(*REQUEST_FAULTS)),
    "after": ("a whole number, 0 or more", _whole(0, _MOST)),
    "attempts": ("a whole number, 1 or more", _whole(1, _MOST)),
    "refuse": ("hang or drop", _word("hang", "drop")),
    "seed": ("a whole number of at most 18 digits", _whole(1 - 10**18, 10**18 - 1)),
    "at_most": ("a whole number, 0 or more", _whole(0, _MOST)),
    "models": ("true or false", _a(bool)),
    "requests_per_minute": ("a whole number, 1 or more", _whole(1, _MOST)),
    "tokens_per_minute": ("a whole number, 1 or more", _whole(1, _MOST)),
}
"""For the name of a field, what it must be, and whether a value is that."""
