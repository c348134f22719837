r"""Encode tokens as characters, so that a text becomes a string, which rapidfuzz compares fastest.

>>> characters = Characters()
>>> characters.added(["the", "sea", "the"]) == "\\x01\\x02\\x01"
True
>>> characters.of(["the", "lake"]) == "\\x01\\x00"
True
"""

import sys
from collections.abc import Iterable, Sequence

_CHARACTERS = sys.maxunicode
"""Number of tokens that can have different characters."""


class Characters(dict[str, str]):
    """Characters by token. Character 0 means an unknown token.

    With more tokens than characters, several tokens share a character. The similarity of two strings is then
    at least the similarity of their texts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.are_shared = False
        """True if several tokens share a character."""

    def added(self, tokens: Iterable[str]) -> str:
        """Return the string of a text, after adding a character for each new token."""
        return "".join(map(self.__getitem__, tokens))

    def of(self, tokens: Iterable[str]) -> str:
        """Return the string of a text, with character 0 for each new token."""
        return "".join([self.get(token, "\0") for token in tokens])

    def of_each(self, texts: Iterable[Sequence[str]]) -> list[str]:
        """Return strings of texts that can be compared with each other, without adding their tokens."""
        new: dict[str, str] = {}
        strings = []
        for tokens in texts:
            for token in tokens:
                if token not in self and token not in new:
                    new[token] = self._character(len(self) + len(new))
            strings.append("".join([self.get(token) or new[token] for token in tokens]))
        return strings

    def __missing__(self, token: str) -> str:
        character = self[token] = self._character(len(self))
        return character

    def _character(self, number: int) -> str:
        self.are_shared = self.are_shared or number >= _CHARACTERS
        return chr(number % _CHARACTERS + 1)
