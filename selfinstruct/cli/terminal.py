r"""What may reach a terminal. Model output is hostile: an escape sequence could rewrite the screen.

>>> visible("red \x1b[31malert")
'red \\x1b[31malert'
"""

import unicodedata

# Cc: control characters. Cf: format characters, among them those that turn the direction of writing.
# Zl, Zp: line separators that some terminals obey. Co, Cn, Cs: private, unassigned, surrogates.
_UNSAFE = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs"})


def visible(text: str, *, keep: str = "\n") -> str:
    """The text with everything that could drive a terminal written out, except the characters in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _UNSAFE
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def shortened(text: str, *, width: int) -> str:
    """One visible line of at most `width` characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1] + "…"
