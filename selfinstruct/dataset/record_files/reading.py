"""Opens a file of records in any supported format."""

from collections.abc import Mapping
from pathlib import Path

from selfinstruct.dataset.record_files.csv_reading import CsvReader
from selfinstruct.dataset.record_files.formats import FORMATS, format_of
from selfinstruct.dataset.record_files.json_reading import (
    JsonLinesReader,
    JsonListReader,
    begins_with_lines,
)
from selfinstruct.dataset.record_files.parquet import ParquetReader
from selfinstruct.dataset.record_files.source import RecordReader, Source
from selfinstruct.errors import InputError

_READERS: Mapping[str, type[RecordReader]] = {
    "json": JsonListReader,
    "jsonl": JsonLinesReader,
    "csv": CsvReader,
    "parquet": ParquetReader,
}


def read_records(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    option: str | None = None,
) -> RecordReader:
    """Open a file of records; "-" is stdin.

    `format` is one of FORMATS. If None, the suffix or the first characters determine the format. `option` is
    the command-line option that sets the format, for error messages. Raises InputError if the file cannot be
    read, is empty, or has an unknown format.
    """
    source = Source(path, option)
    try:
        if not source.head.strip():
            raise InputError(source.name, "is empty; write [] for a list without records")  # noqa: TRY301
        return _READERS[format or _detected(source, path)](source)
    except BaseException:
        source.close()
        raise


def _detected(source: Source, path: Path | str) -> str:
    named, sniffed = format_of(path), source.sniffed()
    if named == "json" and begins_with_lines(source.head):
        return "jsonl"  # Many JSON lines files are named .json.
    if named == "jsonl" and sniffed == "json":
        return "json"  # Some JSON lists are named .jsonl.
    known = named or sniffed
    if known is None:
        problem = "has a format that cannot be determined from its name or first character"
        raise InputError(source.name, f"{problem}; {source.remedy(*FORMATS)}")
    return known
