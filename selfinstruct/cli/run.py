"""`selfinstruct run`: start a run, or continue one."""

import asyncio
import os
import shlex
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.options import JsonOption, with_settings
from selfinstruct.cli.terminal import is_ignored, say, visible

if TYPE_CHECKING:
    from selfinstruct.patience import Pause
    from selfinstruct.run_directory import Run
    from selfinstruct.summary import RunSummary

_WAITS_SAID_EVERY_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@with_settings
def run(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONFIG.yaml | DIR]",
            help="A file of settings, or the directory of a run to continue.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The run directory.", show_default=False
        ),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview", help="Send one request of each stage, show what comes of it, and stop."
        ),
    ] = False,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Grow seed tasks into a dataset; the same command continues a run that was stopped.

    Example, against OpenAI (key in $OPENAI_API_KEY):

        selfinstruct run -o my-run -m gpt-4.1-mini -n 1000

    Example, against a local server:

        selfinstruct run -o my-run -m qwen3 --base-url http://localhost:8000/v1

    A sampling parameter that is null is left out of what is sent: --generate-top-p null.

    Ctrl-C stops once the requests in flight have finished; a second one stops at once.
    """
    directory, settings = run_named(source, output, settings)
    if preview:
        from selfinstruct.cli.preview import show_preview

        show_preview(directory, settings, json_output=json_output)
    elif directory is None:
        raise typer.BadParameter("say where the run goes: -o DIR")
    else:
        carry_out(directory, settings, json_output=json_output)


def run_named(
    source: Path | None, output: Path | None, settings: Mapping[str, Any]
) -> tuple[Path | None, dict[str, Any]]:
    """The directory that the arguments name, if any, and the settings that were given, a file's included."""
    from selfinstruct.errors import InputError
    from selfinstruct.files import because
    from selfinstruct.run_directory import may_be_run
    from selfinstruct.settings import read_settings

    if source is None:
        return output, dict(settings)
    try:
        is_directory = stat.S_ISDIR(source.stat().st_mode)
    except FileNotFoundError:
        problem = f"{source} does not exist; a new run is started with -o DIR"
        raise typer.BadParameter(problem) from None
    except OSError as error:
        raise InputError(source, f"cannot be read {because(error)}") from None
    if not is_directory:
        return output, {**read_settings(source), **settings}
    if output is not None:
        raise typer.BadParameter(f"{source} is a directory; with -o, name a file of settings here")
    if not may_be_run(source):
        problem = f"{source} is not a run directory; a new run is started with -o DIR"
        raise typer.BadParameter(problem)
    return source, dict(settings)


def carry_out(
    directory: Path,
    settings: Mapping[str, Any],
    *,
    json_output: bool = False,
    again: str = "selfinstruct run {directory}",
) -> "RunSummary":
    """Run until the end and talk about it; exit with the code of how it ended unless that is 0.

    `again` is the command that continues it.
    """
    from selfinstruct.cli.funnel import funnel_lines
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.generate import is_complete
    from selfinstruct.llm.endpoint import for_a_new_run
    from selfinstruct.run_directory import is_run, open_run
    from selfinstruct.summary import summarize

    if not is_run(directory):
        settings = for_a_new_run(settings, environ=os.environ)
    failure: SelfInstructError | None = None
    with open_run(directory, settings) as opened:
        target = opened.config.num_instructions
        if opened.journal is not None and opened.journal.set_aside:
            say(_set_aside(opened.journal.path, opened.journal.set_aside))
        if is_complete(opened):
            summary = summarize(opened.state)
            say(
                f"{directory} is complete: {summary.accepted:,} instructions ({target:,} asked for), "
                f"{summary.rows:,} rows. To grow it further, give a larger -n."
            )
        else:
            if opened.state.counts.requests:
                say(f"continuing {directory}: {opened.state.accepted:,} of {target:,} instructions")
            try:
                asyncio.run(_carry_out(opened))
            except SelfInstructError as error:
                failure = error
            except asyncio.CancelledError:
                pass  # the second signal
            summary = summarize(opened.state)
            if summary.requests:
                ended = "complete" if is_complete(opened) else "stopped"
                say(f"{directory} {ended}:", *funnel_lines(summary))
        if json_output:
            import json

            typer.echo(json.dumps(summary.as_json()))
        if is_complete(opened):
            return summary
    if failure is not None:
        say(f"selfinstruct: {visible(str(failure))}")
    hint = (
        "" if summary.requests or failure is None else " (with other settings, if they were wrong)"
    )
    say("To continue: " + again.format(directory=shlex.quote(str(directory))) + hint)
    raise typer.Exit(failure.exit_code if failure is not None else 130)


def _set_aside(journal: Path, size: int) -> str:
    if size == 1:
        what, are = f"the last byte of {journal} was", "it is"
    else:
        what, are = f"the last {size:,} bytes of {journal} were", "they are"
    return f"{what} no whole line; {are} set aside in {journal.name}.torn"


async def _carry_out(opened: "Run") -> "RunSummary":
    from selfinstruct.cli.progress import progress
    from selfinstruct.generate import grow
    from selfinstruct.llm.online import OnlineBackend

    stop = asyncio.Event()
    with _stopping(stop):
        async with OnlineBackend(
            opened.config, environ=os.environ, stop=stop, on_wait=_now_and_then()
        ) as backend:
            with progress(opened.config.num_instructions, opened.recipe) as watch:
                return await grow(
                    opened, backend=backend, stop=stop, watch=watch, on_pause=_say_pause
                )


def _say_pause(pause: "Pause") -> None:
    from selfinstruct.patience import span

    left = f"for {span(pause.left_s)} at most (--give-up-after)"
    say(
        f"{pause.stage}: nobody is answered at present; next try in {span(pause.seconds)}, {left}: "
        f"{visible(pause.problem)}"
    )


def _now_and_then() -> Callable[[str, float], None]:
    """Say why the run waits, but not for each of hundreds of requests that wait for the same thing."""
    said_at = -_WAITS_SAID_EVERY_S

    def on_wait(problem: str, seconds: float) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _WAITS_SAID_EVERY_S:
            said_at = time.monotonic()
            say(f"trying again in {seconds:.1f} s: {visible(problem)}")

    return on_wait


@contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[None]:
    """The first signal asks to stop; the second cancels whatever is going on."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    is_second = False

    def stopped() -> None:
        nonlocal is_second
        if is_second:
            task.cancel()
            return
        is_second = True
        stop.set()  # before anything is said: there may be nobody left to say it to
        say("stopping once the requests in flight have finished (again: at once)")

    taken = [number for number in _SIGNALS if not is_ignored(number)]
    for number in taken:
        loop.add_signal_handler(number, stopped)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
