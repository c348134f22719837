"""Pages for a terminal: wrapped texts, texts with a label, and rows of a table."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from selfinstruct.text import cells, one_line, visible

_COLUMNS = (40, 100)
"""Minimum and maximum width of a page."""
LABEL = 13
"""Columns of a label."""
_ROW = 33
"""Columns of a name and its number."""


def columns() -> int:
    """Return the width of a page: the width of the terminal, within limits."""
    least, most = _COLUMNS
    return max(least, min(most, shutil.get_terminal_size().columns))


def print_blocks(blocks: Iterable[Iterable[str]]) -> None:
    """Print blocks of lines to stdout, with a blank line between two blocks."""
    typer.echo("\n\n".join("\n".join(block) for block in blocks))


def parts(line: str, room: int) -> list[str]:
    """Split a line into parts of at most `room` columns, at spaces if possible."""
    characters = max(1, room * len(line) // max(1, cells(line)))
    # Not at hyphens: a copied text must match again.
    return textwrap.wrap(line, characters, break_on_hyphens=False) or [""]


def wrapped(text: str, *, indent: int = 0) -> list[str]:
    """Return a text as lines that fit on the page after an indent. Control characters are escaped."""
    lines = visible(text).strip("\n").split("\n")
    room = columns() - indent
    return [(" " * indent + part).rstrip() for line in lines for part in parts(line, room)]


def field(label: str, text: str, *, inner: str = "") -> Iterator[str]:
    """Yield the lines of a text with a label, and with an inner label in the same line."""
    if len(label) >= LABEL:
        yield f"  {label}"
        label = ""
    head = f"  {label:<{LABEL}}{inner}"
    first, *rest = wrapped(text, indent=len(head))
    yield (head + first[len(head) :]).rstrip()
    yield from rest


def labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield a line for each text, cut at the width of the page; the first one has the label."""
    for text in texts:
        yield f"  {label:<{LABEL}}{one_line(text, columns() - 2 - LABEL)}"
        label = ""


def row(name: str, value: int | str, detail: str = "") -> str:
    """Return a row of a table: a name, a number and a remark."""
    shown = value if isinstance(value, str) else f"{value:,}"
    return f"  {name} {shown:>{_ROW - 1 - len(name)}}  {detail}".rstrip()


def breakdown(
    name: str, counts: Mapping[Any, int], details: Mapping[Any, str] | None = None
) -> Iterator[str]:
    """Yield a row with the sum of counts, except for the name "", then a row for each count."""
    if name and counts:
        yield row(name, sum(counts.values()))
    for key, count in counts.items():
        yield row(f"  {key.replace('_', ' ')}", count, (details or {}).get(key, ""))
