"""Trainers read exports exactly: the masked and the learned texts equal those in the rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from readers.awkward import ROWS, WORDS_FOR_NOTHING
from readers.exports import ALL, NO_LLAMA_FACTORY, OF_A_RUN, SYSTEM
from readers.reading import run, understood

Row = dict[str, Any]
Results = Callable[[str], Any]
Rows = Callable[[str], list[Row]]

EVERY_ROW = [*ROWS, *WORDS_FOR_NOTHING]
BEGIN, END = "<|im_start|>", "<|im_end|>"
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
WHOLE_CHATS = [
    "chats.jsonl",
    "chats-list.json",
    "chats-columns.parquet",
    "chats-folder",
    "chats-with-system.jsonl",
]
CONVERSATIONS = [
    "conversations.json",
    "conversations-lines.jsonl",
    "conversations-with-system.json",
]
WHOLE_ALPACA = [
    "published.json",
    "a name, in 中文 v1.2.json",
    "lines.jsonl",
    "every-column.jsonl",
    "table.csv",
    "columns.parquet",
    "folder",
    *OF_A_RUN,
]


def prompt_of(row: Row) -> str:
    """Return Alpaca's prompt for a row, up to the response."""
    if not row["input"]:
        return f"{WITHOUT_INPUT}\n\n### Instruction:\n{row['instruction']}\n\n### Response:"
    return (
        f"{WITH_INPUT}\n\n### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}"
        "\n\n### Response:"
    )


def question_of(row: Row, between: str = "\n\n") -> str:
    """Return the user message for a row."""
    return between.join(text for text in (row["instruction"], row["input"]) if text)


def chat_of(row: Row, *, file: str, end: str = "\n") -> dict[str, str]:
    """Return the masked and the learned text for a row as ChatML. The masked text ends with `end`."""
    system = f"{BEGIN}system\n{SYSTEM}{END}\n" if "with-system" in file else ""
    user = f"{BEGIN}user\n{question_of(row)}{END}\n"
    return {
        "read": f"{system}{user}{BEGIN}assistant\n{end}",
        "learned": row["output"] + END,
    }


def by_text(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows sorted, so the order does not depend on the splits."""
    return sorted(rows, key=lambda row: (row["read"], row["learned"]))


def test_trl_learns_completions(by_trl: Results) -> None:
    assert by_trl("prompts.jsonl") == [
        {"read": prompt_of(row), "learned": row["output"] + END} for row in EVERY_ROW
    ]


@pytest.mark.parametrize("file", WHOLE_CHATS)
def test_trl_learns_what_assistants_say(by_trl: Results, file: str) -> None:
    assert by_trl(file) == [chat_of(row, file=file) for row in EVERY_ROW]


@pytest.mark.parametrize(
    "file", sorted((ALL | OF_A_RUN).keys() - NO_LLAMA_FACTORY - {"chats-in-parts.jsonl"})
)
def test_llama_factory_converts_every_row(
    by_llama_factory: Results, rows_of: Rows, file: str
) -> None:
    told = by_llama_factory(file)
    assert told.keys() == {"converted", "prepared"}, told
    shape = ([*ALL.get(file, []), "alpaca", "alpaca"])[1]
    text_of: Callable[[Row], str] = {
        "prompt-completion": prompt_of,
        "messages": question_of,
        "sharegpt": question_of,
    }.get(shape, lambda row: question_of(row, "\n"))
    system = SYSTEM if "with-system" in file else ""
    assert told["converted"] == [
        {
            "prompt": [{"role": "user", "content": text_of(row)}],
            "response": [{"role": "assistant", "content": row["output"]}],
            "system": system,
        }
        for row in rows_of(file)
    ]


@pytest.mark.parametrize("file", ["chats.jsonl", "chats-with-system.jsonl", *CONVERSATIONS])
def test_llama_factory_learns_what_assistants_say(by_llama_factory: Results, file: str) -> None:
    expected = [chat_of(row, file=file, end="") for row in EVERY_ROW]
    # LLaMA-Factory also trains on the line end after the turn.
    assert by_llama_factory(file)["prepared"] == [
        {**chat, "learned": chat["learned"] + "\n"} for chat in expected
    ]


def test_llama_factory_finds_each_part(by_llama_factory: Results) -> None:
    train, test = (
        by_llama_factory(f"chats-in-parts.{part}.jsonl")["converted"] for part in ("train", "test")
    )
    questions = [row["prompt"][0]["content"] for row in train + test]
    assert train
    assert test
    assert sorted(questions) == sorted(map(question_of, EVERY_ROW))


@pytest.mark.parametrize("file", WHOLE_ALPACA)
def test_axolotl_puts_rows_into_its_alpaca_prompt(
    by_axolotl: Results, rows_of: Rows, file: str
) -> None:
    assert by_axolotl(file) == {
        "train": [
            {"read": prompt_of(row) + "\n", "learned": row["output"] + END} for row in rows_of(file)
        ],
        "test": [],
    }


def test_axolotl_adds_nothing_to_prompts(by_axolotl: Results) -> None:
    rows = [{"read": prompt_of(row), "learned": row["output"] + END} for row in EVERY_ROW]
    assert by_axolotl("prompts.jsonl") == {"train": rows, "test": []}


@pytest.mark.parametrize("file", [*WHOLE_CHATS, *CONVERSATIONS])
def test_axolotl_learns_what_assistants_say(by_axolotl: Results, file: str) -> None:
    expected = [chat_of(row, file=file) for row in EVERY_ROW]
    assert by_axolotl(file) == {"train": expected, "test": []}


def test_axolotl_evaluates_with_the_test_part(by_axolotl: Results) -> None:
    chats = by_axolotl("chats-in-parts.jsonl")
    assert chats["train"]
    assert chats["test"]
    expected = [chat_of(row, file="chats-in-parts.jsonl") for row in EVERY_ROW]
    assert by_text(chats["train"] + chats["test"]) == by_text(expected)
    folder = by_axolotl("folder-in-parts")
    # Every file must have the same instructions in the same split.
    assert [len(folder[part]) for part in ("train", "test")] == [
        len(chats[part]) for part in ("train", "test")
    ]


def test_a_stanza_fits_into_a_configuration(
    exported: Path, tokenizer: Path, tmp_path: Path
) -> None:
    stanza = (exported / "chats-in-parts.jsonl.axolotl.yaml").read_text(encoding="utf-8")
    own = f"""\
base_model: {tokenizer}
chat_template: chatml
sequence_len: {1 << 20}
micro_batch_size: 1
gradient_accumulation_steps: 1
num_epochs: 1
learning_rate: 0.00001
dataset_prepared_path: {tmp_path / "prepared"}
output_dir: {tmp_path / "out"}
"""
    (tmp_path / "config.yaml").write_text(own + stanza, encoding="utf-8")
    command = ["axolotl", "-m", "axolotl.cli.main", "preprocess", tmp_path / "config.yaml"]
    said = run(command, tmp_path, start_in=exported)
    assert "Success!" in said
    jobs = {
        folder.name: {"kind": "folder", "file": str(folder)}
        for folder in (tmp_path / "prepared").iterdir()
        if folder.is_dir()
    }
    told = understood("datasets", jobs, tmp_path / "work", program="axolotl")
    sizes = sum(len(rows) for part in told.values() for rows in part["rows"].values())
    assert sizes == len(EVERY_ROW)
