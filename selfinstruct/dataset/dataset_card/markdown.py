r"""Escapes untrusted text for Markdown.

Characters that are special in Markdown or HTML become character references. Characters that could control a
terminal or change the text direction become visible escapes.

    >>> plain("<b>*bold*</b> | next\n cell")
    '&lt;b&gt;&#42;bold&#42;&lt;/b&gt; &#124; next cell'
    >>> code("gpt-5.4-mini"), code("a`|b")
    ('`gpt-5.4-mini`', '<code>a&#96;&#124;b</code>')
    >>> print(fenced("```\nrm -rf\n```"))
    ````
    ```
    rm -rf
    ```
    ````
"""

import re
from collections.abc import Iterable

from selfinstruct.display import visible


class Markdown(str):
    """Text that is already valid Markdown. The card escapes every string of another type."""

    __slots__ = ()


_MARKS = {ord(char): f"&#{ord(char)};" for char in "\\`*_[]{}|~$^#!@"} | {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
}
_URL = re.compile(
    r"(https?://[A-Za-z0-9.-]*[A-Za-z0-9-](?::\d+)?"
    r"(?:/(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*[A-Za-z0-9_~/#@$&(+=%-])?)?)"
)
"""A web address, without punctuation at its end."""
_LONGEST = 200
"""Maximum number of characters shown of a name."""


def shortened(text: str, length: int) -> str:
    """Return `text` cut to `length` characters, followed by the number of omitted characters."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length:,} more characters)"


def plain(text: str) -> Markdown:
    """Return `text` escaped, on one line: each run of white space becomes one space."""
    return Markdown(_escaped(_one_line(text)))


def linked(text: str) -> Markdown:
    """Return `text` escaped, on one line, with web addresses as links."""
    parts = enumerate(_URL.split(_one_line(text)))
    return Markdown("".join(f"<{part}>" if n % 2 else _escaped(part) for n, part in parts))


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()), keep="")


def _escaped(text: str) -> str:
    return text.translate(_MARKS)


def code(text: str) -> Markdown:
    """Return `text`, such as a model name, as inline code."""
    name = visible(shortened(text, _LONGEST), keep="")
    if not name.strip():
        return Markdown("(blank)")
    if name != name.strip() or re.search(r"[\\`|]", name):
        return Markdown(f"<code>{_escaped(name)}</code>")
    return Markdown(f"`{name}`")


def codes(names: Iterable[str]) -> Markdown:
    """Return each name as inline code, separated by commas."""
    return Markdown(", ".join(code(name) for name in names))


def fenced(text: str, language: str = "") -> Markdown:
    """Return a code block. Its fence is longer than every run of backticks in `text`."""
    content = visible(text)
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{content}\n{fence}")
