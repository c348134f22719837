"""The word lists: text files in sections.

A heading is "== name | more | fields". Lines that begin with "# " are comments. Blank lines at the end of a
section are dropped, blank lines inside are kept.
"""

from importlib import resources


def sections(name: str) -> list[tuple[list[str], list[str]]]:
    """Return the fields of the heading, and the lines, of each section of the list `name` in order.

    Raises FileNotFoundError.
    """
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    found = []
    for block in ("\n" + text).split("\n== ")[1:]:
        heading, *lines = block.rstrip().split("\n")
        fields = [part.strip() for part in heading.split(" | ")]
        found.append((fields, [line for line in lines if not line.startswith("# ")]))
    return found
