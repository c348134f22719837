"""Types of the results that `NoveltyIndex` returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class NoveltyResult:
    """Result of a novelty check."""

    novel: bool
    """True if no text in the pool scores over the threshold."""
    position: int | None = None
    """Position of the most similar text in the pool, or of the first one if several are equally similar; None
    if the text is novel."""
    rouge_l: float | None = None
    """Exact score with the most similar text, in (threshold, 1]; None if the text is novel."""


class Similar(NamedTuple):
    """A text in the pool, and its similarity to another text."""

    position: int
    """Position of the text in the pool."""
    rouge_l: float
    """Exact score of the two texts, in [0, 1]."""


class Similarities(NamedTuple):
    """Similarity of a text in the pool to the texts before it."""

    position: int
    """Position of the text in the pool."""
    mean: float
    """Mean of the scores with all earlier texts, in [0, 1]; 0.0 for the first text."""
    nearest: tuple[Similar, ...]
    """Most similar earlier texts, sorted by score, highest first. Equal scores are in pool order."""

    def as_fields(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the similarity as the fields of the published Self-Instruct format.

        `texts` contains the texts in the pool. If similar texts are equal, they share one entry.
        """
        scores: dict[str, float] = {}
        for position, rouge_l in self.nearest:
            scores.setdefault(texts[position], rouge_l)
        return {"most_similar_instructions": scores, "avg_similarity_score": self.mean}
