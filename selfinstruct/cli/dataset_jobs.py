"""Run a job on dataset files with a progress bar, print its summary, and stop cleanly on a signal."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import typer

from selfinstruct.cli.output import print_json, say
from selfinstruct.cli.progress_bar import bar
from selfinstruct.cli.signals import load_ahead, stopped_by_signals


def run_job(
    job: Callable[..., Any],
    lines: Callable[[Any, Mapping[str, Any]], Iterable[str]],
    options: Mapping[str, Any],
) -> None:
    """Run a job and print its summary: `lines` on stderr, or JSON on stdout.

    `options` are all parameters of the command. The job gets those that are not None, without --json and
    --quiet.
    """
    given = {name: value for name, value in options.items() if value is not None}
    json_output, quiet = given.pop("json_output"), given.pop("quiet")
    is_piped = "-" in {str(given.get(name)) for name in ("output", "rejected", "report")}
    if json_output and is_piped:
        problem = "cannot be combined with the output -, since both write to stdout"
        raise typer.BadParameter(problem, param_hint="--json")
    load_ahead(_texts(given))
    try:
        with stopped_by_signals() as hold:
            with bar(quiet=quiet) as progress:
                summary = job(**given, progress=progress, hold=hold)
            if json_output:
                print_json(summary.as_json())
            elif not quiet:
                say(*lines(summary, options))
    except KeyboardInterrupt:
        say("interrupted" if is_piped else "interrupted; nothing was written")
        raise typer.Exit(130) from None


def _texts(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values of the options, file names included."""
    for value in options.values():
        yield from map(str, value if isinstance(value, list) else [value])
