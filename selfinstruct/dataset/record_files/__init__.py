"""Lists of records in files: JSON, JSONL, CSV, Parquet. Read and written one by one, however many they are.

    with read_records("alpaca.json") as records, write_records("short.jsonl") as short:
        for record in records:
            if len(record.fields["output"]) < 100:
                short.write(record, {"source": record.place})

    json      a list of objects: [{…}, {…}]
    jsonl     an object a line
    csv       a header and rows; every value is text
    parquet   needs pyarrow: pip install 'selfinstruct[parquet]'

The format is told from the suffix (.json, .jsonl or .ndjson, .csv, .parquet; the first three also with .gz
behind it) or, where that says nothing, from the first characters. "-" is stdin or stdout.

A record keeps what is in it. Between JSON and JSONL the text of an object is written as it was read: 1.10
stays 1.10, a key that stands twice stands twice. Parquet to Parquet keeps the types, CSV to CSV the strings.
Knows nothing of what records are for.
"""

from selfinstruct.dataset.record_files.formats import FORMATS, format_of
from selfinstruct.dataset.record_files.reading import RecordReader, read_records
from selfinstruct.dataset.record_files.record import Record
from selfinstruct.dataset.record_files.spool import RecordSpool
from selfinstruct.dataset.record_files.writing import RecordWriter, write_records

__all__ = [
    "FORMATS",
    "Record",
    "RecordReader",
    "RecordSpool",
    "RecordWriter",
    "format_of",
    "read_records",
    "write_records",
]
