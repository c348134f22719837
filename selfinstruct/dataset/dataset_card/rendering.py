"""Facts and terms → the text of a card. The prose stands in `card.md.jinja`.

Every value that gets into the text is escaped, unless a filter has made Markdown of it already.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from selfinstruct.dataset.dataset_card import columns, reasons
from selfinstruct.dataset.dataset_card.facts import Facts
from selfinstruct.dataset.dataset_card.front_matter import front_matter, license_entries
from selfinstruct.dataset.dataset_card.markdown import (
    Markdown,
    code,
    codes,
    fenced,
    linked,
    plain,
    shortened,
)
from selfinstruct.dataset.dataset_card.missing import in_words, is_said, missing_from
from selfinstruct.dataset.dataset_card.types import Exported, Terms
from selfinstruct.text import visible

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_LONGEST_TEXT = 400
"""Characters of a text that an example shows."""
_WIDTH = 96
_LONGEST_OPTION = 500
_SHOWN = 2
"""Examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A dataset card."""

    text: str
    missing: tuple[str, ...]
    """What whoever publishes the data must still say, each with the option that fills it."""


def render(facts: Facts, exported: Exported, terms: Terms) -> tuple[str, tuple[str, ...]]:
    """The text of a card without its last line, and what it lacks."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - `_shown` escapes, for Markdown
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "codes": codes, "linked": linked, "share": _share}
    missing = missing_from(facts, terms)
    body = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        facts=facts,
        config=facts.config,
        summary=facts.summary,
        exported=exported,
        terms=terms,
        is_said=is_said,
        license=license_entries(terms.license),
        missing=missing,
        own_material=in_words(facts.own_material) if facts.own_material else "",
        says_column=columns.SAYS,
        says_reason=reasons.SAYS,
        examples=[fenced("\n".join(_lines(row)), "text") for row in _examples(facts, exported)],
        reading=fenced(_reading(exported), "python") if exported.files else "",
        options={name: shortened(text, _LONGEST_OPTION) for name, text in exported.options.items()},
        benchmarks=_benchmarks(exported.benchmarks),
    )
    body = re.sub(r"\n{3,}", "\n\n", body)
    return f"{front_matter(facts, exported, terms)}\n{body}", missing


def _shown(value: object) -> str:
    """How a value gets into the text."""
    if isinstance(value, Markdown):
        return value
    if isinstance(value, bool) or value is None:
        raise TypeError(f"{value} is nothing to show")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _share(part: int, whole: int) -> Markdown:
    return Markdown(f"{100 * part / whole:.0f} %" if whole else "none")


def _examples(facts: Facts, exported: Exported) -> list[Mapping[str, object]]:
    """Two rows of middling length, in their order."""
    rows = list(exported.examples)
    if not rows and not any((exported.benchmarks or {}).values()):
        rows = list(facts.rows)  # else one of them may be what was left out
    if len(rows) <= _SHOWN:
        return rows
    by_length = sorted(range(len(rows)), key=lambda place: (len(str(rows[place])), place))
    return [rows[place] for place in sorted({by_length[len(rows) // 4], by_length[len(rows) // 2]})]


def _lines(row: Mapping[str, object]) -> Iterator[str]:
    """A row as a person reads it: each field by its path, and its text below it."""
    for path, value in _fields("", row):
        yield path
        text = shortened(value, _LONGEST_TEXT) or "(empty)"
        for line in visible(text).split("\n"):
            yield from (f"  {part}" for part in textwrap.wrap(line, _WIDTH) or [""])


def _fields(path: str, value: object) -> Iterator[tuple[str, str]]:
    """What is in a value: "messages.0.content" and its text."""
    inner: Iterable[tuple[object, object]]
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    else:
        yield (
            visible(path, keep=""),
            value if isinstance(value, str) else json.dumps(value, default=str),
        )
        return
    for name, part in inner:
        yield from _fields(f"{path}.{name}" if path else str(name), part)


def _reading(exported: Exported) -> str:
    """How to read a folder of `datasets`."""
    name = json.dumps(exported.files[0].name)
    return f"from datasets import load_from_disk\n\ndata = load_from_disk({name})"


def _benchmarks(counts: Mapping[str, int] | None) -> Sequence[tuple[str, int]] | None:
    """By the names of the files: in which folder they lay is nobody's business."""
    if counts is None:
        return None
    return [(_name(path), count) for path, count in counts.items()]


def _name(path: str) -> str:
    return PurePosixPath(PureWindowsPath(path).name or path).name or path
