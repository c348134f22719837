r"""Encode each token as a character, so that a text becomes a string. rapidfuzz compares strings fastest.

>>> characters = Characters()
>>> characters.added(["the", "sea", "the"]) == "\\x01\\x02\\x01"
True
>>> characters.of(["the", "lake"]) == "\\x01\\x00"
True
"""

import sys
from collections.abc import Iterable

_CHARACTERS = sys.maxunicode
"""Number of tokens that can each have a different character."""


class Characters(dict[str, str]):
    """The character that encodes each token. Character 0 encodes an unknown token.

    If there are more tokens than characters, several tokens share a character. The similarity of two strings
    is then at least the similarity of their texts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.are_shared = False
        """True if several tokens share a character."""

    def added(self, tokens: Iterable[str]) -> str:
        """Encode a text that may be added to the pool. Each new token gets a character."""
        return "".join(map(self.__getitem__, tokens))

    def of(self, tokens: Iterable[str]) -> str:
        """Encode a text, with character 0 for each unknown token."""
        return "".join([self.get(token, "\0") for token in tokens])

    def __missing__(self, token: str) -> str:
        self.are_shared = self.are_shared or len(self) >= _CHARACTERS
        character = self[token] = chr(len(self) % _CHARACTERS + 1)
        return character
