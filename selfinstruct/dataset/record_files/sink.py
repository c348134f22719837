"""A file that appears complete or not at all, or a stream that is written at once."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from selfinstruct.dataset.record_files.formats import STANDARD, is_gzipped
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
    """Takes the bytes of a file between `open` and `complete`; `finish` then gives the file its name.

    `abandon` undoes everything, at any time. A file is written next to its place under a temporary name.
    stdout, pipes and devices are written to at once. Raises ExportError if a file cannot be written,
    InputError for a file of a run directory, and OSError for stdout, which has no name.
    """

    stream: IO[bytes]
    """The place to write to."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._temporary: Path | None = None
        self._new_folders: list[Path] = []
        self._is_stdout = str(path) == STANDARD
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Create the file. `abandon` also works after an interruption in here."""
        with self.faults():
            self.stream = self._file = self._opened()
        if is_gzipped(self.path):
            # Without name and time, so that the same records give the same bytes.
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
        run = owning_run(path)
        if run is not None:
            problem = (
                f"is a file of the run in {run} and is not replaced; choose another name, such as"
            )
            raise InputError(self.path, f"{problem} {run / EXPORTS / path.name}")
        real = Path(os.path.realpath(path))
        if real.is_dir():
            raise ExportError(self.path, "cannot be written (Is a directory); name a file")
        while not real.parent.exists():
            missing = next(p for p in reversed(real.parents) if not p.exists())
            self._new_folders.append(missing)
            missing.mkdir()
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        self._real = real
        # Noted before the file exists, since an interruption may come in between.
        self._temporary = temporary_beside(real)
        return os.fdopen(create(self._temporary, mode), "wb")

    def complete(self) -> None:
        """Flush everything to the disk."""
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
        """Give the file its name, which needs no room on the disk."""
        with self.faults():
            if self._temporary is not None:
                self._temporary.replace(self._real)
                self._temporary = None
                sync_directory(self._real.parent)

    def abandon(self) -> None:
        """Remove what was created. An earlier file with that name stays."""
        if self._file is not None and not self._is_stdout:
            with suppress(OSError):
                self._file.close()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()
        for folder in reversed(self._new_folders):
            with suppress(OSError):
                folder.rmdir()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn errors of the operating system into ExportError."""
        try:
            yield
        except OSError as error:
            if self._is_stdout:
                raise
            raise ExportError(self.path, f"cannot be written {because(error)}") from None
        except ValueError as error:
            if "embedded null" not in str(error):
                raise
            raise ExportError(self.path, "is not a valid file name; choose another") from None
