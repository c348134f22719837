"""The last line of a card, by which a card that somebody edited is told from one that nobody did."""

import hashlib
import re

_LINE = re.compile(
    r"(?:\A|(?<=\n))<!-- written by selfinstruct; sha256:([0-9a-f]{64}) of everything above; "
    r"an edited card is never overwritten -->\n\Z"
)


def sealed(text: str) -> str:
    """The text, which ends in a line end, with the line below it."""
    return (
        f"{text}<!-- written by selfinstruct; sha256:{_sha256(text)} of everything above; "
        "an edited card is never overwritten -->\n"
    )


def is_sealed(text: str) -> bool:
    """Whether that line is there and tells of what stands before it."""
    line = _LINE.search(text)
    return line is not None and line[1] == _sha256(text[: line.start()])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
