"""Format output for a terminal: wrapped texts, labelled texts, and table rows."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from selfinstruct.display import cells, one_line, visible

_COLUMNS = (40, 100)
"""Minimum and maximum width of a page, in columns."""
LABEL = 13
"""Width of a label, in columns."""
_ROW = 33
"""Width of a row's name and number together, in columns."""


def columns() -> int:
    """Return the page width in columns: the terminal's width, within the limits in `_COLUMNS`."""
    least, most = _COLUMNS
    return max(least, min(most, shutil.get_terminal_size().columns))


def print_blocks(blocks: Iterable[Iterable[str]]) -> None:
    """Print blocks of lines to stdout, with a blank line between blocks."""
    typer.echo("\n\n".join("\n".join(block) for block in blocks))


def parts(line: str, room: int) -> list[str]:
    """Split a line into parts of at most `room` columns, at spaces if possible."""
    characters = max(1, room * len(line) // max(1, cells(line)))
    # Do not break lines at hyphens, so that a search finds a text copied from the terminal.
    return textwrap.wrap(line, characters, break_on_hyphens=False) or [""]


def wrapped(text: str, *, indent: int = 0) -> list[str]:
    """Wrap a text into indented lines that fit the page width. Control characters are escaped."""
    lines = visible(text).strip("\n").split("\n")
    room = columns() - indent
    return [(" " * indent + part).rstrip() for line in lines for part in parts(line, room)]


def field(label: str, text: str, *, inner: str = "") -> Iterator[str]:
    """Yield a wrapped text with a label in front, and `inner` as a second label on the same line."""
    if len(label) >= LABEL:
        yield f"  {label}"
        label = ""
    head = f"  {label:<{LABEL}}{inner}"
    first, *rest = wrapped(text, indent=len(head))
    yield (head + first[len(head) :]).rstrip()
    yield from rest


def labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield one line for each text, truncated to the page width. The first line has the label."""
    for text in texts:
        yield f"  {label:<{LABEL}}{one_line(text, columns() - 2 - LABEL)}"
        label = ""


def row(name: str, value: int | str, detail: str = "") -> str:
    """Return a table row: a name, a right-aligned value and a remark."""
    shown = value if isinstance(value, str) else f"{value:,}"
    return f"  {name} {shown:>{_ROW - 1 - len(name)}}  {detail}".rstrip()


def breakdown(
    name: str, counts: Mapping[Any, int], details: Mapping[Any, str] | None = None
) -> Iterator[str]:
    """Yield a row with the sum of the counts, then a row for each count.

    If `name` is "", the sum is omitted. `details` are remarks, by the keys of `counts`.
    """
    if name and counts:
        yield row(name, sum(counts.values()))
    for key, count in counts.items():
        yield row(f"  {key.replace('_', ' ')}", count, (details or {}).get(key, ""))
