"""Reads settings from outside: a YAML file, the stored copy of a run, a mapping from Python.

Knows how values may be written and how to say what is wrong with one; what the settings are and mean is
`config`'s business. Defaults are not filled in: what was given must stay distinguishable from what was not.

    run.yaml                                    read_settings(Path("run.yaml"))
    ────────────────────────
    model: gpt-4.1-mini                         {"model": "gpt-4.1-mini",
    max-concurrency: 8                           "max_concurrency": 8,
    seed-tasks: mine.jsonl                       "seed_tasks": Path("mine.jsonl")}
"""

import dataclasses
import datetime
import difflib
import functools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct.config.schema import BY_CONTENT, RunConfig
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import Opener, because

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_LARGEST = 100_000
"""Characters of a file of settings, which has some forty lines."""
_SHOWN = 60
"""Characters of a wrong value that are shown."""

DURATIONS = frozenset(
    spec.name for spec in dataclasses.fields(RunConfig) if spec.name.endswith("_s")
)
"""Settings that are lengths of time."""

_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?) ?"
_DURATION = re.compile(
    rf"(?:{_NUMBER}d)? ?(?:{_NUMBER}h)? ?(?:{_NUMBER}(?:m|min))? ?(?:{_NUMBER}s)?",
    re.ASCII | re.IGNORECASE,
)
_UNITS_S = (86400, 3600, 60, 1)


def seconds(text: str) -> float:
    """The seconds that a text stands for: "90", "8h", "1h30m", "45s", "1d", "2 h 5 min".

    Raises ValueError, with what is wrong as its text.
    """
    text = text.strip()
    parts = _DURATION.fullmatch(text)
    if text and parts is not None:
        amounts = zip(parts.groups(), _UNITS_S, strict=True)
        return sum((float(amount) * unit_s for amount, unit_s in amounts if amount), 0.0)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be {_A_DURATION}, not {_shown(text)}") from None


_A_DURATION = "a number of seconds or a duration such as 8h or 1h30m"


def load_settings(source: str, data: object) -> dict[str, Any]:
    """Check a mapping of settings, as read from YAML, without filling in defaults.

    Raises ConfigError for an unknown setting (naming the nearest known one) or a wrong type.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError(
            "settings",
            "expected a mapping of names to values, such as model: gpt-4.1-mini",
            source=source,
        )
    known = {spec.name for spec in dataclasses.fields(RunConfig)}
    settings: dict[str, Any] = {}
    for key, value in data.items():
        name = (key if isinstance(key, str) else _shown(key)).replace("-", "_")
        if name in settings:
            raise ConfigError(name, "is given twice; keep one of them", source=source)
        settings[name] = value
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`selfinstruct run --help` lists them"
            raise ConfigError(_short(name), f"no such setting; {hint}", source=source)
    if isinstance(settings.get("extra_header"), str):
        settings["extra_header"] = [settings["extra_header"]]  # one may stand without a list
    for name in DURATIONS & settings.keys():
        if isinstance(settings[name], str):
            try:
                settings[name] = seconds(settings[name])
            except ValueError as error:
                raise ConfigError(name, str(error), source=source) from None
    config = _validated(source, settings)
    return {name: getattr(config, name) for name in settings}


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "a path",
    "bool": "true or false",
    "tuple": "a list of texts",
    "mapping": "a mapping of names to values",
    "dict": "a mapping of names to values",
}
"""What pydantic's types of error are about, in words."""


@functools.cache
def _adapter() -> "TypeAdapter[RunConfig]":
    from pydantic import TypeAdapter

    return TypeAdapter(RunConfig)


def _path_as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError


_WANTED = {
    "Mapping": "a mapping of names to values",
    "tuple": "a list of texts",
    "Path": "a path",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "str": "text",
}
"""What a setting takes, in words, by the first of these that its type names."""


def _wanted(name: str) -> str:
    if name in DURATIONS:
        return _A_DURATION
    declared = str(RunConfig.__dataclass_fields__[name].type)
    return next(words for part, words in _WANTED.items() if part in declared)


