"""Options declared once: a flag for every setting of RunConfig, and what several commands share."""

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from selfinstruct.config.reading import DURATIONS, seconds
from selfinstruct.config.schema import RunConfig

_UNITS_LEFT_OUT = {
    spec.name.removesuffix("_s").replace("_", "-"): spec.name.replace("_", "-")
    for spec in dataclasses.fields(RunConfig)
    if spec.name.endswith("_s")
}


def _normal(token: str) -> str:
    """A flag's name as it is declared: hyphens or underscores (as in the published code), unit or none."""
    name = token.replace("_", "-")
    return _UNITS_LEFT_OUT.get(name, name)


CONTEXT = {"help_option_names": ["-h", "--help"], "token_normalize_func": _normal}

DirectoryArgument = Annotated[
    Path, typer.Argument(help="A run directory.", metavar="DIR", show_default=False)
]
SourceArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG.yaml | DIR]",
        help="A file of settings, or the directory of a run that there is.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="The run directory.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


class LogLevel(StrEnum):
    """How much is logged."""

    INFO = "info"
    DEBUG = "debug"


LogFileOption = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        help="Append what happens to this file, a JSON object a line; no text of the model.",
        show_default=False,
    ),
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", help="With debug, a line for every request, too.")
]
OnFinishOption = Annotated[
    str | None,
    typer.Option(
        "--on-finish",
        metavar="COMMAND",
        help="Run this in a shell once the run has ended, however it did; how it ended, and its numbers, are "
        "JSON on its stdin: 'mail -s done me'.",
        show_default=False,
    ),
]


class _Null:
    """Stands for a null that was typed, which is not the same as nothing typed."""


_NULL = _Null()
_NULLS = ("null", "none")
"""How a person types it; the first is YAML's word."""


def _object(text: str) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise ValueError  # noqa: TRY004 - which is what a reader of flags raises
    return members


_READ: Mapping[Any, tuple[Callable[[str], Any], str, str]] = {
    float: (float, "N", "a number"),
    int: (int, "N", "a whole number"),
    str: (str, "URL", "an address"),
    Path: (Path, "PATH", "a path"),
    Mapping[str, Any]: (_object, "JSON", """a JSON object, such as '{"top_k": 20}'"""),
}
"""Settings that may be null: how a flag's text is read, what it is called in help and in an error."""


def _or_null(kind: Any) -> tuple[Callable[[str], Any], str]:
    """How the flag of a setting that may be null is read, and what stands for its value in the help."""
    read, metavar, words = _READ[kind]

    def read_or_null(text: str) -> Any:
        # A file may well be named `none`; one that is named `null` is still ./null.
        if text == _NULLS[0] or (kind is not Path and text.strip().lower() in _NULLS):
            return _NULL
        try:
            return read(text)
        except ValueError:
            raise typer.BadParameter(f"must be {words}, or null") from None

    return read_or_null, f"{metavar}|null"


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given; a null that was typed is one."""
    given = {name: value for name, value in settings.items() if value not in (None, [])}
    values = {name: None if value is _NULL else value for name, value in given.items()}
    headers = values.get("extra_header")
    if headers is not None and [header.lower() for header in headers] in ([n] for n in _NULLS):
        values["extra_header"] = []  # takes back those that the run remembers
    return values


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a flag for every setting; it gets those that were given as `**settings`."""
    hints = get_type_hints(RunConfig)
    own = [
        parameter.replace(annotation=get_type_hints(command, include_extras=True)[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    flags = [
        inspect.Parameter(
            spec.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_type(hints[spec.name]), _option(spec, hints[spec.name])],
        )
        for spec in dataclasses.fields(RunConfig)
    ]

    # With two names for each switch the table of `--help` would have no room for either at 80 columns.
    negatives = [
        inspect.Parameter(
            f"no_{spec.name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[
                bool, typer.Option(f"--no-{spec.name.replace('_', '-')}", hidden=True)
            ],
        )
        for spec in dataclasses.fields(RunConfig)
        if hints[spec.name] is bool
    ]

    def wrapper(**values: Any) -> Any:
        settings = {f.name: values.pop(f.name) for f in flags}
        refused = {n.name.removeprefix("no_") for n in negatives if values.pop(n.name)}
        for name in refused:
            if settings[name]:
                flag = name.replace("_", "-")
                raise typer.BadParameter(
                    f"--{flag} and --no-{flag} contradict each other; give one"
                )
            settings[name] = False
        return command(**values, **_values(settings))

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    parameters = [*own, *flags, *negatives]
    # typer reads the signature for order and defaults, and the annotations for types.
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _type(hint: Any) -> Any:
    """The type of a flag, as typer takes it."""
    return list[str] | None if hint == tuple[str, ...] else hint | None


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _seconds_or_null(text: str) -> Any:
    return _NULL if text.strip().lower() in _NULLS else _seconds(text)


def _option(spec: "dataclasses.Field[Any]", hint: Any) -> Any:
    parser: Callable[[str], Any] | None = None
    metavar = None
    may_be_null = type(None) in get_args(hint)
    if spec.name in DURATIONS:
        parser = _seconds_or_null if may_be_null else _seconds
        metavar = "N|8h|null" if may_be_null else "N|8h"
    elif may_be_null:
        (kind,) = set(get_args(hint)) - {type(None)}
        parser, metavar = _or_null(kind)
    elif hint == tuple[str, ...]:
        metavar = "'NAME: VALUE'"
    flag = "--" + spec.name.replace("_", "-")
    default = spec.metadata["shown_default"] or spec.default
    # The flag's own default is None, so that what was given can be told from what was not.
    has_default = default is not False and default not in ("", (), None)
    shown = f" [dim]\\[default: {default}][/dim]" if has_default else ""
    return typer.Option(
        *([flag, spec.metadata["short"]] if spec.metadata["short"] else [flag]),
        help=spec.metadata["help"] + shown,
        parser=parser,
        metavar=metavar,
        rich_help_panel=spec.metadata["panel"],
        show_default=False,
    )
