r"""What may reach a terminal. Model output is hostile: an escape sequence could rewrite the screen.

>>> visible("red \x1b[31malert")
'red \\x1b[31malert'
"""

import sys
import unicodedata
from contextlib import suppress

# Cc: control characters. Cf: format characters, among them those that turn the direction of writing.
# Zl, Zp: line separators that some terminals obey. Co, Cn, Cs: private, unassigned, surrogates.
_UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs"})


def visible(text: str, *, keep: str = "\n") -> str:
    """The text with everything that could drive a terminal written out, except the characters in `keep`."""
    if (text.replace("\n", "") if "\n" in keep else text).isprintable():
        return text  # nothing of these categories is printable to Python; this is fast
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _UNSAFE
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def counted(number: int, what: str) -> str:
    """A number of things: "1 row", "2,000 rows"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def cells(line: str) -> int:
    """Columns that a line takes: signs of East Asia take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def one_line(text: str, room: int) -> str:
    """A text of a model in one line of so many columns, cut where it is longer."""
    line, room = visible(text, keep=""), max(20, room)
    taken = cells(line)
    return line if taken <= room else line[: room * len(line) // taken - 1] + "…"


def score(value: float, threshold: float) -> str:
    """A ROUGE-L, rounded unless that would put it on the other side of the threshold."""
    rounded = f"{value:.3f}"
    is_told = (float(rounded) > threshold) == (value > threshold)
    return rounded if is_told else repr(value)


def speak_any_alphabet() -> None:
    """Escape characters that the encoding of stdout or stderr lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Print lines to stderr: stdout is for data. A closed terminal does not end a run.

    Control characters are escaped, line ends within a line too: file names may contain them.
    """
    with suppress(OSError, ValueError):
        if sys.stderr is not None:  # None if the parent process closed it
            escaped = [visible(line, keep="") for line in lines]
            print(*escaped, sep="\n", file=sys.stderr, flush=True)  # noqa: T201
