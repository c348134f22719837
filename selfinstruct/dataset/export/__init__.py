"""Exports rows to files for trainers, completely or not at all. The same rows produce the same bytes.

rows            are read from a run or from Alpaca-style records (`selfinstruct.dataset.source`)
  → filters     keep the first instructions, or remove benchmark items (`selfinstruct.dataset.row_filters`)
  → parts       split the rows into train and test, and shuffle them
  → shape       is alpaca, prompt-completion, messages, sharegpt, or all columns
  → file        is JSON, JSON lines, CSV, Parquet, or a directory for the package `datasets`

with writing(Path("chats.jsonl"), ExportOptions(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))

`export_records` does all of this for a run or a file. It also writes additional files, such as a dataset
card, next to the data.
"""
