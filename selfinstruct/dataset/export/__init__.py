"""Exports rows to files for trainers, completely or not at all. The same rows produce the same bytes.

rows            of a run or of Alpaca-style records (`selfinstruct.dataset.source`)
  → filters     the first instructions, no benchmark items (`selfinstruct.dataset.row_filters`)
  → parts       train and test, and the order of rows
  → shape       alpaca, prompt-completion, messages, sharegpt, or every column
  → file        JSON, JSON lines, CSV, Parquet, or a directory for the package `datasets`

with writing(Path("chats.jsonl"), ExportOptions(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))

`export_records` does all of this for a run or a file, and writes the files next to the data.
"""
