"""Reads and writes files of records: JSON, JSON lines, CSV and Parquet.

    with read_records("alpaca.json") as records, write_records("short.jsonl") as short:
        for record in records:
            if len(record.fields["output"]) < 100:
                short.write(record, {"source": record.place})

    json      a list of objects: [{…}, {…}]; the whole list is kept in memory
    jsonl     an object per line
    csv       a header and rows; every value is text
    parquet   needs pyarrow: pip install 'selfinstruct[parquet]'

The suffix determines the format: .json, .jsonl or .ndjson, .csv, .parquet; the first four also with .gz. If
the suffix is unknown, the first characters in the file decide. "-" is stdin or stdout.

Values keep their meaning, but not their spelling: 1.10 becomes 1.1, and the last of several duplicate keys is
used. Integers stay exact. JSON has no NaN and no infinity, so both are written as null. From Parquet to
Parquet, the column types are kept. If the values of a Parquet column have no common type, writing fails with
an error that names the field. CSV and Parquet files are kept in memory until the last record, because their
columns depend on all records.
"""

from selfinstruct.dataset.record_files.formats import FORMATS, format_of
from selfinstruct.dataset.record_files.reading import read_records
from selfinstruct.dataset.record_files.source import Record, RecordReader
from selfinstruct.dataset.record_files.writing import RecordWriter, write_records

__all__ = [
    "FORMATS",
    "Record",
    "RecordReader",
    "RecordWriter",
    "format_of",
    "read_records",
    "write_records",
]
