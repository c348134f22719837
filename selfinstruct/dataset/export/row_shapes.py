"""Converts rows to the shapes that trainers expect.

    all                  every column, unchanged
    alpaca               {"instruction": …, "input": …, "output": …}
    prompt-completion    {"prompt": "Below is an instruction …", "completion": …}
    messages             {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}
    sharegpt             {"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}

A template joins instruction and input. The default for prompt-completion is `prompts/export/alpaca.txt`,
which is from Stanford Alpaca's training code. The default for messages and sharegpt is
`prompts/export/chat.txt`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from selfinstruct.config.shipped_files import resource
from selfinstruct.dataset.rows import PUBLISHED, Row
from selfinstruct.errors import InputError
from selfinstruct.pipeline.prompts import Template, load_template

Shape = Callable[[Row], Row]
"""Converts a row to the shape that a trainer expects."""

TEMPLATES: Final[Mapping[str, str]] = {
    "prompt-completion": "alpaca.txt",
    "messages": "chat.txt",
    "sharegpt": "chat.txt",
}
"""The file name of the default template in `prompts/export/`, for each shape that needs a template."""

CHATS: Final[Mapping[str, tuple[str, str, str, str, str]]] = {
    "messages": ("messages", "role", "content", "user", "assistant"),
    "sharegpt": ("conversations", "from", "value", "human", "gpt"),
}
"""Each chat shape's column, the two fields of a message, and the role names of the user and the assistant."""


def shape_of(
    name: str,
    *,
    template: Path | str | None = None,
    system: str | None = None,
    kept: tuple[str, ...] = (),
) -> Shape:
    """Return the function that converts rows to the shape `name`.

    `kept` contains additional columns that `alpaca` keeps if a row has them. Raises InputError if the
    template cannot be used.
    """
    if name == "all":
        return dict
    if name == "alpaca":
        columns = (*PUBLISHED, *kept)
        return lambda row: {c: row[c] for c in columns if c in PUBLISHED or c in row}
    text_of = _renderer(Path(template or resource("prompts") / "export" / TEMPLATES[name]))
    if name == "prompt-completion":
        return lambda row: {"prompt": text_of(row), "completion": row["output"]}
    column, who, content, user, assistant = CHATS[name]
    opening = [] if system is None else [{who: "system", content: system}]

    def chat(row: Row) -> Row:
        asked, answer = {who: user, content: text_of(row)}, {who: assistant, content: row["output"]}
        return {column: [*opening, asked, answer]}

    return chat


def _renderer(path: Path) -> Callable[[Row], str]:
    """Return a function that joins a row's instruction and input with the template at `path`.

    Raises InputError if the rendered text does not contain the instruction or the input.
    """
    sample = {"instruction": "Name a river that flows through this country.", "input": "Peru"}
    template = load_template(path, folder="export", required="instruction", sample=sample)

    def text_of(row: Row) -> str:
        return _rendered(template, path, row)

    for text in (sample["input"], ""):
        row = {"instruction": sample["instruction"], "input": text}
        if sample["instruction"] not in text_of(row):
            case = "with" if text else "without"
            problem = (
                f"leaves out instructions {case} an input; add {{{{ instruction }}}} for this case"
            )
            raise InputError(path, problem)
    if sample["input"] not in text_of(sample):
        problem = "leaves out inputs; add {% if input %}{{ input }}{% endif %}"
        raise InputError(path, problem)
    return text_of


def _rendered(template: Template, path: Path, row: Row) -> str:
    try:
        text: str = template.compiled.render(instruction=row["instruction"], input=row["input"])
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        beginning = f"{row['instruction'][:40]!r}"
        raise InputError(
            path, f"cannot be rendered for {beginning}: {error}; fix the template"
        ) from None
    return text