def _problem(name: str, value: object) -> str | None:
    """What is wrong with a value that JSON cannot carry, or that no path can be."""
    if name in BY_CONTENT and isinstance(value, str | Path) and "\0" in str(value):
        return "holds a NUL character, which no path has"
    try:
        json.dumps(value, default=_path_as_text, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "holds bytes that are no text"
    except (TypeError, ValueError, RecursionError):
        found = f"something of type {type(value).__name__}"
        if isinstance(value, datetime.date):
            found = f"the date {value}" + ("; put it in quotes" if _wanted(name) == "text" else "")
        return f"must be {_wanted(name)}, not {found}"
    return None


def _hint(wanted: str, value: object) -> str:
    """How to write what was probably meant: YAML takes 1e6 and "0.7" for text, and 7 for a number."""
    if wanted == "text" and isinstance(value, int | float):
        return "; put it in quotes"
    if value is None:
        return "; leave the line out for the default"
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if wanted == "a whole number" and abs(number) < _EXACT and number.is_integer():
        return f"; write {int(number)}"
    if wanted == "a number" and math.isfinite(number):
        return f"; write {number}, without quotes"
    return ""


_EXACT = 2**53
"""Below it every whole number is a float."""


def _validated(source: str, settings: Mapping[str, Any]) -> RunConfig:
    from pydantic import ValidationError

    for name, value in settings.items():
        problem = _problem(name, value)
        if problem is not None:
            raise ConfigError(name, problem, source=source)
    try:
        # By way of JSON, where strict reading still takes a string for a path.
        config = _adapter().validate_json(
            json.dumps(settings, default=_path_as_text, ensure_ascii=False)
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        wanted = next((w for kind, w in _KINDS.items() if first["type"].startswith(kind)), None)
        if name in DURATIONS:
            wanted = _A_DURATION
        # Not repeated: what is no list of headers may be one with a secret in it.
        found = "" if name == "extra_header" else f", not {_shown(first['input'])}"
        if wanted and found:
            found += _hint(wanted, first["input"])
        problem = f"must be {wanted}{found}" if wanted else first["msg"].lower()
        raise ConfigError(name, problem, source=source) from None
    except ConfigError as error:
        raise ConfigError(error.setting, error.problem, source=source) from None
    except (TypeError, ValueError, RecursionError):
        raise ConfigError("settings", "hold something that is no setting", source=source) from None
    return config


def _shown(value: object) -> str:
    """A value as YAML has it, where that differs from Python."""
    return _short(json.dumps(value) if value is None or isinstance(value, bool) else repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def read_settings(path: Path) -> dict[str, Any]:
    """Settings given in a YAML file; paths in it are relative to the file."""
    import yaml

    try:
        data = read_yaml(path)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8 text; save it as such") from None
    except RecursionError:
        raise InputError(path, "is nested too deeply; settings are names and values") from None
    except _OtherFileError as error:
        raise InputError(path, f"{error}; name a file of settings") from None
    except ValueError as error:
        problem = f"holds a number or a date that cannot be read ({error}); put it in quotes"
        raise InputError(path, problem) from None
    except yaml.YAMLError as error:
        line, problem = _yaml_problem(error)
        raise InputError(path, f"is not YAML: {problem}", line=line) from None
    settings = load_settings(str(path), data)
    for name in sorted(BY_CONTENT & settings.keys()):
        if settings[name] is not None:
            try:
                settings[name] = path.parent / settings[name].expanduser()
            except RuntimeError:
                problem = (
                    f"{settings[name]} begins with a ~ that leads nowhere; write the whole path"
                )
                raise ConfigError(name, problem, source=str(path)) from None
    return settings


_YAML_REMEDIES = {
    r"'\t' that cannot start": "indent with blanks in place of tabs",
    "cannot start any token": "put the value in quotes",
    "mapping values are not allowed": "put a value that holds a colon in quotes",
    "end of stream": "a quote is not closed",
    "stream end": "a bracket is not closed",
    "could not determine a constructor": "leave the tag, which begins with !, out",
    "another document": "keep what stands before the line ---, or what stands after it",
    "undefined alias": "put a value that begins with * in quotes",
    "unhashable": "a name must be plain text",
    "given twice": "keep one of the lines",
}
"""What to do, by what the YAML reader complains about."""


def _yaml_problem(error: Exception) -> tuple[int | None, str]:
    """The line, where it is known, and what is wrong and helps."""
    code = getattr(error, "character", None)
    if isinstance(code, int):
        return None, f"it holds the character U+{code:04X}, which YAML does not allow; delete it"
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "cannot be understood")
    remedy = next((r for part, r in _YAML_REMEDIES.items() if part in problem), None)
    told = f"{problem}; {remedy}" if remedy else problem
    return mark.line + 1 if mark is not None else None, told


class _OtherFileError(ValueError):
    """What was named is no file of ours."""


def read_yaml(path: Path, *, opener: Opener | None = None) -> Any:
    """What a YAML file holds. Raises OSError, ValueError, yaml.YAMLError, RecursionError.

    Nothing in it makes reading it long: it must be short, and what it names once it cannot repeat without
    end. (The loader that is written in C would be faster, and crashes when a file is nested deeply.)
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is given twice, of which YAML would silently take the last."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            is_alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            if is_alias and not isinstance(node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="an alias (*) may stand for one value only; write the values out",
                    problem_mark=mark,
                )
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            counted = Counter(key.value for key, _ in node.value if isinstance(key.value, str))
            for key, _ in node.value:
                if isinstance(key.value, str) and counted[key.value] > 1:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice", problem_mark=key.start_mark
                    )
            return super().construct_mapping(node, deep=deep)

    try:
        with open(path, encoding="utf-8", opener=opener) as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError:
        raise
    except ValueError:  # a NUL character
        raise _OtherFileError("is no name of a file") from None
    if len(text) > _LARGEST:
        raise _OtherFileError(f"is longer than {_LARGEST:,} characters, so it is something else")
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it is a safe one
