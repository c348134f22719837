"""`NoveltyIndex`: a growing pool of texts that new texts are compared with.

    text → tokens → string → what may be near (`neighbours`) → longest common subsequence → F > threshold?

Every step but the last only leaves out what cannot be over the threshold, so the last one sees all that is.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from selfinstruct.pipeline.novelty.results import NoveltyResult, Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measure, f_measures
from selfinstruct.pipeline.novelty.token_encoding import Characters, TooManyTokensError
from selfinstruct.pipeline.tokenizers import TOKENIZERS

if TYPE_CHECKING:
    from selfinstruct.pipeline.novelty.neighbours import Nearby

_AT_ONCE = 128
"""Texts that are compared together: more are no faster."""


class NoveltyIndex:
    """A growing pool of texts that new texts are compared with.

    A text without any token is like nothing and never a witness; `check` calls it novel, as rouge-score
    would, so callers who care look at `tokens` first.
    """

    def __init__(
        self, threshold: float = 0.7, tokenizer: str = "rouge", texts: Iterable[str] = ()
    ) -> None:
        """An index of `texts`. `tokenizer` is "rouge" or "unicode", see `selfinstruct.pipeline.tokenizers`.

        Raises TypeError for a threshold that is no number, ValueError for one outside of [0, 1] and for an
        unknown tokenizer.
        """
        if not isinstance(threshold, int | float):
            raise TypeError("threshold must be a number; give texts as NoveltyIndex(texts=…)")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer must be {' or '.join(TOKENIZERS)}, not {tokenizer!r}")
        self.threshold = threshold
        self.tokenizer = tokenizer
        self.tokens = TOKENIZERS[tokenizer]
        self._characters = Characters()
        self._strings: list[str] = []
        self._searched: Nearby | None = None
        self._texts: list[str] = []
        for text in _several(texts):
            self.add(text)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The pool, in order."""
        return tuple(self._texts)

    def add(self, text: str) -> int:
        """Append a text to the pool, whether novel or not. Returns its position."""
        self._texts.append(text)
        self._strings.append(self._characters.added(self.tokens(text)))
        return len(self._texts) - 1

    def check(self, text: str) -> NoveltyResult:
        """Compare a text with the whole pool."""
        return self.check_each([text])[0]

    def check_each(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """Compare each of some texts with the whole pool, and none with another.

        The same as `check` for each. A dozen texts together take less than half of the time.
        """
        texts = list(_several(texts))
        verdicts = []
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            strings = [self._characters.of(self.tokens(text)) for text in some]
            nearest = self._nearest_over(some, strings)
            verdicts += [_verdict(nearest.get(row)) for row in range(len(some))]
        return verdicts

    def admit(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """Check texts in order and add the novel ones, so that later ones are compared with earlier ones.

        The same as `check` and `add` for each, in about a third of the time.
        """
        verdicts: list[NoveltyResult] = []
        iterator = iter(_several(texts))
        while some := list(islice(iterator, _AT_ONCE)):
            # Tokens of texts that turn out not to be novel stay known. That takes a little memory, no more.
            strings = [self._characters.added(self.tokens(text)) for text in some]
            found = self._in_turn(some, strings)
            for text, string, verdict in zip(some, strings, found, strict=True):
                if verdict.novel:
                    self._texts.append(text)
                    self._strings.append(string)
            verdicts += found
        return verdicts

    def check_in_turn(self, texts: Iterable[str]) -> list[NoveltyResult]:
        """What `admit` would say of these texts, with nothing added.

        Where a witness is one of these, its position is the one that it would get.
        """
        texts = list(_several(texts))
        return self._in_turn(texts, self._characters.of_each(map(self.tokens, texts)))

    def nearest(self, text: str, *, upto: int | None = None) -> Similar | None:
        """The text most like this one among the first `upto`: of several equal ones the first.

        None where there is nothing to compare. Compares with every text: for a person who asks about one.
        """
        return next(iter(self.top_k(text, 1, upto=upto)), None)

    def top_k(self, text: str, k: int = 10, *, upto: int | None = None) -> list[Similar]:
        """The `k` texts most like this one among the first `upto`: highest score first, then pool order."""
        import numpy as np

        from selfinstruct.pipeline.novelty.similarities import common_of_all

        size = len(self._texts[:upto])
        string, pool = self._characters.of(self.tokens(text)), self._strings
        if self._characters.are_shared:
            (string,), pool = self._in_own_characters([text], size)
        common = common_of_all([string], pool[:size])[0]
        lengths = np.array([len(other) for other in pool[:size]], np.int64)
        # Where nothing is common, as with a text without tokens, F is 0 whatever the lengths.
        scores = f_measures(common, np.maximum(lengths, 1), max(len(string), 1))
        order = np.lexsort((np.arange(size), -scores))[: max(k, 0)]
        return [Similar(position, float(scores[position])) for position in order.tolist()]

    def similarities(
        self, positions: Iterable[int] | None = None, *, k: int = 10, workers: int = 1
    ) -> Iterator[Similarities]:
        """How like the texts before it in the pool each of these is, in the order given; None: each in turn.

        For each the mean score with all texts before it, and the `k` most similar of them. Both depend on
        those texts and on nothing else. `workers` is a number of threads.
        """
        from selfinstruct.pipeline.novelty.similarities import similarities

        places = range(len(self)) if positions is None else list(positions)
        return similarities(places, self._comparable, k=k, workers=workers)

    @property
    def _nearby(self) -> "Nearby":
        # Who only reads a run, to export it, say, need not wait for numpy.
        if self._searched is None:
            from selfinstruct.pipeline.novelty.neighbours import Nearby

            self._searched = Nearby(self.threshold, self._strings)
        return self._searched

    def _nearest_over(self, texts: Sequence[str], strings: Sequence[str]) -> dict[int, Similar]:
        """By row of those texts that are over the threshold: the most similar text of the pool."""
        nearest: dict[int, Similar] = {}
        if self.threshold == 1:  # nothing is over it
            return nearest
        rows, positions = self._nearby.pairs(strings)
        pairs = list(zip(rows.tolist(), positions.tolist(), strict=True))
        for row, position, score in self._over(pairs, texts, strings, self._texts, self._strings):
            best = nearest.get(row)
            if best is None or (-score, position) < (-best.rouge_l, best.position):
                nearest[row] = Similar(position, score)
        return nearest

    def _in_turn(self, texts: Sequence[str], strings: Sequence[str]) -> list[NoveltyResult]:
        """Verdicts on texts of which those that are novel join the pool, one after the other."""
        if not texts:
            return []
        nearest = self._nearest_over(texts, strings)
        verdicts = []
        joined: dict[int, int] = {}
        for row, others in enumerate(self._nearby.rows_among(strings)):
            best = nearest.get(row)
            # Of a thousand equal texts one has joined: only with that are the others compared.
            pairs = [(row, other) for other in others if other in joined]
            for _, other, score in self._over(pairs, texts, strings, texts, strings):
                # It stands behind the whole pool and those before it, so it must be more similar than they.
                if best is None or score > best.rouge_l:
                    best = Similar(joined[other], score)
            verdicts.append(_verdict(best))
            if best is None:
                joined[row] = len(self) + len(joined)
        return verdicts

    def _over(
        self,
        pairs: Sequence[tuple[int, int]],
        texts: Sequence[str],
        strings: Sequence[str],
        pool: Sequence[str],
        pool_strings: Sequence[str],
    ) -> Iterator[tuple[int, int, float]]:
        """Of pairs of texts and texts of a pool, those over the threshold, with their exact scores."""
        if not pairs:  # mostly so, where texts are decided in turn
            return
        from rapidfuzz.distance.LCSseq import similarity

        for row, other in pairs:
            one, two = strings[row], pool_strings[other]
            score = f_measure(similarity(one, two), len(two), len(one))
            if score > self.threshold and self._characters.are_shared:
                score = self._exact_score(texts[row], pool[other])
            if score > self.threshold:
                yield row, other, score

    def _exact_score(self, text: str, other: str) -> float:
        """The score of two texts whose strings may be more alike than they are."""
        from rapidfuzz.distance.LCSseq import similarity

        (one,), (two,) = _in_own_characters([self.tokens(text)], [self.tokens(other)])
        return f_measure(similarity(one, two), len(two), len(one))

    def _comparable(self, positions: Sequence[int]) -> tuple[list[str], list[str]]:
        """Strings of these texts, and of the pool up to the last of them."""
        if self._characters.are_shared:
            return self._in_own_characters([self._texts[p] for p in positions], max(positions))
        return [self._strings[position] for position in positions], self._strings

    def _in_own_characters(self, texts: Sequence[str], size: int) -> tuple[list[str], list[str]]:
        tokens = [self.tokens(text) for text in texts]
        return _in_own_characters(tokens, map(self.tokens, self._texts[:size]))


def _in_own_characters(
    texts: Sequence[Sequence[str]], others: Iterable[Sequence[str]]
) -> tuple[list[str], list[str]]:
    """Strings in which no two tokens of these texts share a character; other tokens are like none of them.

    Raises TooManyTokensError.
    """
    characters = Characters()
    strings = [characters.added(tokens) for tokens in texts]
    if characters.are_shared:
        raise TooManyTokensError
    return strings, [characters.of(tokens) for tokens in others]


def _several(texts: Iterable[str]) -> Iterable[str]:
    """The texts; a single string would be taken for as many texts as it has letters."""
    if isinstance(texts, str):
        raise TypeError("texts must be several, such as a list; of one text, give [text]")
    return texts


def _verdict(nearest: Similar | None) -> NoveltyResult:
    if nearest is None:
        return NoveltyResult(novel=True)
    return NoveltyResult(novel=False, position=nearest.position, rouge_l=nearest.rouge_l)
