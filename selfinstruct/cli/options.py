"""Options declared once: a flag for every setting of RunConfig, and what several commands share."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from selfinstruct.config import RunConfig

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # --num_instructions is what users of the published code type.
    "token_normalize_func": lambda token: token.replace("_", "-"),
}

DirectoryArgument = Annotated[
    Path, typer.Argument(help="A run directory.", metavar="DIR", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


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
            annotation=Annotated[hints[spec.name] | None, _option(spec)],
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
        return command(**values, **{n: v for n, v in settings.items() if v is not None})

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    parameters = [*own, *flags, *negatives]
    # typer reads the signature for order and defaults, and the annotations for types.
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _option(spec: "dataclasses.Field[Any]") -> Any:
    flag = "--" + spec.name.replace("_", "-")
    default = spec.metadata["shown_default"] or spec.default
    # The flag's own default is None, so that what was given can be told from what was not.
    shown = f" [dim]\\[default: {default}][/dim]" if default is not False and default != "" else ""
    return typer.Option(
        *([flag, spec.metadata["short"]] if spec.metadata["short"] else [flag]),
        help=spec.metadata["help"] + shown,
        rich_help_panel=spec.metadata["panel"],
        show_default=False,
    )
