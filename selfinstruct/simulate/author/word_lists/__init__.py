"""The word lists: text files in sections.

A heading is "== name | more | fields". Lines that begin with "# " are comments. Blank lines at the end of a
section are dropped, blank lines inside are kept.
"""

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a word list."""

    heading: tuple[str, ...]
    """Fields of the heading."""
    lines: tuple[str, ...]


def sections(name: str) -> list[Section]:
    """Return the sections of the list `name` in order. Raises FileNotFoundError."""
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
