r"""Looking for a text among the texts of a run, as it was written or as somebody has copied it.

Case and white space do not matter. What is shown to a person has its control characters written out, its
lines broken and sometimes its end cut; a copy of that is found, too.

    texts = Texts([(("Name a river.",), "task_000001")], [("9. Name a river.", "generate/000001")], str)
    texts.find("name  A")
    → Matches(how="part", ids=["task_000001"], partial=0, in_replies=("generate/000001",))
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from selfinstruct.analysis.explain.results import How
from selfinstruct.pipeline.parse.cleanup import folded

_SHORTEST_LINE = 20
"""Characters of the shortest line that a text is broken into where it is shown."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Where a text stands."""

    how: How = "none"
    ids: Sequence[str] = ()
    """Of what has it as `how` says."""
    partial: int = 0
    """How many more have it as a part."""
    in_replies: tuple[str, ...] = ()
    """Ids of the requests in whose replies it stands."""


class Texts:
    """The texts of items, each with its id, and those of replies; `shown` is how a person sees a text."""

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
        """Where a text stands: as the whole text of items, or else inside of some, or else in replies."""
        uncut = folded(_uncut(query))
        matches = self._matches(folded(query), str)
        if matches.how == "none" and uncut:
            matches = self._matches(uncut, str)
        # Not of a short one, which would be found across the borders of words: "atone" in "that one".
        if matches.how == "none" and " " in uncut and len(uncut) >= _SHORTEST_LINE:
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
    """The text that a query was found in, as it was written or as it is shown, and where in it."""
    words = r"\s+".join(map(re.escape, _uncut(query).split()))
    letters = r"\s*".join(map(re.escape, _without_space(_uncut(query))))
    for pattern in (words, letters):
        for form in (text, shown(text)):
            found = re.search(pattern, form, re.IGNORECASE)
            if found is not None:
                return form, *found.span()
    return text, 0, 0  # some letters fold to several; then the beginning of the reply must do


def _uncut(query: str) -> str:
    return query.strip("… ")


def _without_space(text: str) -> str:
    return "".join(text.split())
