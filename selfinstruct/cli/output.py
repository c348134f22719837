"""Print data to stdout and messages to stderr."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

import typer

from selfinstruct.display import visible


def speak_any_alphabet() -> None:
    """Make stdout and stderr escape characters that their encoding cannot represent."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal. The stream is None if the parent process closed it."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # this process closed the stream
        return False


def say(*lines: str) -> None:
    """Print lines to stderr. If stderr was closed, does nothing.

    Control characters, including line ends inside a line, are escaped, because file names may contain them.
    """
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # None if the parent process closed it
            escaped = [visible(line, keep="") for line in lines]
            print(*escaped, sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def print_json(fields: Mapping[str, object]) -> None:
    """Print fields to stdout as one line of JSON."""
    typer.echo(json.dumps(fields))
