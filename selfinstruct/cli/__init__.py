"""The command line. A command parses, calls one library function, prints; data to stdout, talk to stderr.

Only typer and the standard library are imported here: `--help` must not wait for a client library.
"""

import os
import signal
import sys
from typing import NoReturn

import typer

from selfinstruct import __version__
from selfinstruct.cli.commands.decontaminate import decontaminate
from selfinstruct.cli.commands.demo import demo
from selfinstruct.cli.commands.doctor import doctor
from selfinstruct.cli.commands.estimate import estimate
from selfinstruct.cli.commands.explain import explain
from selfinstruct.cli.commands.export import export
from selfinstruct.cli.commands.filter import filter  # noqa: A004
from selfinstruct.cli.commands.import_ import import_
from selfinstruct.cli.commands.parse import parse
from selfinstruct.cli.commands.refilter import refilter
from selfinstruct.cli.commands.run import run
from selfinstruct.cli.commands.simulate import simulate
from selfinstruct.cli.commands.status import status
from selfinstruct.cli.commands.verify import verify
from selfinstruct.cli.options import CONTEXT
from selfinstruct.cli.terminal import is_ignored, say, speak_any_alphabet
from selfinstruct.errors import SelfInstructError
from selfinstruct.text import visible

app = typer.Typer(
    name="selfinstruct",
    help="Grow seed tasks into an instruction-tuning dataset with Self-Instruct.",
    epilog="Start with: selfinstruct demo",
    no_args_is_help=True,
    add_completion=False,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"selfinstruct {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    pass


app.command()(run)
app.command()(doctor)
app.command()(estimate)
app.command()(demo)
app.command()(simulate)
app.command()(status)
app.command()(explain)
app.command()(verify)
app.command()(export)
app.command()(refilter)
app.command("import")(import_)
app.command()(decontaminate)
app.command()(parse)
app.command()(filter)


def main() -> NoReturn:
    """Run the command line and exit: 0, 1, 2, 3, 4 or 130 (see `selfinstruct.errors`)."""
    # Until a command takes these over.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if not is_ignored(number):
            signal.signal(number, _interrupted)
    speak_any_alphabet()
    try:
        app()
    except SelfInstructError as error:
        say(f"selfinstruct: {visible(str(error))}")
        sys.exit(error.exit_code)
    except OSError as error:
        # Mostly of the output: its reader went away, as `head` does, or its disk is full.
        say(f"selfinstruct: {visible(str(error.filename or 'the output'))}: {error.strerror}")
        os._exit(1)  # leaving in the ordinary way would try once more to write it
    sys.exit(0)


def _interrupted(*_: object) -> NoReturn:
    # Not by an exception: most of this time modules are being loaded, and what is raised inside one of the
    # import system's callbacks is printed and swallowed. Nothing needs tidying up; kill -9 is no worse.
    os._exit(130)
