"""What an index says of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class NoveltyResult:
    """What `check` says of a text."""

    novel: bool
    position: int | None = None
    """Where not novel: the place in the pool of the witness, the most similar text; the first of several."""
    rouge_l: float | None = None
    """Its exact score, in (threshold, 1]."""


class Similar(NamedTuple):
    """A text of the pool and how like it another text is."""

    position: int
    """Its place in the pool."""
    rouge_l: float
    """The exact score, in [0, 1]."""


class Similarities(NamedTuple):
    """How like the texts before it a text of the pool is."""

    position: int
    """Its own place in the pool."""
    mean: float
    """The mean of its scores with all texts before it, in [0, 1]; 0.0 where there is none."""
    nearest: tuple[Similar, ...]
    """The most similar of them: highest score first, then pool order."""

    def as_fields(self, texts: Sequence[str]) -> dict[str, Any]:
        """The fields of the published data; `texts` is the pool. Equal texts have one name and one score."""
        names: dict[str, float] = {}
        for position, rouge_l in self.nearest:
            names.setdefault(texts[position], rouge_l)
        return {"most_similar_instructions": names, "avg_similarity_score": self.mean}
