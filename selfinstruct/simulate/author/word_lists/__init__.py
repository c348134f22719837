"""The author's word lists: text files that are divided into sections.

A section begins with a heading such as "== name | more | fields". Lines that begin with "# " are comments.
Blank lines at the end of a section are dropped; blank lines within it are kept.
"""

from importlib import resources


def sections(name: str) -> list[tuple[list[str], list[str]]]:
    """Return the sections of the word list `name` in order, each as its heading's fields and its lines.

    Raises FileNotFoundError if there is no such list.
    """
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    found = []
    for block in ("\n" + text).split("\n== ")[1:]:
        heading, *lines = block.rstrip().split("\n")
        fields = [part.strip() for part in heading.split(" | ")]
        found.append((fields, [line for line in lines if not line.startswith("# ")]))
    return found
