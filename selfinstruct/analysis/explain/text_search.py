r"""Search a run's texts for a text that the model wrote or that a user copied from the terminal.

The search ignores case and white space. On the terminal, control characters are escaped, lines are wrapped
and long texts may end in "…"; a text copied from there still matches.

    texts = Texts([(("Name a river.",), "task_000001")], [("9. Name a river.", "generate/000001")], str)
    texts.find("name  A")
    → Matches(how="part", ids=["task_000001"], partial=0, in_replies=("generate/000001",))
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from selfinstruct.analysis.explain.results import How
from selfinstruct.pipeline.parse.shared import folded

_MIN_WIDTH = 20
"""Number of characters in the narrowest line on the terminal."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The items or replies that match a query."""

    how: How = "none"
    ids: Sequence[str] = ()
    """Ids of the matching items; if `how` is "reply", ids of the requests."""
    partial: int = 0
    """Number of further items that contain the text, if other items match it exactly."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests whose replies contain the text."""


class Texts:
    """The texts of items and replies, each with its id.

    `shown` formats a text for the terminal. Both the original and the formatted text are searched.
    """

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
        """Return the items with exactly this text; if none, items that contain it; if none, replies."""
        uncut = folded(_uncut(query))
        matches = self._matches(folded(query), str)
        if matches.how == "none" and uncut:
            matches = self._matches(uncut, str)
        # Without white space, a short text could match across words, such as "atone" in "that one".
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
    """Return the form of a text that contains the query, and the start and end of the match.

    The form is either the original text or the text as the terminal shows it.
    """
    words = r"\s+".join(map(re.escape, _uncut(query).split()))
    letters = r"\s*".join(map(re.escape, _without_space(_uncut(query))))
    for pattern in (words, letters):
        for form in (text, shown(text)):
            match = re.search(pattern, form, re.IGNORECASE)
            if match is not None:
                return form, *match.span()
    return text, 0, 0  # folding can turn one letter into several; then show the beginning


def _uncut(query: str) -> str:
    return query.strip("… ")


def _without_space(text: str) -> str:
    return "".join(text.split())
