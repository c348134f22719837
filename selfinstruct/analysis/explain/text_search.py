r"""Search the texts of a run for a text as the model wrote it, or as a user copied it from the terminal.

Ignores case and white space. The terminal shows texts with escaped control characters, broken lines and
sometimes a cut end; a copy of such a text matches too.

    texts = Texts([(("Name a river.",), "task_000001")], [("9. Name a river.", "generate/000001")], str)
    texts.find("name  A")
    → Matches(how="part", ids=["task_000001"], partial=0, in_replies=("generate/000001",))
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from selfinstruct.analysis.explain.results import How
from selfinstruct.pipeline.parse.cleanup import folded

_MIN_WIDTH = 20
"""Characters of the narrowest line on the terminal."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The matches of a query."""

    how: How = "none"
    ids: Sequence[str] = ()
    """Ids of the matching items, or of the requests for `how="reply"`."""
    partial: int = 0
    """Further items that contain the text."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests with the text in their reply."""


class Texts:
    """The texts of items and replies, with their ids; `shown` formats a text for the terminal."""

    def __init__(
        self,
        items: Iterable[tuple[Iterable[str], str]],
        replies: Iterable[tuple[str, str]],
        shown: Callable[[str], str],
    ) -> None:
        def forms(texts: Iterable[str]) -> list[str]:
            return [folded(form) for text in texts for form in {text: 0, shown(text): 0}]

        self._items = [(forms(texts), name) for texts, name in items]
        self._replies = [(forms([text]), name) for text, name in replies]

    def find(self, query: str) -> Matches:
        """Return the items with exactly this text, else the items that contain it, else the replies."""
        uncut = folded(_uncut(query))
        matches = self._matches(folded(query), str)
        if matches.how == "none" and uncut:
            matches = self._matches(uncut, str)
        # A short text would match across word borders: "atone" in "that one".
        if matches.how == "none" and " " in uncut and len(uncut) >= _MIN_WIDTH:
            matches = self._matches(_without_space(uncut), _without_space)
        return matches

    def _matches(self, wanted: str, fold: Callable[[str], str]) -> Matches:
        exact, part = [], []
        for forms, name in self._items:
            compared = [fold(form) for form in forms]
            if wanted in compared:
                exact.append(name)
            elif any(wanted in text for text in compared):
                part.append(name)
        replies = [
            name for forms, name in self._replies if any(wanted in fold(form) for form in forms)
        ]
        if exact:
            return Matches("exact", exact, len(part), tuple(replies))
        if part:
            return Matches("part", part, 0, tuple(replies))
        return Matches("reply", replies, 0, tuple(replies)) if replies else Matches()


def place(text: str, query: str, shown: Callable[[str], str]) -> tuple[str, int, int]:
    """Return the text that contains a query, as written or as shown, and the start and end of the match."""
    words = r"\s+".join(map(re.escape, _uncut(query).split()))
    letters = r"\s*".join(map(re.escape, _without_space(_uncut(query))))
    for pattern in (words, letters):
        for form in (text, shown(text)):
            match = re.search(pattern, form, re.IGNORECASE)
            if match is not None:
                return form, *match.span()
    return text, 0, 0  # a letter that folds to several has no match here; show the beginning


def _uncut(query: str) -> str:
    return query.strip("… ")


def _without_space(text: str) -> str:
    return "".join(text.split())
