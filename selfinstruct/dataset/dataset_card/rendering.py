"""Renders a card's text from facts and terms, with the template `card.md.jinja`.

Every value is escaped, except Markdown objects, which the template filters return.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from selfinstruct.dataset.dataset_card.card_checksum import sealed
from selfinstruct.dataset.dataset_card.card_inputs import Exported, Terms
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
from selfinstruct.dataset.dataset_card.missing import in_words, is_given, missing_from
from selfinstruct.display import visible
from selfinstruct.records.reasons import MEANING

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_LONGEST_TEXT = 400
"""Maximum number of characters shown of each text in an example."""
_WIDTH = 96
_LONGEST_OPTION = 500
_SHOWN = 2
"""Number of example rows in a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A finished dataset card."""

    text: str
    missing: tuple[str, ...]
    """A sentence for each missing piece of information, with the option that supplies it."""


def card_of(facts: Facts, exported: Exported, terms: Terms) -> Card:
    """Return the card for an export of the run that `facts` describes."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - `_markdown` escapes every value
        finalize=_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": code,
        "codes": codes,
        "file_name": _file_name,
        "linked": linked,
        "share": _share,
    }
    missing = missing_from(facts, terms)
    name = json.dumps(exported.files[0].path.name)
    body = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        facts=facts,
        run=facts.run,
        config=facts.run.config,
        summary=facts.summary,
        exported=exported,
        terms=terms,
        is_given=is_given,
        license=license_entries(terms.license),
        missing=missing,
        own_material=in_words(facts.own_material),
        reason_meaning=MEANING,
        examples=[fenced("\n".join(_lines(row)), "text") for row in _examples(exported.examples)],
        reading=fenced(
            f"from datasets import load_from_disk\n\ndata = load_from_disk({name})", "python"
        ),
        options={name: shortened(text, _LONGEST_OPTION) for name, text in exported.options.items()},
    )
    body = re.sub(r"\n{3,}", "\n\n", body)
    return Card(text=sealed(f"{front_matter(facts, exported, terms)}\n{body}"), missing=missing)


def _markdown(value: object) -> str:
    """Return a template value as escaped Markdown. Raises TypeError for None and booleans."""
    if isinstance(value, Markdown):
        return value
    if isinstance(value, bool) or value is None:
        raise TypeError(f"{value} cannot be shown")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def _share(part: int, whole: int) -> Markdown:
    return Markdown(f"{100 * part / whole:.0f} %" if whole else "none")


def _file_name(path: str) -> str:
    """Return the file name without its directory, which may be private."""
    return PureWindowsPath(path).name or path


def _examples(rows: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """Return the rows with the lower-quartile and the median length, in order; all rows if at most two."""
    if len(rows) <= _SHOWN:
        return rows
    by_length = sorted(range(len(rows)), key=lambda place: (len(str(rows[place])), place))
    return [rows[place] for place in sorted({by_length[len(rows) // 4], by_length[len(rows) // 2]})]


def _lines(row: Mapping[str, object]) -> Iterator[str]:
    """Yield an example's lines: each field's path, followed by the field's indented text."""
    for path, value in _fields("", row):
        yield path
        text = shortened(value, _LONGEST_TEXT) or "(empty)"
        for line in visible(text).split("\n"):
            yield from (f"  {part}" for part in textwrap.wrap(line, _WIDTH) or [""])


def _fields(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each text within `value` with its path, such as "messages.0.content"."""
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
