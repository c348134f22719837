"""Read settings from a YAML file, from the text of `--set`, or from a mapping.

The result contains only the settings that the source specifies, so a caller can distinguish them from
defaults.

    run.yaml                                    read_settings(Path("run.yaml"))
    ────────────────────────
    model: gpt-5.4-mini                         {"model": "gpt-5.4-mini",
    max-concurrency: 8                           "max_concurrency": 8,
    seed-tasks: mine.jsonl                       "seed_tasks": Path("mine.jsonl")}
"""

import datetime
import difflib
import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from selfinstruct.config.schema import BY_CONTENT, RunConfig
from selfinstruct.errors import ConfigError
from selfinstruct.files.yaml_text import YamlError, parse_yaml, read_yaml_input

_MAX_SHOWN_CHARACTERS = 60
"""Maximum length of a value in an error message, in characters."""

DURATIONS = frozenset(spec.name for spec in RunConfig.specs() if spec.name.endswith("_s"))
"""Names of the settings that are durations."""

_A_DURATION = "a number of seconds or a duration such as 8h or 1h30m"
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?) ?"
_DURATION = re.compile(
    rf"(?:{_NUMBER}d)? ?(?:{_NUMBER}h)? ?(?:{_NUMBER}(?:m|min))? ?(?:{_NUMBER}s)?",
    re.ASCII | re.IGNORECASE,
)
_UNITS_S = (86400, 3600, 60, 1)


def seconds(text: str) -> float:
    """Convert a duration such as "90", "8h", "1h30m", "45s", "1d" or "2 h 5 min" to seconds.

    Raises ValueError, whose text describes the problem.
    """
    text = text.strip()
    match = _DURATION.fullmatch(text)
    if text and match is not None:
        amounts = zip(match.groups(), _UNITS_S, strict=True)
        return sum((float(amount) * unit_s for amount, unit_s in amounts if amount), 0.0)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be {_A_DURATION}, not {_shown(text)}") from None


def load_settings(source: str, data: object) -> dict[str, Any]:
    """Check a mapping of settings, as read from YAML, and convert the values to the settings' types.

    Raises ConfigError for an unknown setting or an invalid value. For an unknown setting, the message
    suggests the most similar name.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        problem = "must be a mapping of names to values, such as model: gpt-5.4-mini"
        raise ConfigError("settings", problem, source=source)
    settings: dict[str, Any] = {}
    for key, value in data.items():
        name = (key if isinstance(key, str) else _shown(key)).replace("-", "_")
        if name in settings:
            raise ConfigError(name, "is given twice; keep one of them", source=source)
        if name not in _types():
            near = difflib.get_close_matches(name.lower(), _types(), n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else "`selfinstruct run --help` lists the settings"
            )
            raise ConfigError(_short(name), f"no such setting; {hint}", source=source)
        try:
            settings[name] = _converted(name, value)
        except ValueError as error:
            raise ConfigError(name, str(error), source=source) from None
    try:
        config = RunConfig(**settings)
    except ConfigError as error:
        raise ConfigError(error.setting, error.problem, source=source) from None
    return {name: getattr(config, name) for name in settings}


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a YAML file. Paths in the file are relative to the file's directory.

    Raises InputError or ConfigError.
    """
    settings = load_settings(str(path), read_yaml_input(path))
    for name in sorted(BY_CONTENT & settings.keys()):
        if settings[name] is not None:
            try:
                settings[name] = path.parent / settings[name].expanduser()
            except RuntimeError:
                problem = f"the home directory in {settings[name]} is unknown; write the full path"
                raise ConfigError(name, problem, source=str(path)) from None
    return settings


def read_setting(text: str) -> tuple[str, Any]:
    """Read one setting from the text NAME=VALUE that `--set` expects. The value is YAML.

    >>> read_setting("generate_temperature=null")
    ('generate_temperature', None)

    Raises ConfigError.
    """
    name, separator, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not separator or not name:
        problem = f"must be NAME=VALUE, such as stall_after=200, not {_shown(text)}"
        raise ConfigError("--set", problem)
    try:
        settings = load_settings("", {name: parse_yaml(value)})
    except ConfigError as error:
        raise ConfigError(f"--set {error.setting}", error.problem) from None
    except YamlError as error:
        raise ConfigError(f"--set {_short(name)}", str(error)) from None
    return name, settings[name]


# ── types ────────────────────────────────────────────────────────────────────────────────────────────────

_KINDS: Mapping[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    Path: ((str, Path), "a path"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    Mapping: ((Mapping,), "a mapping of names to values"),
    tuple: ((list, tuple), "a list of texts"),
}
"""Maps a setting's type to the accepted YAML types and their description in error messages."""


@functools.cache
def _types() -> dict[str, tuple[type, bool]]:
    """Return each setting's type, and whether its value may be null."""
    types = {}
    for name, hint in get_type_hints(RunConfig).items():
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        is_optional = type(None) in get_args(hint)
        kind = kinds[0] if is_optional else hint
        types[name] = (get_origin(kind) or kind, is_optional)
    return types


def _converted(name: str, value: object) -> Any:
    """Convert a YAML value to the setting's type. Raises ValueError, whose text describes the problem."""
    kind, is_optional = _types()[name]
    if value is None and is_optional:
        return None
    if kind is tuple and isinstance(value, str):
        value = [value]  # A single header need not be a list.
    if name in DURATIONS and isinstance(value, str):
        return seconds(value)
    accepted, description = _KINDS[kind]
    if isinstance(value, accepted) and isinstance(value, bool) == (kind is bool):
        try:
            return value if kind is Mapping else kind(value)
        except OverflowError:
            pass  # The value is a whole number that is too large for a float.
    if name in DURATIONS:
        description = _A_DURATION
    if kind is tuple:
        # Do not show the value: it may contain a secret.
        raise ValueError(f"must be {description}")
    raise ValueError(f"must be {description}, not {_shown(value)}{_hint(kind, value)}")


def _hint(kind: type, value: object) -> str:
    """Return a hint on how to write the value, or "".

    The hint helps because YAML reads 1e6 and "0.7" as text, and 7 as a number.
    """
    if value is None:
        return "; leave the setting out to use the default"
    if kind is str and isinstance(value, int | float | datetime.date):
        return "; put it in quotes"
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if kind is int and number.is_integer() and abs(number) < 2**53:
        return f"; write {int(number)}"
    if kind is float and math.isfinite(number):
        return f"; write {number}, without quotes"
    return ""


def _shown(value: object) -> str:
    """Return a value as it is written in YAML, shortened."""
    if isinstance(value, datetime.date):
        return f"the date {value}"
    return _short(json.dumps(value) if value is None or isinstance(value, bool) else repr(value))


def _short(text: str) -> str:
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return text[: _MAX_SHOWN_CHARACTERS - 1] + "…"
