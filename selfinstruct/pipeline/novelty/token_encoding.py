r"""Tokens as characters, so that a text becomes a string: what rapidfuzz compares fastest.

>>> characters = Characters()
>>> characters.added(["the", "sea", "the"]) == "\\x01\\x02\\x01"
True
>>> characters.of(["the", "lake"]) == "\\x01\\x00"
True
"""

import sys
from collections.abc import Iterable, Sequence

_CHARACTERS = sys.maxunicode
"""How many tokens can have a character of their own."""


class Characters(dict[str, str]):
    """A character for each token. Character 0 stands for all those that have none.

    Where there are more tokens than characters, several share one. Strings are then at least as like each
    other as their texts are, never less.
    """

    def __init__(self) -> None:
        super().__init__()
        self.are_shared = False
        """Whether some character stands for several tokens, or once did."""

    def added(self, tokens: Iterable[str]) -> str:
        """The string of a text, whose new tokens are given characters."""
        return "".join(map(self.__getitem__, tokens))

    def of(self, tokens: Iterable[str]) -> str:
        """The string of a text, character 0 for what is new in it."""
        return "".join([self.get(token, "\0") for token in tokens])

    def of_each(self, texts: Iterable[Sequence[str]]) -> list[str]:
        """The strings of texts that can be compared with each other; nothing is added."""
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


class TooManyTokensError(ValueError):
    """Texts of more than a million different tokens, so that characters cannot tell them apart."""

    def __init__(self) -> None:
        super().__init__("a text of more than a million different words cannot be compared")
