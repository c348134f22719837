"""`selfinstruct run`: start or continue a run."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from selfinstruct.cli.options import JsonOption, OutputOption, SourceArgument, with_settings


@with_settings
def run(
    source: SourceArgument = None,
    output: OutputOption = None,
    preview: Annotated[
        bool, typer.Option(help="Send one request of each stage, then stop.")
    ] = False,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append events as JSON lines to FILE.")
    ] = None,
    log_level: Annotated[
        Literal["info", "debug"],
        typer.Option(
            metavar="LEVEL", help="info (default), or debug (every request).", show_default=False
        ),
    ] = "info",
    on_finish: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Run this at the end, with JSON on stdin.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Start without asking about the cost.")
    ] = False,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Grow seed tasks into a dataset. To continue a stopped run, repeat the command.

    Examples: OpenAI (key: $OPENAI_API_KEY), a local server, an overnight run:

        selfinstruct run -o my-run -m gpt-5.4-mini -n 1000
        selfinstruct run -o my-run -m qwen3 --base-url http://localhost:8000/v1
        nohup selfinstruct run my-run --max-time 8h --log-file night.jsonl &

    Ctrl-C waits for the requests in flight; a second Ctrl-C stops at once.
    """
    directory, settings = run_named(source, output, settings)
    if preview and (log_file or on_finish):
        raise typer.BadParameter("--preview cannot be combined with --log-file or --on-finish")
    if log_level != "info" and log_file is None:
        raise typer.BadParameter(
            f"--log-level {log_level} has no effect without a log; add --log-file FILE"
        )
    if on_finish is not None and not on_finish.strip():
        raise typer.BadParameter("--on-finish requires a command")
    if preview:
        from selfinstruct.cli.run_preview import show_preview

        show_preview(directory, settings, json_output=json_output)
    elif directory is None:
        raise typer.BadParameter("specify the run directory with -o DIR")
    else:
        from selfinstruct.cli.expected_cost import Announcement
        from selfinstruct.cli.foreground_run import carry_out

        carry_out(
            directory,
            settings,
            announcement=Announcement(yes=yes),
            json_output=json_output,
            log_file=log_file,
            log_level=log_level,
            on_finish=on_finish,
        )


def run_named(
    source: Path | None, output: Path | None, settings: Mapping[str, Any]
) -> tuple[Path | None, dict[str, Any]]:
    """Return the run directory, None if the user chose none, and the settings from the file and flags."""
    from selfinstruct.config.reading import read_settings
    from selfinstruct.errors import InputError
    from selfinstruct.files import because
    from selfinstruct.runner.directory import may_be_run

    if source is None:
        return output, dict(settings)
    try:
        is_directory = stat.S_ISDIR(source.stat().st_mode)
    except FileNotFoundError:
        problem = f"{source} does not exist; start a new run with -o DIR"
        raise typer.BadParameter(problem) from None
    except OSError as error:
        raise InputError(source, f"cannot be read {because(error)}") from None
    if not is_directory:
        return output, {**read_settings(source), **settings}
    if output is not None:
        raise typer.BadParameter(
            f"{source} is a directory; with -o, specify a settings file instead"
        )
    if not may_be_run(source):
        problem = f"{source} is not a run directory; start a new run with -o DIR"
        raise typer.BadParameter(problem)
    return source, dict(settings)
