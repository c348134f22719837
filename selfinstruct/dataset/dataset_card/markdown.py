r"""Text of strangers in Markdown: it is shown and never obeyed.

What could be Markdown or HTML becomes a character reference, which no reader of Markdown takes for structure.
What could steer a terminal or the direction of writing is written out.

    >>> plain("<b>*bold*</b> | next\n# cell")
    '&lt;b&gt;&#42;bold&#42;&lt;/b&gt; &#124; next # cell'
    >>> code("gpt-4.1-mini"), code("a`|b")
    ('`gpt-4.1-mini`', '<code>a&#96;&#124;b</code>')
    >>> print(fenced("```\nrm -rf\n```"))
    ````
    ```
    rm -rf
    ```
    ````
"""

import re
from collections.abc import Iterable

from selfinstruct.text import visible


class Markdown(str):
    """Text that is Markdown already; any other text is escaped before it gets into a card."""

    __slots__ = ()


_MARKS = {ord(char): f"&#{ord(char)};" for char in "\\`*_[]{}|~$^#!@"} | {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
}
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?")
_AFTER_AN_ADDRESS = ".,;:!?')*"
_LONGEST = 200
"""Characters of a name that are shown."""


def shortened(text: str, length: int) -> str:
    """The text, cut where it is longer, with how much of it is not there."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length:,} more characters)"


def plain(text: str) -> Markdown:
    """One line of words. Nothing in it is Markdown; white space of any kind is a blank."""
    return Markdown(_escaped(_one_line(text)))


def linked(text: str) -> Markdown:
    """The same, but an address is a link."""
    text = _one_line(text)
    parts: list[str] = []
    end = 0
    for match in _URL.finditer(text):
        address = match[0].rstrip(_AFTER_AN_ADDRESS)
        parts += [_escaped(text[end : match.start()]), f"<{address}>"]
        end = match.start() + len(address)
    return Markdown("".join([*parts, _escaped(text[end:])]))


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()), keep="")


def _escaped(text: str) -> str:
    return text.translate(_MARKS)


def code(text: str) -> Markdown:
    """A name, in the letters of code."""
    shown = visible(shortened(text, _LONGEST), keep="")
    if not shown.strip():
        return Markdown("(blank)")
    if shown != shown.strip() or re.search(r"[\\`|]", shown):
        return Markdown(f"<code>{_escaped(shown)}</code>")
    return Markdown(f"`{shown}`")


def codes(names: Iterable[str]) -> Markdown:
    """Names, one after the other."""
    return Markdown(", ".join(code(name) for name in names))


def fenced(text: str, language: str = "") -> Markdown:
    """A block of code. Its fence is longer than any row of backticks in it, so nothing in it can end it."""
    shown = visible(text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{shown}\n{fence}")
