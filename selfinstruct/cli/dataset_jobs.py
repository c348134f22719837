"""Run a job on dataset files with a progress bar, print its summary, and stop cleanly on a signal."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import typer

from selfinstruct.cli.progress_bar import bar
from selfinstruct.cli.signals import load_ahead, stopped_by_signals
from selfinstruct.cli.terminal import print_json, say
from selfinstruct.dataset.file_jobs import Hold, Progress


class Summary(Protocol):
    """The numbers that a job reports."""

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as a dict of JSON values."""


Result = TypeVar("Result", bound=Summary)


def run_job(
    job: Callable[[Progress, Hold], Result],
    lines: Callable[[Result], Iterable[str]],
    *,
    inputs: Iterable[str],
    outputs: Iterable[Path],
    json_output: bool,
    quiet: bool,
) -> None:
    """Run a job and print its summary: `lines` of it to stderr, or JSON to stdout.

    `inputs` and `outputs` are the job's files. Raises typer.Exit if a signal stops the job.
    """
    written = [*outputs]
    is_piped = "-" in map(str, written)
    if json_output and is_piped:
        problem = "cannot be combined with the output -, since both write to stdout"
        raise typer.BadParameter(problem, param_hint="--json")
    load_ahead([*inputs, *written])
    try:
        with stopped_by_signals() as hold:
            with bar(quiet=quiet) as progress:
                summary = job(progress, hold)
            if json_output:
                print_json(summary.as_json())
            elif not quiet:
                say(*lines(summary))
    except KeyboardInterrupt:
        say("interrupted" if is_piped else "interrupted; nothing was written")
        raise typer.Exit(130) from None
