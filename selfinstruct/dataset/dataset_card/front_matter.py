"""The YAML at the top of a card, for the hub: licence, language, size, and the file of each split.

The fields are described at https://huggingface.co/docs/hub/datasets-cards and, for `configs`, at
https://huggingface.co/docs/hub/datasets-manual-configuration.
"""

import glob
import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.dataset.dataset_card.facts import Facts
from selfinstruct.dataset.dataset_card.types import Exported, Terms
from selfinstruct.text import visible

LICENSES = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc
    cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
    cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0
    eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research
    lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openmdw-1.1 openrail++ osl-3.0
    postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
    fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma
    unknown other
    """.split()
)
"""The licence ids of the hub (https://huggingface.co/docs/hub/repositories-licenses)."""

_SIZES = (
    "n<1K 1K<n<10K 10K<n<100K 100K<n<1M 1M<n<10M 10M<n<100M 100M<n<1B 1B<n<10B 10B<n<100B 100B<n<1T"
).split()
_LARGEST = "n>1T"


_CREATORS = {
    "annotations_creators": ["machine-generated"],
    "language_creators": ["machine-generated"],
}
"""Left out for imported tasks, because their authors are unknown."""


def front_matter(facts: Facts, exported: Exported, terms: Terms) -> str:
    """Return the block with its "---" lines. No value can end the block early."""
    import yaml

    entries: dict[str, Any] = {
        **license_entries(terms.license),
        **({"language": list(terms.languages)} if terms.languages else {}),
        "pretty_name": visible(facts.title, keep=""),
        "tags": tags(facts),
        "task_categories": ["text-generation"],
        **({} if facts.imported else _CREATORS),
        "source_datasets": ["extended" if facts.imports else "original"],
        "size_categories": [size_category(exported.rows)],
        **configs(exported),
    }
    # ASCII, because some readers treat other characters as line ends.
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=False, width=1_000_000)
    return f"---\n{text}---\n"


def license_entries(license_: str | None) -> Mapping[str, str]:
    """Return the licence entries: the id, or for an unknown licence "other" with name and link."""
    if license_ is None or not license_.strip():
        return {}
    # "Apache License 2.0" has the id apache-2.0.
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
    """Return a name in the style of licence ids: "apache-2.0" for "Apache 2.0"."""
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-.")


def tags(facts: Facts) -> list[str]:
    """Return the tags for the search on the hub."""
    if not facts.is_generated:
        return ["instruction-tuning"]
    return ["synthetic", facts.recipe, "instruction-tuning"] + (
        ["self-instruct"] if facts.recipe != "self-instruct" else []
    )


def size_category(rows: int) -> str:
    """Return the size class of the hub: "1K<n<10K" for 1,000 rows."""
    for power, name in enumerate(_SIZES, start=3):
        if rows < 10**power:
            return name
    return _LARGEST


def configs(exported: Exported) -> Mapping[str, Any]:
    """Return the file of each split; {} for a folder of `datasets`, which names its parts."""
    if exported.container == "datasets" or not exported.files:
        return {}
    paths: dict[str, list[str]] = {}
    for file in exported.files:
        # The hub reads the path as a pattern.
        paths.setdefault(file.split, []).append(glob.escape(file.name))
    data_files = [
        {"split": split, "path": names[0] if len(names) == 1 else names}
        for split, names in paths.items()
    ]
    return {"configs": [{"config_name": "default", "data_files": data_files}], **features(exported)}


def features(exported: Exported) -> Mapping[str, Any]:
    """Return the column types, because `datasets` guesses by the first 10 MB, which may be null."""
    if not exported.types or exported.container not in ("json", "jsonl"):
        return {}
    columns = []
    for name in exported.columns:
        inner = exported.types[name].removeprefix("list<").removesuffix(">")
        kind = "dtype" if inner == exported.types[name] else "sequence"
        columns.append({"name": name, kind: inner})
    return {"dataset_info": {"features": columns}}
