"""What commands that read and write lists of records ask of the names that they are given."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import typer

from selfinstruct.cli.signals import Hold, load_ahead, stopped_by_signals
from selfinstruct.cli.terminal import say
from selfinstruct.dataset.record_files import RecordReader, format_of, read_records
from selfinstruct.errors import InputError
from selfinstruct.files import is_stream

Job_contra = TypeVar("Job_contra", contravariant=True)
"""What a command was asked for."""


def open_input(name: str, format: str | None) -> RecordReader:  # noqa: A002
    """An INPUT, of which a person can say the format."""
    return read_records(name, format=format, option="--input-format")


def output_formats(
    output: Path, rejected: Path | None, given: str | None, first: RecordReader
) -> tuple[str, str]:
    """The formats of what is kept and of what is rejected: as given, by suffix, or as the first INPUT.

    Raises InputError for a suffix that names none.
    """
    kept = given or _output_format(output) or first.format
    if rejected is None:
        return kept, kept
    known = format_of(rejected) if given else _output_format(rejected)
    return kept, known or kept


def _output_format(path: Path) -> str | None:
    """The format that a name for output says; None where it has no suffix. InputError for an unknown one."""
    known = format_of(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if known is None and suffix and not is_stream(path):
        problem = (
            f"has the suffix {suffix}, which names no format; end it in .json, .jsonl, .ndjson, .csv "
            "(also with .gz behind it) or .parquet, or give --output-format"
        )
        raise InputError(path, problem)
    return known


def check_names(
    inputs: Sequence[str], against: Sequence[str], outputs: Iterable[Path | None]
) -> None:
    """Raises InputError for names that cannot go together. The first output may be an input."""
    if [*inputs, *against].count("-") > 1:
        raise InputError("stdin", "can be read once only; give - once")
    read, known = ({_real(name) for name in names} for names in (inputs, against))
    taken: set[str] = set()
    for path in outputs:
        if path is None:
            continue
        real = _real(path)
        if real in taken:
            problem = "cannot take two kinds of output; name another file for one of them"
            raise InputError(path, problem)
        if real in known:
            raise InputError(path, "is read with --against and not replaced; choose another name")
        if taken and real in read:
            raise InputError(path, "is an INPUT, which only -o replaces; choose another name")
        taken.add(real)


class Summary(Protocol[Job_contra]):
    """What became of the records."""

    def as_json(self) -> dict[str, Any]:
        """For a program."""

    def lines(self, job: Job_contra) -> list[str]:
        """For a person."""


def work_on_lists(
    carry_out: Callable[[Job_contra, Hold], Summary[Job_contra]],
    job: Job_contra,
    *,
    inputs: Iterable[str],
    outputs: Iterable[Path | None],
    json_output: bool,
    quiet: bool,
) -> None:
    """Do the work of a command and print its summary, for a program or for a person."""
    written = [path for path in outputs if path is not None]
    is_piped = "-" in map(str, written)
    if json_output and is_piped:
        raise typer.BadParameter(
            "has no place: an output is -, which takes stdout", param_hint="--json"
        )
    load_ahead([*inputs, *written])
    try:
        with stopped_by_signals() as hold:
            summary = carry_out(job, hold)
            if json_output:
                typer.echo(json.dumps(summary.as_json()))
            elif not quiet:
                say(*summary.lines(job))
    except KeyboardInterrupt:
        say("interrupted" if is_piped else "interrupted; nothing was written")
        raise typer.Exit(130) from None


def _real(name: Path | str) -> str:
    """Where a name leads. stdin and stdout are not the same, though both are named -."""
    return os.path.realpath(name) if str(name) != "-" else f"- of {type(name).__name__}"


def check_others(inputs: Sequence[str], against: Sequence[str], format: str | None) -> None:  # noqa: A002
    """Open every file but the first once, since an hour may pass until it is its turn.

    What is no regular file, such as a pipe, may be opened only once, and is not.
    """
    for name in (*inputs[1:], *against):
        if name != "-" and (Path(name).is_file() or not Path(name).exists()):
            (open_input(name, format) if name in inputs else read_records(name)).close()
