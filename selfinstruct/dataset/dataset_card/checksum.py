"""The checksum in the last line of a card, which shows edits."""

import hashlib


def sealed(text: str) -> str:
    """Return a text, which ends in a line end, with the checksum line."""
    sha256 = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return (
        f"{text}<!-- written by selfinstruct; sha256:{sha256} of everything above; "
        "an edited card is never overwritten -->\n"
    )


def is_sealed(text: str) -> bool:
    """Return whether a text has a checksum line that fits, so that a new card may replace the text."""
    above, _, _ = text.removesuffix("\n").rpartition("\n")
    return text == sealed(f"{above}\n")
