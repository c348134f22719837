"""Data on stdout, and messages on stderr."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

import typer

from selfinstruct.text import visible


def speak_any_alphabet() -> None:
    """Escape characters that the encoding of stdout or stderr lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; None is a stream that the parent process closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed by this process
        return False


def say(*lines: str) -> None:
    """Print lines to stderr: stdout is for data. A closed terminal does not end a run.

    Control characters are escaped, line ends within a line too: file names may contain them.
    """
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # None if the parent process closed it
            escaped = [visible(line, keep="") for line in lines]
            print(*escaped, sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def print_json(fields: Mapping[str, object]) -> None:
    """Print fields to stdout as a line of JSON."""
    typer.echo(json.dumps(fields))
