"""Declare settings: each has a default, a help text, a panel in `--help` and a check for valid values.

A `Group` class declares related settings. `RunConfig` combines all groups.

    >>> at_least(1)(0)
    'must be at least 1, not 0'
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError

Check = Callable[[Any], str | None]
"""Returns the problem with a value, or None if the value is valid."""


def between(low: float, high: float) -> Check:
    """Return a check that a number is between `low` and `high`, inclusive."""
    return lambda v: None if low <= v <= high else f"must be between {low:g} and {high:g}, not {v}"


def at_least(low: float) -> Check:
    """Return a check that a number is at least `low`."""
    return lambda v: None if v >= low else f"must be at least {low:g}, not {v}"


def one_of(*choices: str) -> Check:
    """Return a check that a text is one of the choices."""
    listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return lambda v: None if v in choices else f"must be {listed}, not {v!r}"


@dataclass(frozen=True, slots=True)
class By:
    """A default that depends on another setting."""

    setting: str
    """Name of the other setting."""
    values: Mapping[str, Any]
    """Default for each value of the other setting. The first entry is for the other setting's default."""
    at_most: str = ""
    """Name of a setting that is an upper bound for this default, or an empty string."""

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

    `short` is a one-letter flag. `shown_default` replaces the default in the help text. `operational`
    settings may change between a run's starts. `rare` settings have no flag of their own; users set them with
    `--set`.
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


dataset = partial(setting, panel="Dataset")
sampling = partial(setting, panel="Sampling")
job = partial(setting, panel="How to run", operational=True)
cost = partial(setting, panel="Costs and limits", operational=True)

_ORDER = """
model recipe profile api seed_tasks prompts classification_seeds_only demonstrations
generated_demonstrations show_input seed threshold tokenizer max_instances lag_min lag_max
generate_temperature generate_top_p generate_presence_penalty generate_max_tokens
classify_temperature classify_max_tokens
instances_temperature instances_presence_penalty instances_max_tokens extra_body
num_instructions base_url api_key_env extra_header token_limit max_concurrency
request_timeout_s connect_timeout_s stall_after max_attempts give_up_after_s
price_input price_cached_input price_output free
max_cost max_tokens_total max_requests max_time_s confirm_above
max_requests_per_minute max_tokens_per_minute
""".split()
"""All settings, in the order in which they are listed in `--help`, stored and checked."""


def _text_problem(value: object) -> str | None:
    """Return why a path or text cannot be stored or used, or None if it can."""
    if isinstance(value, Path) and "\0" in str(value):
        return "contains a NUL character, which no path can contain"
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError:
        return "contains bytes that are not text"
    return None


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of settings. Raises ConfigError if a value is invalid."""

    def __post_init__(self) -> None:
        for spec in self.specs():
            if isinstance(getattr(self, spec.name), By):
                # This default depends on another setting, whose value is known only now.
                object.__setattr__(self, spec.name, self.default(spec))
            value = getattr(self, spec.name)
            check = spec.metadata["check"]
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(spec.name, f"must be a finite number, not {value}")
            problem = _text_problem(value) if isinstance(value, str | Path) else None
            if problem is None and check is not None and value is not None:
                problem = check(value)
            if problem is not None:
                raise ConfigError(spec.name, problem)

    @classmethod
    def specs(cls) -> "list[Field[Any]]":
        """Return the dataclass fields of the group's settings, in the order of `--help`."""
        return sorted(fields(cls), key=lambda spec: _ORDER.index(spec.name))

    def default(self, spec: "Field[Any]") -> Any:
        """Return a setting's default, which may depend on another setting's value."""
        default: Any = spec.default
        if not isinstance(default, By):
            return default
        value = default.values[getattr(self, default.setting)]
        return min(value, getattr(self, default.at_most)) if default.at_most else value
