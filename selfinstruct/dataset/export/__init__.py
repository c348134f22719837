"""Export of rows to files for trainers. Written completely or not at all; the same rows give the same bytes.

rows            of a run (`provenance_rows`) or of Alpaca-style records (`rows_of`)
  → selection   the first instructions, the first rows of each, parts, order
  → shape       alpaca, prompt-completion, messages, sharegpt, or every column
  → file        JSON, JSON lines, CSV, Parquet, or a folder for the package `datasets`

with writing(Path("chats.jsonl"), ExportOptions(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))

`export_files` does all of this for a run or a file, and writes the files next to the data.
"""
