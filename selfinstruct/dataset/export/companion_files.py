"""Creates files next to the data: LLaMA-Factory's dataset_info.json, a stanza for axolotl, and the card.

They are written for LLaMA-Factory 0.9.5 and axolotl 0.19.0. `tests/readers` runs both tools with these files.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from selfinstruct.dataset.dataset_card.card_checksum import is_sealed
from selfinstruct.dataset.dataset_card.card_inputs import Exported, Terms
from selfinstruct.dataset.dataset_card.facts import facts_of
from selfinstruct.dataset.dataset_card.rendering import Card, card_of
from selfinstruct.dataset.export.export_options import FORMATS, ExportOptions
from selfinstruct.dataset.export.writing import Export, Part
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import because, open_regular, read_at_most
from selfinstruct.runner.directory import Run

DATASET_INFO: Final = "dataset_info.json"
"""The file name of LLaMA-Factory's list of datasets. The file is in the same directory as the data."""
CARD: Final = "README.md"
"""The dataset card's file name. The file is in the same directory as the data."""

_LARGEST = 10_000_000
_TRAINERS = Path(__file__).with_name("trainers.yaml")
_NOTE: Final = (
    "# Put this into axolotl's configuration. Paths are relative to axolotl's working directory.\n"
)
_DS_TYPE: Final = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
"""The name that both trainers use for each file format, by file suffix."""


def _existing(path: Path) -> bytes | None:
    """Return a file's content, or None if it does not exist. Raises InputError if it cannot be read."""
    try:
        return read_at_most(path, _LARGEST, opener=open_regular)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except ValueError as error:
        raise InputError(path, f"{error}; move it away") from None


def _settings(trainer: str, options: ExportOptions) -> dict[str, Any]:
    """Return the settings that tell a trainer how to read the rows."""
    import yaml

    trainers = yaml.safe_load(_TRAINERS.read_text(encoding="utf-8"))
    settings: dict[str, Any] = trainers[trainer][FORMATS[options.format].shape]
    return settings


def _refuse_patterns(name: str, setting: str) -> None:
    """Raise ConfigError if a trainer would interpret `name` as a glob pattern."""
    if special := set(name) & {*"[]*?"}:
        problem = f"reads {name} as a pattern; choose a name without {' '.join(sorted(special))}"
        raise ConfigError(setting, problem)


def check_llama_factory(path: Path, options: ExportOptions) -> None:
    """Raise ConfigError if LLaMA-Factory cannot read the output file."""
    container = options.container_of(path)
    problem = ""
    if container == "datasets":
        problem = "cannot read a directory written by the package datasets; write .parquet or .json"
    elif _DS_TYPE.get(path.suffix) != _DS_TYPE[f".{container}"]:
        suffix = "json" if container == "jsonl" else container
        problem = (
            f"determines a file's format by its suffix, but {path.name} will be {container}; use the "
            f"suffix .{suffix}"
        )
    if problem:
        raise ConfigError("llama_factory", f"LLaMA-Factory {problem}")
    _refuse_patterns(path.name, "llama_factory")


def dataset_info(path: Path, options: ExportOptions, parts: Sequence[Part]) -> bytes:
    """Return the new content of the `dataset_info.json` next to `path`, with an entry for each part.

    Other entries are kept. Raises InputError if the existing file cannot be read, or if it has an entry with
    the same name for another file.
    """
    place = path.parent / DATASET_INFO
    entries = _entries(place)
    for part in parts:
        entry = {"file_name": part.path.name, **_settings("llama_factory", options)}
        name = dataset_name(part.path)
        other = entries.get(name, entry).get("file_name", "something else")
        if other != part.path.name:
            problem = f"already has an entry {name!r}, for {other}"
            raise InputError(place, f"{problem}; choose another name for the output")
        entries[name] = entry
    # LLaMA-Factory reads the file in the system's default encoding, so it must be ASCII.
    return (json.dumps(entries, indent=2, ensure_ascii=True) + "\n").encode()


def dataset_name(path: Path) -> str:
    """Return the name of a file's LLaMA-Factory dataset, such as "chats_train" for chats.train.json."""
    return re.sub(r"[^\w-]+", "_", path.name.removesuffix(path.suffix)).strip("_") or "dataset"


def _entries(path: Path) -> dict[str, Any]:
    data = _existing(path)
    try:
        entries = json.loads(data.decode("utf-8-sig")) if data is not None else {}
    except (ValueError, RecursionError):
        problem = "is not JSON, so no entry can be added; fix the file or move it away"
        raise InputError(path, problem) from None
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise InputError(path, "is not a LLaMA-Factory file; choose another directory")
    return entries


def stanza_path(path: Path) -> Path:
    """Return the path of axolotl's stanza, such as "chats.jsonl.axolotl.yaml" for chats.jsonl.

    Raises ConfigError if axolotl could not find a data file with this name. Raises InputError if the path is
    a file that selfinstruct did not write.
    """
    _refuse_patterns(str(path), "axolotl")
    place = path.with_name(f"{path.name}.axolotl.yaml")
    data = _existing(place)
    if data is not None and not data.startswith(_NOTE.encode()):
        raise InputError(place, "exists, but is not a stanza written by selfinstruct; move it away")
    return place


def axolotl_stanza(options: ExportOptions, container: str, parts: Sequence[Part]) -> bytes:
    """Return the stanza for axolotl's configuration, which lists the exported files."""
    import yaml

    stanzas: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        stanza: dict[str, Any] = {"path": str(part.path)}
        if container != "datasets":
            stanza["ds_type"] = _DS_TYPE[f".{container}"]
        elif len(parts) > 1:
            stanza["split"] = part.name
        stanzas[part.name] = [{**stanza, **_settings("axolotl", options)}]
    document: dict[str, Any] = {"datasets": stanzas["train"]}
    if held_out := stanzas.get("validation") or stanzas.get("test"):
        document |= {"test_datasets": held_out, "val_set_size": 0}
    note = _NOTE
    if stanzas["train"][0]["type"] == "chat_template":
        note += "# A base model has no chat template: add one, such as chat_template: chatml.\n"
    return (note + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).encode()


def has_unedited_card(output: Path) -> bool:
    """Return whether there is a card next to the data that was not edited after selfinstruct wrote it."""
    try:
        data = _existing(output.parent / CARD)
    except InputError:
        return False
    return data is not None and is_sealed(data.decode(errors="replace"))


def check_card(output: Path) -> None:
    """Raise InputError if there is a file at the card's path that a person wrote or edited."""
    path = output.parent / CARD
    if _existing(path) is not None and not has_unedited_card(output):
        problem = (
            "was written or edited by a person, so the card cannot replace it; move the file away, or leave "
            "out --card"
        )
        raise InputError(path, problem)


def card_for(
    run: Run,
    export: Export,
    parts: Sequence[Part],
    terms: Terms,
    options: Mapping[str, str],
    *,
    left_out: Mapping[str, int] | None,
) -> Card:
    """Return the dataset card for a finished export.

    `options` are the options that affected the data. `left_out` is the number of rows that were left out for
    each benchmark file; None if there are no benchmarks.
    """
    exported = Exported(
        format=export.options.format,
        container=export.container,
        columns=tuple(export.columns),
        files=tuple(parts),
        options=options,
        benchmarks=left_out,
        examples=export.first,
    )
    return card_of(facts_of(run), exported, terms)
