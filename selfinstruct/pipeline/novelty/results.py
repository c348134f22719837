"""Results of a `NoveltyIndex`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class NoveltyResult:
    """Result of a novelty check."""

    novel: bool
    """True if no text of the pool scores over the threshold."""
    position: int | None = None
    """Position of the most similar text in the pool, the first of equals; None if novel."""
    rouge_l: float | None = None
    """Exact score of this text, in (threshold, 1]; None if novel."""


class Similar(NamedTuple):
    """A text of the pool with its similarity to another text."""

    position: int
    """Position in the pool."""
    rouge_l: float
    """Exact score, in [0, 1]."""


class Similarities(NamedTuple):
    """Similarity of a text of the pool to the texts before it."""

    position: int
    """Position of the text in the pool."""
    mean: float
    """Mean of the scores with all earlier texts, in [0, 1]; 0.0 for the first text."""
    nearest: tuple[Similar, ...]
    """The most similar earlier texts: highest score first, then pool order."""

    def as_fields(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the fields of the published format. `texts` is the pool; equal texts share one entry."""
        scores: dict[str, float] = {}
        for position, rouge_l in self.nearest:
            scores.setdefault(texts[position], rouge_l)
        return {"most_similar_instructions": scores, "avg_similarity_score": self.mean}
