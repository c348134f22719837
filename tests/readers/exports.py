"""The exports that the readers read: each row format in each of its file formats."""

import os
import subprocess
import sys
from pathlib import Path

SYSTEM = 'Be brief.\nAnswer in the user\'s "language": 是.'

ALL: dict[str, list[str]] = {
    "published.json": [],
    "a name, in 中文 v1.2.json": [],
    "lines.jsonl": ["-f", "alpaca"],
    "every-column.jsonl": ["-f", "jsonl"],
    "table.csv": ["-f", "csv"],
    "columns.parquet": ["-f", "parquet"],
    "folder": ["-f", "datasets"],
    "folder-in-parts": ["-f", "datasets", "--split", "0.5/0.5"],
    "prompts.jsonl": ["-f", "prompt-completion"],
    "chats.jsonl": ["-f", "messages"],
    "chats-list.json": ["-f", "messages"],
    "chats-columns.parquet": ["-f", "messages"],
    "chats-folder": ["-f", "messages", "--container", "datasets"],
    "chats-with-system.jsonl": ["-f", "messages", "--system", SYSTEM],
    "chats-in-parts.jsonl": ["-f", "messages", "--split", "0.5/0.5"],
    "conversations.json": ["-f", "sharegpt"],
    "conversations-lines.jsonl": ["-f", "sharegpt"],
    "conversations-with-system.json": ["-f", "sharegpt", "--system", SYSTEM],
}
"""The export options by output file or directory name."""
OF_A_RUN: dict[str, list[str]] = {
    "run.jsonl": ["-f", "jsonl", "--include-seed-tasks"],
    "run-table.csv": ["-f", "csv", "--include-seed-tasks"],
    "run-columns.parquet": ["-f", "parquet", "--include-seed-tasks"],
    "run-folder": ["-f", "datasets", "--include-seed-tasks"],
}
"""Options for exports of a run, by output name. They have all columns, some of which have missing values."""
NO_LLAMA_FACTORY = frozenset(name for name in ALL | OF_A_RUN if "." not in name)
"""Exports that LLaMA-Factory cannot read: directories of the package `datasets`."""


def export(folder: Path, *arguments: str) -> None:
    """Run `selfinstruct export` in `folder`, and check that it succeeds."""
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "export", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}"
