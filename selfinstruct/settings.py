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
import difflib
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct.config import BY_CONTENT, RunConfig
from selfinstruct.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def load_settings(source: str, data: object) -> dict[str, Any]:
    """Check a mapping of settings, as read from YAML, without filling in defaults.

    Raises ConfigError for an unknown setting (naming the nearest known one) or a wrong type.
    """
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError("settings", "expected a mapping of names to values", source=source)
    known = {spec.name for spec in dataclasses.fields(RunConfig)}
    settings: dict[str, Any] = {}
    for key, value in data.items():
        name = str(key).replace("-", "_")
        if name in settings:
            raise ConfigError(name, "is given twice", source=source)
        settings[name] = value
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(name, f"no such setting{hint}", source=source)
    config = _validated(source, settings)
    return {name: getattr(config, name) for name in settings}


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "a path",
    "bool": "true or false",
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


def _validated(source: str, settings: Mapping[str, Any]) -> RunConfig:
    from pydantic import ValidationError

    try:
        # By way of JSON, where strict reading still takes a string for a path.
        config = _adapter().validate_json(
            json.dumps(settings, default=_path_as_text, ensure_ascii=False)
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        wanted = next((w for kind, w in _KINDS.items() if first["type"].startswith(kind)), None)
        problem = (
            f"must be {wanted}, not {_shown(first['input'])}" if wanted else first["msg"].lower()
        )
        raise ConfigError(name, problem, source=source) from None
    except ConfigError as error:
        raise ConfigError(error.setting, error.problem, source=source) from None
    except (TypeError, ValueError, RecursionError):
        raise ConfigError("settings", "hold something that is no setting", source=source) from None
    return config


def _shown(value: object) -> str:
    """A value as YAML has it, where that differs from Python."""
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def read_settings(path: Path) -> dict[str, Any]:
    """Settings given in a YAML file; paths in it are relative to the file."""
    import yaml

    try:
        data = read_yaml(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"cannot be understood ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or "cannot be understood"
        raise InputError(path, f"is not YAML: {problem}", line=line) from None
    settings = load_settings(str(path), data)
    for name in BY_CONTENT & settings.keys():
        if settings[name] is not None:
            settings[name] = path.parent / settings[name].expanduser()
    return settings


def read_yaml(path: Path, *, is_ours: bool = False) -> Any:
    """What a YAML file holds. Raises OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError.

    Our own files are read by the loader in C, where it was built; it is faster, but a file that is nested
    deeply enough makes it crash.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if is_ours else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        """Refuses a key that is given twice, of which YAML would silently take the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            names = [key.value for key, _ in node.value if isinstance(key.value, str)]
            for key, _ in node.value:
                if names.count(key.value) > 1:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice", problem_mark=key.start_mark
                    )
            return super().construct_mapping(node, deep=deep)

    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506
