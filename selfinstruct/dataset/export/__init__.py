"""Export of rows to files for trainers. Written completely or not at all; the same rows give the same bytes.

rows            of a run (`provenance_rows`) or of Alpaca-style records (`rows_of`)
  → selection   the first instructions, the first rows of each, parts, order
  → shape       alpaca, prompt-completion, messages, sharegpt, or every column
  → file        JSON, JSON lines, CSV, Parquet, or a folder for the package `datasets`

with writing(Path("chats.jsonl"), ExportOptions(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))

`export_files` does all of this for a run or a file, and writes the files next to the data.
"""

from selfinstruct.dataset.export.alpaca_files import rows_of
from selfinstruct.dataset.export.card import CardRequest
from selfinstruct.dataset.export.export_files import (
    SIMILARITIES,
    ExportFiles,
    ExportSummary,
    export_files,
)
from selfinstruct.dataset.export.formats import CONTAINERS, FORMATS, ExportOptions, read_shares
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
from selfinstruct.dataset.export.sources import RowSelection
from selfinstruct.dataset.export.writing import Export, Part, writing

__all__ = [
    "COLUMN_TYPES",
    "CONTAINERS",
    "FORMATS",
    "PROVENANCE_COLUMNS",
    "PUBLISHED",
    "SIMILARITIES",
    "Added",
    "CardRequest",
    "Export",
    "ExportFiles",
    "ExportOptions",
    "ExportSummary",
    "Part",
    "Row",
    "RowSelection",
    "export_files",
    "first_instructions",
    "provenance_rows",
    "read_shares",
    "rows_of",
    "select",
    "writing",
]
