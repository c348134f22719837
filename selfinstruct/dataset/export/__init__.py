"""Exports rows to files for trainers, completely or not at all. The same rows produce the same bytes.

rows            from a run (`provenance_rows`) or from Alpaca-style records (`rows_of`)
  → selection   the first instructions, the first rows per instruction, split, order
  → shape       alpaca, prompt-completion, messages, sharegpt, or every column
  → file        JSON, JSON lines, CSV, Parquet, or a directory for the package `datasets`

with writing(Path("chats.jsonl"), ExportOptions(format="messages")) as export:
    export.write(provenance_rows(select(run.state.pool)))

`export_files` does all of this for a run or a file. It also writes the card and the trainers' configuration.
"""
