"""`NoveltyIndex`: a growing pool of texts that new texts are compared with.

    text → tokens → string → possible matches (`neighbours`) → longest common subsequence → F > threshold?

The search for possible matches excludes only texts that cannot be over the threshold, so no match is lost.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from selfinstruct.pipeline.novelty.results import NoveltyResult, Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measure
from selfinstruct.pipeline.novelty.token_encoding import Characters
from selfinstruct.pipeline.tokenizers import TOKENIZERS

if TYPE_CHECKING:
    from selfinstruct.pipeline.novelty.possible_matches import Neighbours

_BATCH = 128
"""Number of texts that are compared in one batch. Larger batches are not faster."""


class NoveltyIndex:
    """A growing pool of texts that new texts are compared with.

    A text without tokens scores 0 with every other text, as with rouge-score, so `check` returns it as novel.
    To detect such a text, call `tokens`.
    """

    def __init__(
        self, threshold: float = 0.7, tokenizer: str = "rouge", texts: Iterable[str] = ()
    ) -> None:
        """Create an index of `texts`.

        `tokenizer` is "rouge" or "unicode"; see `selfinstruct.pipeline.tokenizers`. Raises TypeError if the
        threshold is not a number, and ValueError if the threshold is outside [0, 1] or the tokenizer is
        unknown.
        """
        if not isinstance(threshold, int | float):
            raise TypeError("threshold must be a number; pass texts as NoveltyIndex(texts=…)")

        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer must be {' or '.join(TOKENIZERS)}, not {tokenizer!r}")
        self.threshold = threshold
        self.tokenizer = tokenizer
        self.tokens = TOKENIZERS[tokenizer]
        self._characters = Characters()
        self._strings: list[str] = []
        self._search: Neighbours | None = None
        self._texts: list[str] = []
        for text in _checked(texts):
            self.add(text)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts in the pool, in the order in which they were added."""
        return tuple(self._texts)

    def add(self, text: str) -> int:
        """Add a text to the end of the pool, whether or not it is novel, and return its position."""
        self._texts.append(text)
        self._strings.append(self._characters.added(self.tokens(text)))
        return len(self._texts) - 1

    def check(self, text: str) -> NoveltyResult:
        """Compare a text with every text in the pool, and return whether it is novel."""
        return self.check_each([text])[0]

    def check_each(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """Compare each text with the whole pool, but not with the other texts.

        The results are the same as those of `check`. Checking a dozen texts in one call takes less than half
        the time of a dozen calls to `check`.
        """
        results: list[NoveltyResult] = []
        iterator = iter(_checked(texts))
        while batch := list(islice(iterator, _BATCH)):
            strings = [self._characters.of(self.tokens(text)) for text in batch]
            nearest = self._nearest_over(batch, strings)
            results += [_result(nearest.get(row)) for row in range(len(batch))]
        return results

    def admit(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """Check the texts in order, and add each novel text to the pool before the next text is checked.

        The results are the same as if `check` and `add` were called for one text after another, but this
        takes about a third of the time.
        """
        results: list[NoveltyResult] = []
        iterator = iter(_checked(texts))
        while batch := list(islice(iterator, _BATCH)):
            strings = self._added(batch)
            checked = self._in_turn(batch, strings)
            for text, string, result in zip(batch, strings, checked, strict=True):
                if result.novel:
                    self._texts.append(text)
                    self._strings.append(string)
            results += checked
        return results

    def check_in_turn(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """Return the results that `admit` would return for these texts, without adding them to the pool.

        If the most similar text is itself one of `texts`, `position` is its position after a call to `admit`.
        """
        texts = list(_checked(texts))
        return self._in_turn(texts, self._added(texts))

    def nearest(self, text: str, *, upto: int | None = None) -> Similar | None:
        """Return the most similar of the first `upto` texts in the pool, or None if there are no texts.

        If several texts have the same score, the first one is returned. The text is compared with every text,
        so the method is slow in a large pool.
        """
        return next(iter(self.top_k(text, 1, upto=upto)), None)

    def top_k(self, text: str, k: int = 10, *, upto: int | None = None) -> list[Similar]:
        """Return the `k` most similar of the first `upto` texts in the pool.

        They are sorted by score, highest first. Texts with equal scores are in pool order.
        """
        from selfinstruct.pipeline.novelty import similarity_statistics

        pool = self._sequences[:upto]
        tokens = self.tokens(text)
        one = tokens if self._characters.are_shared else self._characters.of(tokens)
        lengths = similarity_statistics.lengths_of(pool)
        common = similarity_statistics.common_of_all([one], pool)[0]
        return similarity_statistics.most_similar(common, lengths, len(tokens), k)

    def similarities(
        self, positions: Iterable[int] | None = None, *, k: int = 10, workers: int = 1
    ) -> Iterator[Similarities]:
        """Yield the similarity of pool texts to all earlier texts in the pool.

        `positions` specifies the pool texts; None means the whole pool. Each result has the mean score and
        the `k` most similar earlier texts. A result depends only on the text and the earlier texts. `workers`
        is the number of threads.
        """
        from selfinstruct.pipeline.novelty.similarity_statistics import similarities

        chosen = range(len(self)) if positions is None else list(positions)
        return similarities(chosen, self._sequences, k=k, workers=workers)

    def _added(self, texts: Sequence[str]) -> list[str]:
        """Encode texts that may be added to the pool, with a character for each new token."""
        # Texts that turn out not to be novel get characters for their tokens too. This only costs some
        # memory.
        return [self._characters.added(self.tokens(text)) for text in texts]

    @property
    def _neighbours(self) -> "Neighbours":
        # The import of numpy takes time, and commands that only read a run do not need it.
        if self._search is None:
            from selfinstruct.pipeline.novelty.possible_matches import Neighbours

            self._search = Neighbours(self.threshold, self._strings)
        return self._search

    def _nearest_over(self, texts: Sequence[str], strings: Sequence[str]) -> dict[int, Similar]:
        """Return the most similar pool text for each text that is not novel. The keys are rows of `texts`."""
        nearest: dict[int, Similar] = {}
        if self.threshold == 1:  # no score exceeds 1
            return nearest
        rows, positions = self._neighbours.pairs(strings)
        pairs = list(zip(rows.tolist(), positions.tolist(), strict=True))
        for row, position, score in self._over(pairs, texts, strings, self._texts, self._strings):
            best = nearest.get(row)
            if best is None or (-score, position) < (-best.rouge_l, best.position):
                nearest[row] = Similar(position, score)
        return nearest

    def _in_turn(self, texts: Sequence[str], strings: Sequence[str]) -> list[NoveltyResult]:
        """Return the results of checking texts in order, as if each novel text were added to the pool."""
        if not texts:
            return []
        nearest = self._nearest_over(texts, strings)
        results = []
        joined: dict[int, int] = {}
        """Position that each novel text would have in the pool, by row."""
        for row, others in enumerate(self._neighbours.rows_among(strings)):
            best = nearest.get(row)
            # Only novel texts count as earlier texts. So in a thousand equal texts, each is compared with
            # only the first.
            pairs = [(row, other) for other in others if other in joined]
            for _, other, score in self._over(pairs, texts, strings, texts, strings):
                # If scores are equal, the earlier position counts. This text comes after the whole pool.
                if best is None or score > best.rouge_l:
                    best = Similar(joined[other], score)
            results.append(_result(best))
            if best is None:
                joined[row] = len(self) + len(joined)
        return results

    def _over(
        self,
        pairs: Sequence[tuple[int, int]],
        texts: Sequence[str],
        strings: Sequence[str],
        pool: Sequence[str],
        pool_strings: Sequence[str],
    ) -> Iterator[tuple[int, int, float]]:
        """Yield each pair of a text and a pool text whose score is over the threshold, with its score."""
        from rapidfuzz.distance.LCSseq import similarity

        for row, other in pairs:
            one, two = strings[row], pool_strings[other]
            score = f_measure(similarity(one, two), len(two), len(one))
            if score > self.threshold and self._characters.are_shared:
                common = similarity(self.tokens(texts[row]), self.tokens(pool[other]))
                score = f_measure(common, len(two), len(one))
            if score > self.threshold:
                yield row, other, score

    @property
    def _sequences(self) -> Sequence[Sequence[str]]:
        """All texts in the pool, as sequences that rapidfuzz can compare exactly."""
        if self._characters.are_shared:
            return [self.tokens(text) for text in self._texts]
        return self._strings


def _checked(texts: Iterable[str]) -> Iterable[str]:
    """Return `texts`. Raises TypeError for a single string, whose letters would be taken as texts."""
    if isinstance(texts, str):
        raise TypeError("texts must be a list or another iterable; for one text, pass [text]")
    return texts


def _result(nearest: Similar | None) -> NoveltyResult:
    if nearest is None:
        return NoveltyResult(novel=True)
    return NoveltyResult(novel=False, position=nearest.position, rouge_l=nearest.rouge_l)
