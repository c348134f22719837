"""Lists of records in files: JSON, JSON lines, CSV, Parquet.

    with read_records("alpaca.json") as records, write_records("short.jsonl") as short:
        for record in records:
            if len(record.fields["output"]) < 100:
                short.write(record, {"source": record.place})

    json      a list of objects: [{…}, {…}]; the whole list is in memory
    jsonl     an object per line
    csv       a header and rows; every value is text
    parquet   needs pyarrow: pip install 'selfinstruct[parquet]'

The suffix names the format (.json, .jsonl or .ndjson, .csv, .parquet; the first four also with .gz). Without
a known suffix, the first characters of the file decide. "-" is stdin or stdout.

Values keep their meaning, not their spelling: 1.10 becomes 1.1, and of duplicate keys the last one counts.
Integers stay exact. JSON has no NaN and no infinity, so both are written as null. Parquet to Parquet keeps
the column types. A Parquet column needs one type: values that have no common type are an error that names the
field. A CSV or Parquet file is in memory until the end, because its columns depend on all records.
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
