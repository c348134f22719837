"""Loads exported files with the package `datasets`, and returns their rows and column types.

A job is {"file": FILE, "kind": KIND, "options": {…}}. KIND is the first argument of `load_dataset` (json, csv
or parquet), "folder" for a directory from `save_to_disk`, or "hub" for a directory with a README.md.
"""

from pathlib import Path
from typing import Any

from datasets import DatasetDict, load_dataset, load_from_disk
from huggingface_hub import DatasetCard
from readers.jobs import Job, carry_out


def read(job: Job, _model: str, room: Path) -> dict[str, Any]:
    """Return the rows and column types by split, and the card's metadata for the kind "hub"."""
    file, kind, cache = job["file"], job["kind"], str(room)
    card: dict[str, Any] = {}
    if kind == "folder":
        dataset: Any = load_from_disk(file)
    elif kind == "hub":
        dataset = load_dataset(file, cache_dir=cache)
        card = DatasetCard.load(Path(file) / "README.md").data.to_dict()
    else:
        options = job.get("options", {})
        dataset = load_dataset(kind, data_files=file, cache_dir=cache, **options)
    parts = dataset if isinstance(dataset, DatasetDict) else {"": dataset}
    return {
        "rows": {part: [*rows] for part, rows in parts.items()},
        "types": {
            part: {name: str(type_) for name, type_ in rows.features.items()}
            for part, rows in parts.items()
        },
        "card": card,
    }


if __name__ == "__main__":
    carry_out(read)
