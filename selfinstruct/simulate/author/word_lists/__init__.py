"""The word lists, as text that can be read and extended without knowing Python.

Knows the layout they share, and nothing of what the words mean: sections under headings of the form
"== name | more | fields", comment lines from "#", and everything else kept line by line::

    == count              -> Section(heading=("count",), lines=("two", "three"))
    two
    three

Blank lines at the end of a section are dropped; inside they stay, as snippets of code need them.
"""

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, split at its bars, and the lines below it."""

    heading: tuple[str, ...]
    lines: tuple[str, ...]


def sections(name: str) -> list[Section]:
    """The sections of the list called `name`, in order.

    Raises FileNotFoundError if there is no such list.
    """
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    found = []
    for block in ("\n" + text).split("\n== ")[1:]:
        heading, *lines = block.rstrip().split("\n")
        found.append(
            Section(
                heading=tuple(part.strip() for part in heading.split(" | ")),
                lines=tuple(line for line in lines if not line.startswith("# ")),
            )
        )
    return found
