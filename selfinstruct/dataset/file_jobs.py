"""Opens the input and output files of commands that split records into kept and rejected ones."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from selfinstruct.dataset.callbacks import Hold
from selfinstruct.dataset.record_files import Record, RecordWriter, read_records, write_records
from selfinstruct.dataset.record_files.formats import check_format, format_of, known_format
from selfinstruct.dataset.source import Source, open_source
from selfinstruct.errors import ConfigError, InputError

Names = Path | str | Iterable[Path | str]
"""One name, or several."""


def listed(names: Names) -> list[str]:
    """Return the names as a list."""
    return [str(name) for name in ([names] if isinstance(names, Path | str) else names)]


def path_of(name: Path | str | None) -> Path | None:
    """Return the name as a path."""
    return None if name is None else Path(name)


def open_input(name: str, input_format: str | None) -> AbstractContextManager[Source]:
    """Open the rows of a run, or any list of records."""
    is_run = os.path.isdir(name)  # noqa: PTH112 - no error for a name that is too long
    return open_source(name, is_run=is_run, input_format=input_format)


@dataclass(frozen=True, kw_only=True)
class ListFiles:
    """The names of all files that one job reads and writes."""

    inputs: Sequence[str]
    """Runs and lists of records, read in this order; "-" is stdin."""
    output: Path
    """The file for kept records; "-" is stdout. It may be one of the inputs, which it then replaces."""
    against: Sequence[str] = ()
    """Files with records to compare the input records with."""
    rejected: Path | None = None
    """The file for rejected records; None to write no such file."""
    report: Path | None = None
    """The JSON lines file that describes the rejected records; None to write no report."""
    input_format: str | None = None
    """The format of every input. If None, each input's name or first character decides."""
    output_format: str | None = None
    """The output format. If None, the output's suffix decides, or else the first input's format."""

    @contextmanager
    def open(self, hold: Hold) -> Iterator["OpenLists"]:
        """Open the first input and all outputs, and check the other files.

        The outputs get their names at the end of the block, all or none. Raises SelfInstructError.
        """
        self._check_names()
        with ExitStack() as stack:
            first = stack.enter_context(open_input(self.inputs[0], self.input_format))
            self._check_others()
            formats = self._output_formats(first)
            outputs = {"kept": self.output, "rejected": self.rejected, "report": self.report}
            writers = {
                name: stack.enter_context(
                    write_records(path, format=formats[name], like=first.reader)
                )
                for name, path in outputs.items()
                if path is not None
            }
            yield OpenLists(self, first, **writers)
            for writer in writers.values():  # Complete all files before the first is renamed.
                writer.complete()
            hold()

    def _check_names(self) -> None:
        """Raise ConfigError, InputError for files that cannot be combined."""
        if not self.inputs:
            raise ConfigError("inputs", "names no file")
        if [*self.inputs, *self.against].count("-") > 1:
            raise InputError("stdin", "can be read only once; specify - only once")
        if self.report is not None and format_of(self.report) not in (None, "jsonl"):
            raise InputError(self.report, "is written as JSON Lines; end its name in .jsonl")
        others = [path for path in (self.rejected, self.report) if path is not None]
        refuse_collisions(
            self.output, others, inputs=self.inputs, read=self.against, how=" of --against"
        )

    def _check_others(self) -> None:
        """Check that the other files can be read, because the job may reach them only after an hour.

        Pipes are not checked, because they can be opened only once. Raises InputError.
        """
        for name in (*self.inputs[1:], *self.against):
            if name != "-" and (Path(name).is_file() or not Path(name).exists()):
                is_input = name in self.inputs
                with open_input(name, self.input_format) if is_input else read_records(name):
                    pass

    def _output_formats(self, first: Source) -> dict[str, str]:
        """Return each output's format by output name. Raises InputError for an unknown suffix."""
        option = "--output-format"
        check_format("output_format", self.output_format)
        like = first.reader.format if first.reader is not None else "jsonl"
        kept = self.output_format or known_format(self.output, option) or like
        rejected = None
        if self.rejected is not None:
            is_given = self.output_format is not None
            rejected = format_of(self.rejected) if is_given else known_format(self.rejected, option)
        return {"kept": kept, "rejected": rejected or kept, "report": "jsonl"}


def refuse_collisions(
    output: Path,
    others: Iterable[Path],
    *,
    inputs: Iterable[str],
    read: Iterable[str],
    how: str = "",
) -> None:
    """Raise InputError if two outputs are the same file, or if an output would replace a file that is read.

    Only `output` may replace one of the `inputs`. `how` is the option that reads the files in `read`, for the
    error message.
    """
    replaced, kept = ({_real(name) for name in names} for names in (inputs, read))
    taken: set[str] = set()
    for path in (output, *others):
        real = _real(path)
        if real in taken:
            problem = "would be written twice, with different content; choose another name"
            raise InputError(path, problem)
        if real in kept:
            raise InputError(
                path, f"is an input{how} and must not be replaced; choose another output name"
            )
        if real in replaced and path != output:
            raise InputError(path, "is an input, which only -o may replace; choose another name")
        taken.add(real)


def _real(name: Path | str) -> str:
    """Return the real path. stdin and stdout get different paths, although both are named "-"."""
    return os.path.realpath(name) if str(name) != "-" else f"- of {type(name).__name__}"


@dataclass
class OpenLists:
    """One job's open files."""

    files: ListFiles
    first: Source
    kept: RecordWriter
    rejected: RecordWriter | None = None
    report: RecordWriter | None = None
    share: float | None = field(default=0.0, init=False)
    """The share of the input read so far, from 0 to 1; None if unknown."""

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield the records of all inputs, each with its file name."""
        names = self.files.inputs
        for number, name in enumerate(names):
            others = open_input(name, self.files.input_format)
            with nullcontext(self.first) if number == 0 else others as source:
                for record in source.records():
                    read = source.reader.share if source.reader is not None else None
                    self.share = None if read is None else (number + read) / len(names)
                    yield name, record
