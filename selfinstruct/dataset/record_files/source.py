"""The bytes of a file or of stdin, decompressed, and the records in them."""

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
"""Maximum of bytes in a line. A longer line would fill the memory."""
LARGEST_LIST = 1_000_000_000
"""Maximum of bytes in a JSON list, which is in memory as a whole."""

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_CHUNK = 1 << 18


class _Again(io.RawIOBase):
    """A stream with bytes that were read already put before its rest."""

    def __init__(self, head: bytes, stream: io.BufferedIOBase) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # `read1` returns what a pipe has now, so that a reader can watch the pipe.
        chunk = self._head[: len(buffer)] or self._stream.read1(len(buffer))
        self._head = self._head[len(chunk) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _begun(stream: io.BufferedIOBase) -> tuple[bytes, io.BufferedReader]:
    """Return the beginning of a stream, and a stream that yields the beginning again.

    The beginning has at least four characters after leading white space if there are any.
    """
    head = b""
    while len(head.removeprefix(_BOM).strip()) < len(_PARQUET):
        chunk = stream.read1(_CHUNK)
        if not chunk:
            break
        head += chunk
    return head, io.BufferedReader(_Again(head, stream), _CHUNK)


class Source:
    """The decompressed bytes of a path or of "-".

    `option` is the command-line option for the format, for error messages. Raises InputError if the file does
    not exist or cannot be read.
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
        """The first characters."""
        if head.startswith(_BOM):
            self.stream.read(len(_BOM))

    def _opened(self, path: Path | str) -> io.BufferedReader:
        if not self._is_standard:
            return Path(path).open("rb")
        if sys.stdin is None:
            raise InputError("stdin", "is closed; name a file")
        return cast(io.BufferedReader, sys.stdin.buffer)

    @property
    def share(self) -> float | None:
        """The share of the file that was read; None for a pipe."""
        return self._file.tell() / self._size if self._size else None

    def seekable(self) -> IO[bytes]:
        """Return the whole content as a seekable file; a pipe is in memory."""
        if self._size is not None and not self._is_packed:
            return self._file
        with self.faults():
            return io.BytesIO(self.stream.read())

    def remedy(self, *formats: str) -> str:
        """Return a sentence that says how to have the source read as one of these formats."""
        advice = f"give {self._option} " if self._option else "name a file that ends in "
        *others, last = (name if self._option else f".{name}" for name in formats)
        listed = f"{', '.join(others)} or {last}" if others else last
        return advice + listed

    def sniffed(self) -> str | None:
        """Return the format that the first characters show; None if unknown."""
        if self.head.startswith(_PARQUET):
            return "parquet"
        return {b"[": "json", b"{": "jsonl"}.get(self.head.lstrip()[:1])

    def text(self) -> str:
        """Return the whole content as text. Raises InputError."""
        with self.faults():
            data = self.stream.read(LARGEST_LIST + 1)
        if len(data) > LARGEST_LIST:
            problem = f"is a JSON list of more than {LARGEST_LIST:,} bytes; write it as .jsonl"
            raise InputError(self.name, f"{problem} (jq -c '.[]' FILE)")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problem = f"is not UTF-8 text ({error.reason}); save the file as UTF-8"
            raise InputError(self.name, problem, line=line) from None

    def text_lines(self) -> Iterator[tuple[int, str]]:
        """Yield numbered lines, each with its line end. Raises InputError with the line number."""
        with self.faults():
            lines = iter(lambda: self.stream.readline(LONGEST_LINE + 1), b"")
            for number, line in enumerate(lines, start=1):
                if len(line) > LONGEST_LINE:
                    problem = f"is longer than {LONGEST_LINE:,} bytes; name a file of records"
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
        """Close the file; stdin stays open."""
        if not self._is_standard:
            self._file.close()

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn errors of the operating system and of gzip into InputError."""
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            reason = str(error).lower().rstrip(".")
            problem = f"is not a complete gzip file ({reason}); download or create it again"
            raise InputError(self.name, problem) from None
        except OSError as error:
            raise InputError(self.name, f"cannot be read {because(error)}") from None
        except ValueError as error:
            if "embedded null" not in str(error):
                raise
            raise InputError(self.name, "is not a valid file name; choose another") from None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read."""

    fields: Mapping[str, Any]
    """The values by field name."""
    source: str
    """The file name as given, or "stdin"."""
    number: int
    """The position among the records of the file, from 1."""
    line: int | None = None
    """The first line of the record; None in a JSON list and in Parquet."""

    @property
    def place(self) -> str:
        """Source and position: "data.jsonl:17" (a line), or "data.parquet: record 17"."""
        if self.line is not None:
            return f"{self.source}:{self.line}"
        return f"{self.source}: record {self.number}"

    def fault(self, problem: str) -> InputError:
        """Return an error that names the place of the record."""
        if self.line is not None:
            return InputError(self.source, problem, line=self.line)
        return InputError(self.source, f"record {self.number}: {problem}")


class RecordReader(AbstractContextManager["RecordReader"], ABC):
    """The records of one file in order; can be iterated over once. A context manager that closes the file."""

    format: str
    """One of FORMATS."""
    layout: Any = None
    """The header of a CSV file or the schema of a Parquet file, for `write_records(like=…)`; else None."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._remaining = self._records()

    @property
    def name(self) -> str:
        """The file name as given, or "stdin"."""
        return self._source.name

    @property
    def share(self) -> float | None:
        """The share of the file that was read, from 0 to 1; None for a pipe."""
        return self._source.share

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the remaining records. Raises InputError with the place of the problem."""
        return self._remaining

    @abstractmethod
    def _records(self) -> Iterator[Record]:
        """Yield all records."""

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __exit__(self, *_: object) -> None:
        self.close()
