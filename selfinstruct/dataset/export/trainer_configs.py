"""How trainers are told of an export: LLaMA-Factory's dataset_info.json, axolotl's stanza.

Read off LLaMA-Factory 0.9.5 and axolotl 0.19.0; `tests/readers` has both of them read what is written here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from selfinstruct.dataset.export.formats import FORMATS, Wanted
from selfinstruct.dataset.export.writing import Part
from selfinstruct.dataset.record_files import format_of
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import because, read_at_most

DATASET_INFO: Final = "dataset_info.json"
"""The file in which LLaMA-Factory looks up datasets, in the folder where they lie."""

_LARGEST = 10_000_000

_PUBLISHED = {"columns": {"prompt": "instruction", "query": "input", "response": "output"}}
_LLAMA_FACTORY: Final[Mapping[str, Mapping[str, Any]]] = {
    "all": {"formatting": "alpaca", **_PUBLISHED},
    "alpaca": {"formatting": "alpaca", **_PUBLISHED},
    "prompt-completion": {
        "formatting": "alpaca",
        "columns": {"prompt": "prompt", "response": "completion"},
    },
    # Its "openai" writes into system messages, so chats go by "sharegpt", too. Tags not named would be none.
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
            # Both, since what they are without being told has a space more.
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
    "# Put this into axolotl's configuration. Paths are looked up from where axolotl is started.\n"
)
_SUFFIXES: Final = frozenset({".json", ".jsonl", ".csv", ".parquet"})
_DS_TYPE: Final = {"json": "json", "jsonl": "json", "csv": "csv", "parquet": "parquet"}


def check_llama_factory(path: Path, wanted: Wanted) -> None:
    """Raises ConfigError where LLaMA-Factory could not read what will be written."""
    if str(path) == "-":
        raise ConfigError("llama_factory", "names a file, and - is none; give one with -o")
    container = wanted.container_of(path)
    if container == "datasets":
        problem = "reads files and no folder of the package datasets; write .parquet or .json"
        raise ConfigError("llama_factory", f"LLaMA-Factory {problem}")
    told = _DS_TYPE.get(format_of(path) or "")
    if told != _DS_TYPE[container] or path.suffix not in _SUFFIXES:
        suffix = "json" if container == "jsonl" else container
        raise ConfigError(
            "llama_factory",
            f"LLaMA-Factory goes by the suffix, and {path.name} will be {container}; end it in .{suffix}",
        )
    _refuse_patterns(path.name, "llama_factory")


def _refuse_patterns(name: str, setting: str) -> None:
    """Both look for files by pattern, and find none where a name is one."""
    if found := set(name) & {*"[]*?"}:
        problem = f"takes {name} for a pattern; choose a name without {' '.join(sorted(found))}"
        raise ConfigError(setting, problem)


def dataset_info(path: Path, wanted: Wanted, parts: Sequence[Part]) -> bytes:
    """The file `dataset_info.json` in the folder of `path`, with an entry for each part; others stay.

    Raises InputError for one that is there and cannot be read, or has such an entry for another file.
    """
    entries = _entries(path.parent / DATASET_INFO)
    for part in parts:
        entry = {"file_name": part.path.name, **_LLAMA_FACTORY[FORMATS[wanted.format].shape]}
        name = dataset_name(part.path)
        there = entries.get(name, entry)
        if there.get("file_name") != entry["file_name"]:
            other = there.get("file_name", "something else")
            problem = (
                f"has an entry {name!r} already, for {other}; choose another name for the output"
            )
            raise InputError(path.parent / DATASET_INFO, problem)
        entries[name] = entry
    # It is read without saying in which encoding it is.
    return (json.dumps(entries, indent=2, ensure_ascii=True) + "\n").encode()


def dataset_name(path: Path) -> str:
    """What LLaMA-Factory calls a file: "chats_train" for chats.train.json."""
    return re.sub(r"[^\w-]+", "_", path.name.removesuffix(path.suffix)).strip("_") or "dataset"


def _entries(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_at_most(path, _LARGEST).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except (ValueError, RecursionError):
        problem = "is no JSON, so no entry can be put into it; mend it or move it away"
        raise InputError(path, problem) from None
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        problem = "is not what LLaMA-Factory keeps under that name; choose another folder"
        raise InputError(path, problem)
    return found


def stanza_path(path: Path) -> Path:
    """Where axolotl's stanza goes: "chats.jsonl.axolotl.yaml" beside chats.jsonl.

    Raises ConfigError for a name that axolotl could not find, InputError where something else stands there.
    """
    if str(path) == "-":
        raise ConfigError("axolotl", "names a file, and - is none; give one with -o")
    _refuse_patterns(str(path), "axolotl")
    place = path.with_name(f"{path.name}.axolotl.yaml")
    try:
        is_ours = read_at_most(place, _LARGEST).startswith(_NOTE.encode())
    except FileNotFoundError:
        is_ours = True
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        raise InputError(place, "is there already and was not written by this; move it away")
    return place


def axolotl_stanza(wanted: Wanted, container: str, parts: Sequence[Part]) -> bytes:
    """The part of a configuration that names the files, as they were named."""
    import yaml

    shape = FORMATS[wanted.format].shape
    stanzas: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        stanza: dict[str, Any] = {"path": str(part.path)}
        if container in _DS_TYPE:
            stanza["ds_type"] = _DS_TYPE[container]
        elif len(parts) > 1:
            stanza["split"] = part.name
        stanza |= deepcopy(_AXOLOTL[shape])  # else YAML would refer from one to the other
        stanzas[part.name] = [stanza]
    document: dict[str, Any] = {"datasets": stanzas["train"]}
    held_out = stanzas.get("validation") or stanzas.get("test")
    if held_out:
        document |= {"test_datasets": held_out, "val_set_size": 0}
    note = _NOTE
    if _AXOLOTL[shape]["type"] == "chat_template":
        note += "# A base model has no chat template of its own: add chat_template: chatml, say.\n"
    return (note + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).encode()
