"""Bytes of a file or of stdin, compressed or not, and what their beginning tells."""

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from selfinstruct.dataset.record_files.formats import STANDARD
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.errors import InputError
from selfinstruct.files import because

LONGEST = 100_000_000
"""Bytes of a line or a record. What is longer is something else, and would fill memory."""

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_PIECE = 1 << 18


class _Lookahead(io.RawIOBase):
    """A stream whose beginning can be looked at before it is read; counts what was taken from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head = b""
        self.count = 0

    def look(self) -> bytes:
        """The beginning, up to some character that is no space; all of it where there is none."""
        while len(self._head.removeprefix(_BOM).strip()) < len(_PARQUET):
            piece = cast(io.BufferedReader, self._stream).read1(_PIECE)
            if not piece:
                break
            self._head += piece
            self.count += len(piece)
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            piece, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            piece = cast(io.BufferedReader, self._stream).read1(len(buffer))
            self.count += len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


class Source:
    """What a path or "-" gives: bytes, decompressed.

    Raises InputError where there is no such file or it cannot be read. `option` is how a person names the
    format of it, if they can.
    """

    def __init__(self, path: Path | str, option: str | None = None) -> None:
        self._option = option
        is_standard = str(path) == STANDARD
        self.name = "stdin" if is_standard else str(path)
        with self.faults():
            if not is_standard:
                opened: IO[bytes] = Path(path).open("rb")  # noqa: SIM115 - `close` does
            elif sys.stdin is None:
                raise InputError("stdin", "is closed; name a file")
            else:
                opened = sys.stdin.buffer
        self._file = opened
        self._is_ours = not is_standard
        self._lowest = self._top = _Lookahead(opened)
        is_regular = self._is_ours and Path(path).is_file()
        self.total_bytes = os.fstat(opened.fileno()).st_size if is_regular else None
        try:
            with self.faults():
                if self._top.look().startswith(_GZIP):
                    whole = io.BufferedReader(self._lowest)
                    unpacked = gzip.GzipFile(fileobj=whole, mode="rb")
                    self._top = _Lookahead(cast(IO[bytes], unpacked))
                self.head = self._top.look().removeprefix(_BOM)
        except BaseException:
            self.close()
            raise
        self.stream = io.BufferedReader(self._top, _PIECE)
        if self._top.look().startswith(_BOM):
            self.stream.read(len(_BOM))

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies there, compressed or not."""
        return self._lowest.count

    @property
    def file(self) -> IO[bytes]:
        """The whole of it, for formats that jump about in a file; a pipe is copied to the disk first."""
        if self.total_bytes is not None and self._top is self._lowest:
            self._file.seek(0)
            return self._file
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - its user closes it
        with self.faults():
            shutil.copyfileobj(self.stream, copy)
        copy.seek(0)
        return copy

    def as_format(self, *formats: str) -> str:
        """What makes it be read as one of these formats, for a person."""
        dot = "" if self._option else "."
        *others, last = (f"{dot}{name}" for name in formats)
        listed = f"{', '.join(others)} or {last}" if others else last
        if self._option:
            return f"give {self._option} {listed}"
        return (
            f"let its name end in {listed}"
            if self._is_ours
            else f"name a file that ends in {listed}"
        )

    def sniffed(self) -> str | None:
        """The format that the beginning shows."""
        if self.head.startswith(_PARQUET):
            return "parquet"
        return {b"[": "json", b"{": "jsonl"}.get(self.head.lstrip()[:1])

    def is_empty(self) -> bool:
        """Whether there is nothing but space in it."""
        return not self.head.strip()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Its lines with their numbers, each with its end; as they come, so that a pipe can be watched."""
        with self.faults():
            read = iter(lambda: self.stream.readline(LONGEST + 1), b"")
            for number, line in enumerate(read, start=1):
                if len(line) > LONGEST:
                    problem = f"is longer than {LONGEST:,} bytes, so it is no line of records"
                    raise InputError(self.name, f"{problem}; name another file", line=number)
                yield number, line

    def text_lines(self) -> Iterator[tuple[int, str]]:
        """The same, as text. Raises InputError with the line for what is no text."""
        for number, line in self.lines():
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                problem = f"is not UTF-8 text (byte {error.start + 1} of the line); save it as such"
                raise InputError(self.name, problem, line=number) from None
            if "\0" in text:
                raise InputError(self.name, "holds a NUL character; delete it", line=number)
            yield number, text

    def close(self) -> None:
        """Close the file. stdin stays open."""
        if self._is_ours:
            self._file.close()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Say in a sentence what is wrong with the file, whoever finds it."""
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            said = str(error).lower().rstrip(".")
            problem = f"is not a whole gzip file ({said}); get or make it anew"
            raise InputError(self.name, problem) from None
        except OSError as error:
            raise InputError(self.name, f"cannot be read {because(error)}") from None
        except ValueError as error:
            if "embedded null" not in str(error):
                raise
            raise InputError(self.name, "is no name of a file; choose another") from None


class SourceReader:
    """What the readers of all formats share."""

    layout: Any = None
    """What a file of this format has besides its records: a header, a schema."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def bytes_read(self) -> int:
        """How much of the file was read."""
        return self._source.bytes_read

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __iter__(self) -> Iterator[Record]:
        raise NotImplementedError
