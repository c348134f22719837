"""Where a file is written: a file that appears whole or not at all, or a stream that somebody reads."""

import gzip
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from selfinstruct.dataset.record_files.formats import STANDARD, is_gzipped
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.errors import ExportError, InputError
from selfinstruct.files import (
    because,
    create,
    is_stream,
    sync_directory,
    temporary_beside,
)
from selfinstruct.runner.run_files import EXPORTS, owning_run


class Sink:
    """Takes bytes for a path, between `open` and `complete`.

    Then `finish` gives the file its name; `abandon` takes all back, at any time. A file is written beside
    its place, under another name. stdout, pipes and devices are written to at once. Raises ExportError where
    a file cannot be written, InputError for a file that a run consists of; what goes wrong with stdout is an
    OSError, since it has no name to give.
    """

    stream: IO[bytes]
    """Where to write."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.folder: Path | None = None
        """Where the file will lie; None for a stream."""
        self._temporary: Path | None = None
        self._made: list[Path] = []
        self._is_stdout = str(path) == STANDARD
        self._below: IO[bytes] | None = None

    def open(self) -> None:
        """Make the file. Whatever comes in between, even if it was not told to be open, can be abandoned."""
        with self.faults():
            self.stream = self._below = self._opened()
        if is_gzipped(self.path):
            # Without name and time: the same records give the same bytes.
            packed = gzip.GzipFile(filename="", fileobj=self._below, mode="wb", mtime=0)
            self.stream = cast(IO[bytes], packed)

    def _opened(self) -> IO[bytes]:
        if self._is_stdout:
            if sys.stdout is None:
                raise ExportError(self.path, "stdout is closed")
            return sys.stdout.buffer
        path = self.path.absolute()
        if is_stream(path):
            return path.open("ab")
        run = owning_run(path)
        if run is not None:
            raise InputError(
                self.path,
                f"is a part of the run in {run} and is not replaced; choose another name, such as "
                f"{run / EXPORTS / path.name}",
            )
        real = Path(os.path.realpath(path))
        if real.is_dir():
            raise ExportError(self.path, "cannot be written (Is a directory); name a file")
        while not real.parent.exists():
            missing = next(p for p in reversed(real.parents) if not p.exists())
            self._made.append(missing)
            missing.mkdir()
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        self.folder, self._real = real.parent, real
        # Noted before it is there, since an interruption may come in between.
        self._temporary = temporary_beside(real)
        return os.fdopen(create(self._temporary, mode), "wb")

    def complete(self) -> None:
        """Everything was written, and is to be on the disk."""
        assert self._below is not None
        with self.faults():
            if self.stream is not self._below:
                self.stream.close()
            self._below.flush()
            if self._temporary is not None:
                os.fsync(self._below.fileno())
            if not self._is_stdout:
                self._below.close()

    def finish(self) -> None:
        """Give the file its name, which needs no room on the disk."""
        with self.faults():
            if self._temporary is not None:
                self._temporary.replace(self._real)
                self._temporary = None
                sync_directory(self._real.parent)

    def abandon(self) -> None:
        """Something went wrong: what was there before stands, and nothing else is left."""
        if self._below is not None and not self._is_stdout:
            with suppress(OSError):
                self._below.close()
        self._tidy_up()

    def _tidy_up(self) -> None:
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Say in a sentence why the file cannot be written."""
        try:
            yield
        except OSError as error:
            if self._is_stdout:
                raise
            raise ExportError(self.path, f"cannot be written {because(error)}") from None
        except ValueError as error:
            if "embedded null" not in str(error):
                raise
            raise ExportError(self.path, "is no name of a file; choose another") from None


class SinkWriter:
    """What the writers of all formats share."""

    def __init__(self, sink: Sink, layout: Any) -> None:
        """`layout` is a header or a schema to begin with, if there is one."""
        self._sink = sink
        self._layout = layout
        self.types: Mapping[str, str] = {}
        """What values of columns are, for formats that have types; else it is told from the values."""
        self.is_marked = False
        """Whether a table begins with the mark by which Excel knows UTF-8."""

    def write(self, record: Record, added: Mapping[str, Any]) -> None:
        """Write a record and what is added to it, now or later."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is still to be written."""

    def close(self) -> None:
        """Let go of temporary files."""
