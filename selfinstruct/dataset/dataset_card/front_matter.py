"""The YAML block at the top of a card, which the Hugging Face Hub reads: licence, language, size, files.

The fields are documented at https://huggingface.co/docs/hub/datasets-cards and, for `configs`, at
https://huggingface.co/docs/hub/datasets-manual-configuration.
"""

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfinstruct.dataset.dataset_card.card_inputs import Exported, Terms
from selfinstruct.dataset.dataset_card.facts import Facts
from selfinstruct.dataset.rows import COLUMN_TYPES, PROVENANCE_COLUMNS
from selfinstruct.display import visible

LICENSES = frozenset(Path(__file__).with_name("licenses.txt").read_text("ascii").split())
"""The Hub's licence ids (https://huggingface.co/docs/hub/repositories-licenses)."""

_SIZES = (
    "n<1K 1K<n<10K 10K<n<100K 100K<n<1M 1M<n<10M 10M<n<100M 100M<n<1B 1B<n<10B 10B<n<100B 100B<n<1T n>1T"
).split()
"""The Hub's size categories: for row counts of up to three digits, four digits, and so on."""

_CREATORS = {
    "annotations_creators": ["machine-generated"],
    "language_creators": ["machine-generated"],
}
"""Entries that are omitted if the run has imported tasks, because their authors are unknown."""


def front_matter(facts: Facts, exported: Exported, terms: Terms) -> str:
    """Return the front matter, including its "---" lines. No value can end the block early."""
    import yaml

    entries: dict[str, Any] = {
        **license_entries(terms.license),
        **({"language": list(terms.languages)} if terms.languages else {}),
        "pretty_name": visible(facts.title, keep=""),
        "tags": tags(facts),
        "task_categories": ["text-generation"],
        **({} if facts.summary.imported else _CREATORS),
        "source_datasets": ["extended" if facts.run.state.imports else "original"],
        "size_categories": [size_category(exported.rows)],
        **configs(exported),
    }
    # Escape non-ASCII characters, because some readers treat a few of them as line ends.
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=False, width=1_000_000)
    return f"---\n{text}---\n"


def license_entries(license_: str | None) -> Mapping[str, str]:
    """Return the entries for a licence: its id, or "other" with name and link if the Hub has no id for it."""
    if license_ is None or not license_.strip():
        return {}
    # Find the id apache-2.0 for "Apache License 2.0".
    for name in (license_, re.sub(r"\b(licen[cs]e|version)\b", " ", license_, flags=re.IGNORECASE)):
        if _id(name) in LICENSES:
            return {"license": _id(name)}
    address = re.search(r"https?://\S+", license_)
    name = _id(license_.replace(address[0], " ") if address else license_)
    return {
        "license": "other",
        "license_name": name or "other",
        "license_link": visible(address[0], keep="") if address else "LICENSE",
    }


def _id(text: str) -> str:
    """Return the name in the style of licence ids, such as "apache-2.0" for "Apache 2.0"."""
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-.")


def tags(facts: Facts) -> list[str]:
    """Return the tags by which users find the dataset on the Hub."""
    if not facts.is_generated:
        return ["instruction-tuning"]
    names = ["synthetic", facts.run.recipe.name, "instruction-tuning", "self-instruct"]
    return [*dict.fromkeys(names)]


def size_category(rows: int) -> str:
    """Return the Hub's size category for a row count, such as "1K<n<10K" for 1,000 rows."""
    digits = len(str(rows))
    return _SIZES[min(max(digits, 3) - 3, len(_SIZES) - 1)]


def configs(exported: Exported) -> Mapping[str, Any]:
    """Return the entry with each split's file; {} for a `datasets` directory, which lists its own splits."""
    if exported.container == "datasets":
        return {}
    # The Hub interprets the path as a glob pattern.
    data_files = [
        {"split": file.name, "path": glob.escape(file.path.name)} for file in exported.files
    ]
    return {"configs": [{"config_name": "default", "data_files": data_files}], **features(exported)}


def features(exported: Exported) -> Mapping[str, Any]:
    """Return the entry with the column types, which are needed only for provenance columns in JSON files.

    Otherwise `datasets` infers the types from the first 10 MB, in which all values of a column may be null.
    """
    if exported.columns != PROVENANCE_COLUMNS or exported.container not in ("json", "jsonl"):
        return {}
    columns = []
    for name, stated in COLUMN_TYPES.items():
        inner = stated.removeprefix("list<").removesuffix(">")
        kind = "dtype" if inner == stated else "sequence"
        columns.append({"name": name, kind: inner})
    return {"dataset_info": {"features": columns}}
