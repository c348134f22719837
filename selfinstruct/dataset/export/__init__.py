"""From rows to files that trainers read. Written whole or not at all; the same rows give the same bytes.

rows            of a run (`provenance_rows`) or of anyone's Alpaca-style records (`rows_of`)
  → selection   the first instructions, some rows of each, parts, order
  → shape       what a row looks like: alpaca, prompt-completion, messages, sharegpt, or all it has
  → file        JSON, JSONL, CSV, Parquet, or a folder for the package `datasets`

with writing(Path("chats.jsonl"), Wanted(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))
"""

from selfinstruct.dataset.export.alpaca_files import rows_of
from selfinstruct.dataset.export.formats import CONTAINERS, FORMATS, Wanted, read_shares
from selfinstruct.dataset.export.rows import (
    COLUMN_TYPES,
    PROVENANCE_COLUMNS,
    PUBLISHED,
    Added,
    Row,
    provenance_rows,
    select,
)
from selfinstruct.dataset.export.selection import first_instructions
from selfinstruct.dataset.export.writing import Export, Part, writing

__all__ = [
    "COLUMN_TYPES",
    "CONTAINERS",
    "FORMATS",
    "PROVENANCE_COLUMNS",
    "PUBLISHED",
    "Added",
    "Export",
    "Part",
    "Row",
    "Wanted",
    "first_instructions",
    "provenance_rows",
    "read_shares",
    "rows_of",
    "select",
    "writing",
]
