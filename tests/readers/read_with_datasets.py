"""Loads exported files with the package `datasets` and returns rows and types.

A job is {"file": FILE, "kind": KIND, "options": {…}}, with a KIND as `load_dataset` calls it (json, csv,
parquet), "folder" for one of `save_to_disk`, "hub" for a folder with a README.md, ready for upload.
"""

from pathlib import Path
from typing import Any

from datasets import DatasetDict, load_dataset, load_from_disk
from huggingface_hub import DatasetCard
from readers.jobs import Job, carry_out


def read(job: Job, _model: str, room: Path) -> dict[str, Any]:
    """Return rows and types by part, and the card of a folder."""
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
