"""What one row looks like to a trainer. Pure: a row in, a row out.

    all                  as it is: every column that there is
    alpaca               {"instruction": …, "input": …, "output": …}
    prompt-completion    {"prompt": "Below is an instruction …", "completion": …}
    messages             {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}
    sharegpt             {"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}

How instruction and input become one text is a template's business: `prompts/export/alpaca.txt` for prompts,
which has the words of Stanford Alpaca's training code, `prompts/export/chat.txt` for messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from selfinstruct.config.shipped import resource
from selfinstruct.dataset.export.rows import PUBLISHED, Row
from selfinstruct.errors import InputError
from selfinstruct.pipeline.prompts import Template, load_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How rows are made."""

    columns: tuple[str, ...]
    """Of what is made; () where that depends on the row."""
    of: Callable[[Row], Row]


TEMPLATES: Final[Mapping[str, str]] = {
    "prompt-completion": "alpaca.txt",
    "messages": "chat.txt",
    "sharegpt": "chat.txt",
}
"""The shapes that have a template, and which in `prompts/export/` is theirs unless another is given."""

WITH_SYSTEM: Final = frozenset({"messages", "sharegpt"})
"""The shapes that have a place for a system message."""


def shape_of(
    name: str,
    *,
    template: Path | None = None,
    system: str | None = None,
    kept: tuple[str, ...] = (),
) -> Shape:
    """The shape of that name. `kept` are columns that `alpaca` has besides its own, where a row has them.

    Raises InputError for a template that cannot be used.
    """
    if name == "all":
        return Shape(columns=(), of=dict)
    if name == "alpaca":
        columns = (*PUBLISHED, *kept)
        return Shape(
            columns=columns,
            of=lambda row: {c: row[c] for c in columns if c in PUBLISHED or c in row},
        )
    text_of = _asked(template or resource("prompts") / "export" / TEMPLATES[name])
    if name == "prompt-completion":
        return Shape(
            columns=("prompt", "completion"),
            of=lambda row: {"prompt": text_of(row), "completion": row["output"]},
        )
    if name == "messages":
        first = [] if system is None else [{"role": "system", "content": system}]
        return Shape(
            columns=("messages",),
            of=lambda row: {
                "messages": [
                    *first,
                    {"role": "user", "content": text_of(row)},
                    {"role": "assistant", "content": row["output"]},
                ]
            },
        )
    opening = [] if system is None else [{"from": "system", "value": system}]
    return Shape(
        columns=("conversations",),
        of=lambda row: {
            "conversations": [
                *opening,
                {"from": "human", "value": text_of(row)},
                {"from": "gpt", "value": row["output"]},
            ]
        },
    )


def _asked(path: Path) -> Callable[[Row], str]:
    """Renders instruction and input as the template has it."""
    sample = {"instruction": "Name a river that flows through this country.", "input": "Peru"}
    template = load_template(path, folder="export", required="instruction", sample=sample)
    for given in (sample["input"], ""):
        row = {"instruction": sample["instruction"], "input": given}
        if sample["instruction"] not in _rendered(template, path, row):
            where = f"there is {'an' if given else 'no'} input"
            problem = f"loses instructions where {where}; write {{{{ instruction }}}} there, too"
            raise InputError(path, problem)
    if sample["input"] not in _rendered(template, path, sample):
        problem = "loses inputs; write {% if input %}{{ input }}{% endif %} where they belong"
        raise InputError(path, problem)

    def text_of(row: Row) -> str:
        return _rendered(template, path, row)

    return text_of


def _rendered(template: Template, path: Path, row: Row) -> str:
    try:
        text: str = template.compiled.render(instruction=row["instruction"], input=row["input"])
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        shown = f"{row['instruction'][:40]!r}"
        raise InputError(path, f"cannot be rendered for {shown}: {error}; mend it") from None
    return text
