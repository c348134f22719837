"""Define options that several commands share, and a flag for each common setting of RunConfig.

Rare settings have no flag of their own; `--set NAME=VALUE` sets them.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from selfinstruct.config.reading import DURATIONS, read_setting, seconds
from selfinstruct.config.schema import RunConfig

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # Also accept underscores, as the published code does, and the unit in a setting's name (max_time_s).
    "token_normalize_func": lambda token: token.replace("_", "-").removesuffix("-s"),
}

FileFormat = Literal["json", "jsonl", "csv", "parquet"]
"""The file format of a list of records."""

DirectoryArgument = Annotated[Path, typer.Argument(help="A run directory.", metavar="DIR")]
SourceArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[CONFIG.yaml | DIR]", help="Settings file or run directory."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="The run directory.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]

# ── lists of records ─────────────────────────────────────────────────────────────────────────────────────

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Lists of records, read in the given order: .json, .jsonl or .csv, each also with .gz, or "
        ".parquet; - is stdin.",
    ),
]
KeptFile = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File for the kept records. Its suffix determines the format. - is stdout.",
    ),
]
InputFormat = Annotated[
    FileFormat | None,
    typer.Option(
        help="Format of all INPUT files.", show_default="by suffix, or by first character"
    ),
]
OutputFormat = Annotated[
    FileFormat | None,
    typer.Option(help="Format of FILE.", show_default="by suffix, or that of the first INPUT"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")]


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────

_SPECS = {spec.name: spec for spec in RunConfig.specs()}
_HINTS = get_type_hints(RunConfig)


def flag(name: str, value: str = "") -> str:
    """Return the flag that sets a setting, such as "--max-cost 5" or "--set stall_after=200"."""
    if _SPECS[name].metadata["rare"]:
        return f"--set {name}={value or '…'}"
    return f"--{name.removesuffix('_s').replace('_', '-')} {value}".rstrip()


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--set` and a flag for each common setting to a command.

    The command receives the settings that the user specified as `**settings`.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    names = [name for name, spec in _SPECS.items() if not spec.metadata["rare"]]
    flags = [_parameter(name, *_option(_SPECS[name])) for name in names]
    others = typer.Option("--set", metavar="NAME=VALUE", help="Set a rare setting; VALUE is YAML.")

    def wrapper(set_: list[str] | None, **values: Any) -> Any:
        flagged = {name: values.pop(name) for name in names}
        settings = {name: value for name, value in flagged.items() if value not in (None, [])}
        for name, value in map(read_setting, set_ or ()):
            if name in settings:
                raise typer.BadParameter(f"{name} is given twice; keep only one of the values")
            settings[name] = value
        return command(**values, **settings)

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    parameters = [*own, _parameter("set_", list[str] | None, others), *flags]
    # typer reads the order and defaults from the signature, and the types from the annotations.
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _parameter(name: str, hint: Any, option: Any) -> inspect.Parameter:
    # None as the default distinguishes a missing flag from a default value that the user typed.
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[hint, option])


_METAVARS = {float: "N", int: "N", str: "TEXT", Path: "PATH"}


def _option(spec: "dataclasses.Field[Any]") -> tuple[Any, Any]:
    """Return the type and the typer option for a setting's flag."""
    hint = _HINTS[spec.name]
    kind = get_args(hint)[0] if type(None) in get_args(hint) else hint
    parser: Callable[[str], Any] | None = None
    metavar = _METAVARS.get(kind)
    name = flag(spec.name)
    if spec.name in DURATIONS:
        parser, metavar = _seconds, "8h"
    elif kind == Mapping[str, Any]:
        parser, metavar = _json_object, "JSON"
    elif kind == tuple[str, ...]:
        hint, metavar = list[str], "TEXT"
    default = spec.metadata["shown_default"] or spec.default
    if isinstance(default, float):
        default = f"{default:g}"
    has_default = default is not False and default not in ("", (), None)
    shown_default = f" [dim]\\[default: {default}][/dim]" if has_default else ""
    return hint | None, typer.Option(
        *filter(None, [name, spec.metadata["short"]]),
        help=spec.metadata["help"] + shown_default,
        parser=parser,
        metavar=metavar,
        rich_help_panel=spec.metadata["panel"],
    )


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _json_object(text: str) -> dict[str, Any]:
    value = None
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise typer.BadParameter("""must be a JSON object, such as '{"top_k": 20}'""")
    return value


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────


class Command(TyperCommand):
    """A command. If the user types a flag for a rare setting, the error says how to set that setting."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. If one is a flag for a rare setting, exit with an error."""
        if any(param.name == "set_" for param in self.params):
            for argument in args:
                typed = argument.partition("=")[0].replace("_", "-")
                name = typed.removeprefix("--").removeprefix("no-").replace("-", "_")
                spec = _SPECS.get(name) or _SPECS.get(f"{name}_s")
                if typed.startswith("--") and spec is not None and spec.metadata["rare"]:
                    ctx.fail(f"{typed} is set with {flag(spec.name)}")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters. Boolean flags take no value and have no negative form."""
        return _without_values(super().get_params(ctx))


class Group(TyperGroup):
    """The group of all commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters. Boolean flags take no value and have no negative form."""
        return _without_values(super().get_params(ctx))


def _without_values(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""  # otherwise, the help shows <bool>
            param.secondary_opts = []  # otherwise, each switch has a negative form such as --no-card
    return params
