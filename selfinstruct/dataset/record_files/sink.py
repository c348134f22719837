"""Writes a file that appears complete or not at all, or writes to a stream directly."""

import gzip
import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self, cast

from selfinstruct.dataset.record_files.formats import STANDARD
from selfinstruct.errors import ExportError, InputError
from selfinstruct.files import because, create, is_stream, sync_directory, temporary_beside
from selfinstruct.runner.run_file_names import EXPORTS, owning_run


class Target(ABC):
    """A file or directory that is created under a temporary name. `finish` renames it to its final name.

    `abandon` may be called at any time and undoes everything. The methods raise ExportError if the target
    cannot be written, InputError if the target belongs to a run, and OSError if writing to stdout fails.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._is_stdout = str(path) == STANDARD
        self._new_folders: list[Path] = []
        if "\0" in str(path):
            raise ExportError(self.path, "is not a valid file name; choose another")

    @abstractmethod
    def open(self) -> None:
        """Create the target under its temporary name. If this is interrupted, `abandon` still works."""

    @abstractmethod
    def finish(self) -> None:
        """Rename the target to its final name, which needs no disk space."""

    def abandon(self) -> None:
        """Remove everything that was created. An existing file or directory with the final name is kept."""
        for folder in reversed(self._new_folders):
            with suppress(OSError):
                folder.rmdir()

    @contextmanager
    def whole(self) -> Iterator[Self]:
        """Open the target. Finish it at the end of the block, or abandon it if the block raises."""
        try:
            self.open()
            yield self
            self.finish()
        except BaseException:  # Includes KeyboardInterrupt.
            self.abandon()
            raise

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn operating-system errors into ExportError, except errors of stdout."""
        try:
            yield
        except OSError as error:
            if self._is_stdout:
                raise
            raise ExportError(self.path, f"cannot be written {because(error)}") from None

    def _make_parents(self, real: Path) -> None:
        for folder in reversed([folder for folder in real.parents if not folder.exists()]):
            self._new_folders.append(folder)
            folder.mkdir()


class Sink(Target):
    """Writes bytes to a temporary file. For stdout, pipes and devices, it writes to them directly.

    Write to `stream` between `open` and `complete`.
    """

    stream: IO[bytes]
    """The stream to write to. It compresses the bytes if the file name ends in .gz."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.is_packed = self.path.suffix.lower() == ".gz"
        self._temporary: Path | None = None
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Create the temporary file, or open the existing stream."""
        with self.faults():
            self.stream = self._file = self._opened()
        if self.is_packed:
            # Store no file name and no time, so the same records always produce the same bytes.
            packed = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", mtime=0)
            self.stream = cast(IO[bytes], packed)

    def _opened(self) -> IO[bytes]:
        if self._is_stdout:
            if sys.stdout is None:
                raise ExportError(self.path, "stdout is closed")
            return sys.stdout.buffer
        path = self.path.absolute()
        if is_stream(path):
            return path.open("ab")
        if run := owning_run(path):
            problem = (
                f"is a file of the run in {run} and is not replaced; choose another name, such as"
            )
            raise InputError(self.path, f"{problem} {run / EXPORTS / path.name}")
        real = Path(os.path.realpath(path))
        if real.is_dir():
            raise ExportError(self.path, "cannot be written (Is a directory); choose a file")
        self._make_parents(real)
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        self._real = real
        # Store the name before the file exists, because an interruption may happen in between.
        self._temporary = temporary_beside(real)
        return os.fdopen(create(self._temporary, mode), "wb")

    def complete(self) -> None:
        """Flush all bytes to the disk, and close the file."""
        assert self._file is not None
        with self.faults():
            if self.stream is not self._file:
                self.stream.close()
            self._file.flush()
            if self._temporary is not None:
                os.fsync(self._file.fileno())
            if not self._is_stdout:
                self._file.close()

    def finish(self) -> None:
        """Rename the temporary file to its final name."""
        with self.faults():
            if self._temporary is not None:
                self._temporary.replace(self._real)
                self._temporary = None
                sync_directory(self._real.parent)

    def abandon(self) -> None:
        """Remove the temporary file and the directories that were created for it."""
        if self._file is not None and not self._is_stdout:
            with suppress(OSError):
                self._file.close()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()
        super().abandon()


class MemorySink(Sink):
    """Keeps the bytes in memory and never writes a file."""

    def open(self) -> None:
        """Start with an empty buffer."""
        self.is_packed = False
        self.stream = io.BytesIO()

    def complete(self) -> None:
        """Do nothing, because the bytes stay in `stream`."""
