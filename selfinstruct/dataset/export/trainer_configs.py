"""Configuration files for trainers: LLaMA-Factory's dataset_info.json and a stanza for axolotl.

The formats follow LLaMA-Factory 0.9.5 and axolotl 0.19.0; `tests/readers` runs both on these files.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from selfinstruct.dataset.export.formats import FORMATS, ExportOptions
from selfinstruct.dataset.export.writing import Part
from selfinstruct.dataset.record_files import format_of
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import because, open_regular, read_at_most

DATASET_INFO: Final = "dataset_info.json"
"""LLaMA-Factory's list of datasets, in the data folder."""

_LARGEST = 10_000_000

_PUBLISHED = {"columns": {"prompt": "instruction", "query": "input", "response": "output"}}
_LLAMA_FACTORY: Final[Mapping[str, Mapping[str, Any]]] = {
    "all": {"formatting": "alpaca", **_PUBLISHED},
    "alpaca": {"formatting": "alpaca", **_PUBLISHED},
    "prompt-completion": {
        "formatting": "alpaca",
        "columns": {"prompt": "prompt", "response": "completion"},
    },
    # The formatting "openai" changes system messages, so chats use "sharegpt", with every tag named.
    "messages": {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    },
    "sharegpt": {
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "system_tag": "system",
        },
    },
}
_AXOLOTL: Final[Mapping[str, Mapping[str, Any]]] = {
    "all": {"type": "alpaca"},
    "alpaca": {"type": "alpaca"},
    "prompt-completion": {
        "type": {
            "field_instruction": "prompt",
            "field_output": "completion",
            # Both, since the defaults add a space.
            "format": "{instruction}",
            "no_input_format": "{instruction}",
        }
    },
    "messages": {
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
    },
    "sharegpt": {
        "type": "chat_template",
        "field_messages": "conversations",
        "message_property_mappings": {"role": "from", "content": "value"},
    },
}
_NOTE: Final = (
    "# Put this into axolotl's configuration. Paths are relative to axolotl's working directory.\n"
)
_SUFFIXES: Final = frozenset({".json", ".jsonl", ".csv", ".parquet"})
_DS_TYPE: Final = {"json": "json", "jsonl": "json", "csv": "csv", "parquet": "parquet"}


def check_llama_factory(path: Path, options: ExportOptions) -> None:
    """Raise ConfigError if LLaMA-Factory could not read the output."""
    if str(path) == "-":
        raise ConfigError("llama_factory", "needs a file name, not -; give one with -o")
    container = options.container_of(path)
    if container == "datasets":
        problem = "reads files, but no folder of the package datasets; write .parquet or .json"
        raise ConfigError("llama_factory", f"LLaMA-Factory {problem}")
    named = _DS_TYPE.get(format_of(path) or "")
    if named != _DS_TYPE[container] or path.suffix not in _SUFFIXES:
        suffix = "json" if container == "jsonl" else container
        raise ConfigError(
            "llama_factory",
            f"LLaMA-Factory reads files by suffix, but {path.name} will be {container}; end it in .{suffix}",
        )
    _refuse_patterns(path.name, "llama_factory")


def _refuse_patterns(name: str, setting: str) -> None:
    """Raise ConfigError for a name that both trainers would read as a pattern."""
    if special := set(name) & {*"[]*?"}:
        problem = f"reads {name} as a pattern; choose a name without {' '.join(sorted(special))}"
        raise ConfigError(setting, problem)


def dataset_info(path: Path, options: ExportOptions, parts: Sequence[Part]) -> bytes:
    """Return the content of `dataset_info.json` in the folder of `path`, with an entry for each part.

    Other entries stay. Raises InputError if the existing file cannot be read, or has such an entry for
    another file.
    """
    entries = _entries(path.parent / DATASET_INFO)
    for part in parts:
        entry = {"file_name": part.path.name, **_LLAMA_FACTORY[FORMATS[options.format].shape]}
        name = dataset_name(part.path)
        existing = entries.get(name, entry)
        if existing.get("file_name") != entry["file_name"]:
            other = existing.get("file_name", "something else")
            problem = (
                f"has an entry {name!r} already, for {other}; choose another name for the output"
            )
            raise InputError(path.parent / DATASET_INFO, problem)
        entries[name] = entry
    # LLaMA-Factory reads the file in the default encoding of the system.
    return (json.dumps(entries, indent=2, ensure_ascii=True) + "\n").encode()


def dataset_name(path: Path) -> str:
    """Return the dataset name of a file for LLaMA-Factory: "chats_train" for chats.train.json."""
    return re.sub(r"[^\w-]+", "_", path.name.removesuffix(path.suffix)).strip("_") or "dataset"


def _entries(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(read_at_most(path, _LARGEST, opener=open_regular).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except (ValueError, RecursionError):
        problem = "is not JSON, so no entry can be added; fix the file or move it away"
        raise InputError(path, problem) from None
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        problem = "is not a file of LLaMA-Factory; choose another folder"
        raise InputError(path, problem)
    return entries


def stanza_path(path: Path) -> Path:
    """Return the path of axolotl's stanza: "chats.jsonl.axolotl.yaml" for chats.jsonl.

    Raises ConfigError for a name that axolotl could not find, InputError if the path is another file.
    """
    if str(path) == "-":
        raise ConfigError("axolotl", "needs a file name, not -; give one with -o")
    _refuse_patterns(str(path), "axolotl")
    place = path.with_name(f"{path.name}.axolotl.yaml")
    try:
        is_ours = read_at_most(place, _LARGEST, opener=open_regular).startswith(_NOTE.encode())
    except FileNotFoundError:
        is_ours = True
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        raise InputError(place, "exists and is no stanza of selfinstruct; move it away")
    return place


def axolotl_stanza(options: ExportOptions, container: str, parts: Sequence[Part]) -> bytes:
    """Return the stanza that names the files."""
    import yaml

    shape = FORMATS[options.format].shape
    stanzas: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        stanza: dict[str, Any] = {"path": str(part.path)}
        if container in _DS_TYPE:
            stanza["ds_type"] = _DS_TYPE[container]
        elif len(parts) > 1:
            stanza["split"] = part.name
        stanza |= deepcopy(_AXOLOTL[shape])  # without a copy, YAML would write references
        stanzas[part.name] = [stanza]
    document: dict[str, Any] = {"datasets": stanzas["train"]}
    held_out = stanzas.get("validation") or stanzas.get("test")
    if held_out:
        document |= {"test_datasets": held_out, "val_set_size": 0}
    note = _NOTE
    if _AXOLOTL[shape]["type"] == "chat_template":
        note += "# A base model has no chat template: add one, such as chat_template: chatml.\n"
    return (note + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).encode()
