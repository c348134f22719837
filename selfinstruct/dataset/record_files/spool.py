"""Records that wait on the disk until they are wanted again."""

import json
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from selfinstruct.dataset.record_files.record import Record


class RecordSpool:
    """Takes records and gives them back in order, once. A context manager; nothing is left of it afterwards.

    `folder` is where the disk has room; a system's folder for temporary files may lie in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        # It has no name where the system can do that, so that even kill -9 leaves nothing.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__

    def add(self, record: Record) -> None:
        """Put a record behind the others."""
        # The fields of JSON are parsed again: pickle cannot go as deep as JSON can.
        fields = None if isinstance(record.raw, str) else record.fields
        kept = (
            fields,
            record.source,
            record.number,
            record.line,
            record.raw,
            record.size,
            record.is_listed,
        )
        pickle.dump(kept, self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[Record]:
        """The records, from the first."""
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            fields, source, number, line, raw, size, is_listed = pickle.load(self._file)  # noqa: S301 - ours
            given = json.loads(raw) if fields is None else fields
            yield Record(given, source, number, line, raw, size, is_listed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
