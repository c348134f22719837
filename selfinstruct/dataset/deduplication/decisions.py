"""Decides which records in a list are near-duplicates, using exact ROUGE-L.

If several texts are similar, only the first one in the list is kept. A run's candidates are compared by the
same rule; see `selfinstruct.pipeline.novelty`.

    >>> texts = ["Name three rivers.", "Name three big rivers.", "Sing!"]
    >>> listed = [ListedText(n, text, f"line {n}") for n, text in enumerate(texts, start=1)]
    >>> for decision in Deduplication(threshold=0.7).decide(listed):
    ...     print(decision)
    Kept(record=1, position=0)
    Rejected(record=2, witness='Name three rivers.', witness_place='line 1', rouge_l=0.8571428571428571)
    Kept(record=3, position=1)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from selfinstruct.pipeline.novelty import NoveltyIndex

BATCH = 1_000
"""Number of records that are compared in one call. It affects only the speed, not the decisions."""
NOTHING_SIMILAR = {"most_similar_instructions": dict[str, float](), "avg_similarity_score": 0.0}
"""The similarity fields for a record whose text has no tokens."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListedText(Generic[T]):
    """A record in the list, with its text to compare."""

    record: T
    text: str
    place: str
    """The record's file and line, to show in messages."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A record that is kept, because no earlier kept text is too similar to its text."""

    record: T
    position: int | None
    """The text's position among the kept texts; None if the text has no tokens."""
    is_equal: bool = field(default=False, repr=False)
    """True if the text equals an earlier kept text, which is then at `position`; see `keep_equal`."""


@dataclass(frozen=True, slots=True)
class Rejected(Generic[T]):
    """A record that is rejected, because its text is too similar to an earlier text, the witness."""

    record: T
    witness: str
    witness_place: str
    rouge_l: float
    is_known: bool = field(default=False, repr=False)
    """True if the witness was added with `know`, so it is not a text from the list."""


class Deduplication:
    """Decides on records one by one. Keeps the texts and their places in memory, but not the records."""

    def __init__(
        self, *, threshold: float = 0.7, tokenizer: str = "unicode", keep_equal: bool = False
    ) -> None:
        """Create an empty index.

        If `keep_equal` is true, a record is also kept if its text exactly equals the text of a kept record.
        Texts added with `know` do not count as kept records. Raises ValueError if `threshold` is outside
        [0, 1] or the tokenizer is unknown.
        """
        self._index = NoveltyIndex(threshold=threshold, tokenizer=tokenizer)
        self._texts: list[str] = []
        self._places: list[str] = []
        self._known = 0
        self._positions: dict[str, int] | None = {} if keep_equal else None

    def know(self, text: str, place: str) -> None:
        """Add a text that all records are compared with. Raises ValueError if a text was already kept."""
        if len(self._texts) != self._known:
            raise ValueError("texts must be added before the first record is kept")
        if self._index.tokens(text):
            self._index.add(text)
            self._add(text, place)
            self._known += 1

    def decide(self, listed: Iterable[ListedText[T]]) -> Iterator[Kept[T] | Rejected[T]]:
        """Yield the decision on each record, in the order of the records."""
        remaining = iter(listed)
        while batch := [*islice(remaining, BATCH)]:
            with_tokens = [bool(self._index.tokens(item.text)) for item in batch]
            compared = [item.text for item, has in zip(batch, with_tokens, strict=True) if has]
            results = iter(self._index.admit(compared))
            for item, has in zip(batch, with_tokens, strict=True):
                if not has:
                    yield Kept(item.record, None)
                    continue
                result = next(results)
                if result.novel:
                    if self._positions is not None:
                        self._positions.setdefault(item.text, len(self._texts))
                    yield Kept(item.record, len(self._texts))
                    self._add(item.text, item.place)
                    continue
                equal = self._positions.get(item.text) if self._positions else None
                if equal is not None:
                    yield Kept(item.record, equal, is_equal=True)
                    continue
                at, rouge_l = result.position, result.rouge_l
                assert at is not None
                assert rouge_l is not None
                witness, place = self._texts[at], self._places[at]
                yield Rejected(item.record, witness, place, rouge_l, is_known=at < self._known)
            batch.clear()  # so that two batches are never in memory at the same time

    def similarities(
        self, positions: Iterable[int] | None = None, *, workers: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Yield, for each text, fields that state how similar it is to all earlier texts.

        `positions` selects the texts; None selects all kept texts that have tokens. `workers` is the number
        of threads. Call this after the last decision.
        """
        kept = range(self._known, len(self._texts)) if positions is None else positions
        for similar in self._index.similarities(kept, workers=workers):
            yield similar.as_fields(self._texts)

    def _add(self, text: str, place: str) -> None:
        self._texts.append(text)
        self._places.append(place)
