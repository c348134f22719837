"""Base classes for reading: the decompressed bytes of a file or of stdin, and the records in these bytes."""

import gzip
import io
import os
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from selfinstruct.dataset.record_files.formats import STANDARD
from selfinstruct.errors import InputError
from selfinstruct.files import because

LONGEST_LINE = 100_000_000
"""Maximum length of a line, in bytes, so that a file without line ends does not fill the memory."""
LARGEST_LIST = 1_000_000_000
"""Maximum size of a JSON list, in bytes. The whole list is kept in memory."""

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_CHUNK = 1 << 18


class _Again(io.RawIOBase):
    """A stream that first returns bytes that were already read, and then the rest."""

    def __init__(self, head: bytes, stream: io.BufferedIOBase) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # `read1` returns what a pipe contains now, so a record is read as soon as it is complete.
        chunk = self._head[: len(buffer)] or self._stream.read1(len(buffer))
        self._head = self._head[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _begun(stream: io.BufferedIOBase) -> tuple[bytes, io.BufferedReader]:
    """Return the first bytes of a stream, and a stream that returns these bytes again.

    Reads until there are at least four bytes besides surrounding white space, or until the stream ends.
    """
    head = b""
    while len(head.removeprefix(_BOM).strip()) < len(_PARQUET):
        chunk = stream.read1(_CHUNK)
        if not chunk:
            break
        head += chunk
    return head, io.BufferedReader(_Again(head, stream), _CHUNK)


class Source:
    """The decompressed bytes of a file, or of stdin for "-".

    `option` is the command-line option that sets the format, for error messages. Raises InputError if the
    file does not exist or cannot be read.
    """

    def __init__(self, path: Path | str, option: str | None = None) -> None:
        self._option = option
        self._is_standard = str(path) == STANDARD
        self.name = "stdin" if self._is_standard else str(path)
        with self.faults():
            self._file = self._opened(path)
        is_regular = not self._is_standard and Path(path).is_file()
        self._size = os.fstat(self._file.fileno()).st_size if is_regular else None
        try:
            with self.faults():
                head, self.stream = _begun(self._file)
                self._is_packed = head.startswith(_GZIP)
                if self._is_packed:
                    head, self.stream = _begun(gzip.GzipFile(fileobj=self.stream, mode="rb"))
        except BaseException:
            self.close()
            raise
        self.head = head.removeprefix(_BOM)
        """The first bytes, without a byte order mark."""
        if head.startswith(_BOM):
            self.stream.read(len(_BOM))

    def _opened(self, path: Path | str) -> io.BufferedReader:
        if "\0" in self.name:
            raise InputError(self.name, "is not a valid file name; choose another")
        if not self._is_standard:
            return Path(path).open("rb")
        if sys.stdin is None:
            raise InputError("stdin", "is closed; specify a file")
        return cast(io.BufferedReader, sys.stdin.buffer)

    @property
    def share(self) -> float | None:
        """The share of the file read so far, from 0 to 1; None for a pipe."""
        return self._file.tell() / self._size if self._size else None

    def seekable(self) -> IO[bytes]:
        """Return the content as a seekable file. A pipe or a gzip file is read into memory."""
        if self._size is not None and not self._is_packed:
            return self._file
        with self.faults():
            return io.BytesIO(self.stream.read())

    def remedy(self, *formats: str) -> str:
        """Return a remedy for error messages: how to make selfinstruct read one of these formats."""
        advice = f"specify {self._option} " if self._option else "choose a file that ends in "
        *others, last = (name if self._option else f".{name}" for name in formats)
        listed = f"{', '.join(others)} or {last}" if others else last
        return advice + listed

    def sniffed(self) -> str | None:
        """Return the format that the first characters indicate; None if unknown."""
        if self.head.startswith(_PARQUET):
            return "parquet"
        return {b"[": "json", b"{": "jsonl"}.get(self.head.lstrip()[:1])

    def text(self) -> str:
        """Return the whole content as text. Raises InputError if it is too large or not UTF-8."""
        with self.faults():
            data = self.stream.read(LARGEST_LIST + 1)
        if len(data) > LARGEST_LIST:
            problem = f"is a JSON list of more than {LARGEST_LIST:,} bytes; convert it to .jsonl"
            raise InputError(self.name, f"{problem} (jq -c '.[]' FILE)")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problem = f"is not UTF-8 text ({error.reason}); save the file as UTF-8"
            raise InputError(self.name, problem, line=line) from None

    def text_lines(self) -> Iterator[tuple[int, str]]:
        """Yield each line number and line, including the line end. Raises InputError with the line number."""
        with self.faults():
            lines = iter(lambda: self.stream.readline(LONGEST_LINE + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > LONGEST_LINE:
                    problem = f"is longer than {LONGEST_LINE:,} bytes; choose a file of records"
                    raise InputError(self.name, problem, line=number)
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError as error:
                    problem = f"is not UTF-8 text (byte {error.start + 1}); save the file as UTF-8"
                    raise InputError(self.name, problem, line=number) from None
                if "\0" in text:
                    raise InputError(self.name, "has a NUL character; delete it", line=number)
                yield number, text

    def close(self) -> None:
        """Close the file, unless it is stdin."""
        if not self._is_standard:
            self._file.close()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn operating-system and gzip errors into InputError."""
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            reason = str(error).lower().rstrip(".")
            problem = f"is not a complete gzip file ({reason}); download or create it again"
            raise InputError(self.name, problem) from None
        except OSError as error:
            raise InputError(self.name, f"cannot be read {because(error)}") from None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read from a file."""

    fields: Mapping[str, Any]
    """The record's values by field name."""
    source: str
    """The file name that the user specified, or "stdin"."""
    number: int
    """The record's position in the file, counting from 1."""
    line: int | None = None
    """The number of the record's first line; None for JSON lists and Parquet files."""

    @property
    def place(self) -> str:
        """The record's source and position, such as "data.jsonl:17" (a line) or "data.parquet: record 17"."""
        if self.line is not None:
            return f"{self.source}:{self.line}"
        return f"{self.source}: record {self.number}"

    def fault(self, problem: str) -> InputError:
        """Return an error that states the problem and the record's place."""
        if self.line is not None:
            return InputError(self.source, problem, line=self.line)
        return InputError(self.source, f"record {self.number}: {problem}")


class RecordReader(AbstractContextManager["RecordReader"], ABC):
    """Reads the records of one file in order. Can be iterated over only once.

    As a context manager, it closes the file.
    """

    format: str
    """The file format; one of FORMATS."""
    layout: Any = None
    """A CSV file's header or a Parquet file's schema, for `write_records(like=…)`; None for other formats."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._remaining = self._records()

    @property
    def name(self) -> str:
        """The file name that the user specified, or "stdin"."""
        return self._source.name

    @property
    def share(self) -> float | None:
        """The share of the file read so far, from 0 to 1; None for pipes and empty files."""
        return self._source.share

    def __iter__(self) -> Iterator[Record]:
        """Return an iterator over the remaining records, which raises InputError with the problem's place."""
        return self._remaining

    @abstractmethod
    def _records(self) -> Iterator[Record]:
        """Yield all records in the file."""

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __exit__(self, *_: object) -> None:
        self.close()
