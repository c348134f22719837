"""The checksum in a card's last line, which reveals whether the card was edited."""

import hashlib


def sealed(text: str) -> str:
    """Return `text` with the checksum line appended. `text` must end with a newline."""
    sha256 = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return (
        f"{text}<!-- written by selfinstruct; sha256:{sha256} of everything above; "
        "an edited card is never overwritten -->\n"
    )


def is_sealed(text: str) -> bool:
    """Return whether `text` ends with its correct checksum line, so a new card may replace it."""
    above, _, _ = text.removesuffix("\n").rpartition("\n")
    return text == sealed(f"{above}\n")
