"""The command line. Each command parses its arguments, calls one library function, and prints the result.

Data goes to stdout and messages go to stderr. The modules of commands import most of the package inside their
functions, so that `--help` and shell completion are fast.
"""

import os
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
from selfinstruct.cli.options import CONTEXT, Command, Group
from selfinstruct.cli.output import say, speak_any_alphabet
from selfinstruct.cli.signals import exit_at_once
from selfinstruct.errors import SelfInstructError

_COMMANDS = {
    "Make": (run, estimate, doctor, import_, demo),
    "Look": (status, explain, verify),
    "Improve": (filter, decontaminate, refilter),
    "Train": (export,),
    "Debug": (parse, simulate),
}

app = typer.Typer(
    name="selfinstruct",
    help="Grow seed tasks into an instruction-tuning dataset with Self-Instruct.",
    epilog="Start with: selfinstruct demo",
    cls=Group,
    no_args_is_help=True,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        _name = _command.__name__.rstrip("_")
        app.command(_name, cls=Command, rich_help_panel=_panel)(_command)


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


def main() -> NoReturn:
    """Run the command line and exit. `selfinstruct.errors` describes the exit codes."""
    exit_at_once()
    speak_any_alphabet()
    try:
        # The explicit name makes completion work for `python -m selfinstruct` too.
        app(prog_name="selfinstruct")
    except SelfInstructError as error:
        say(f"selfinstruct: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        # Usually, stdout failed: its reader closed the pipe, as `head` does, or the disk is full.
        say(f"selfinstruct: {error.filename or 'the output'}: {error.strerror}")
        os._exit(1)  # an ordinary exit would flush stdout and fail again
    sys.exit(0)
