"""The checksum in the last line of a card, which shows edits."""

import hashlib
import re

_LINE = re.compile(
    r"(?:\A|(?<=\n))<!-- written by selfinstruct; sha256:([0-9a-f]{64}) of everything above; "
    r"an edited card is never overwritten -->\n\Z"
)


def sealed(text: str) -> str:
    """Return a text, which ends in a line end, with the checksum line."""
    return (
        f"{text}<!-- written by selfinstruct; sha256:{_sha256(text)} of everything above; "
        "an edited card is never overwritten -->\n"
    )


def is_sealed(text: str) -> bool:
    """Return whether a text has a checksum line that fits."""
    line = _LINE.search(text)
    return line is not None and line[1] == _sha256(text[: line.start()])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
