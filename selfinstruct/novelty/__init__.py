"""Novelty: is a text farther than a threshold from everything in a pool, in ROUGE-L?

Exact: the decision is the one that the rouge-score package comes to. It computes, in doubles,

    p = L / n    r = L / m    F = 2 * p * r / (p + r)    (m, n: tokens, L: longest common subsequence)

and the published filter rejects where F > 0.7. At exact ties the doubles fall on either side of 0.7: L = 7 of
7 and 13 tokens gives 0.7000000000000001 and is rejected, 7 of 10 and 10 gives 0.7 and is kept. So F is never
compared in another formula: for each pair of lengths the smallest L that is rejected is found with these
very operations, and integers are compared.

    >>> index = NoveltyIndex(threshold=0.7, tokenizer="rouge")
    >>> index.add("Write a short poem about the sea.")
    0
    >>> index.check("Write a short poem about the old sea.")
    Verdict(novel=False, position=0, rouge_l=0.9333333333333333)
    >>> index.check("How many legs has a spider?").novel
    True
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from selfinstruct.tokenizers import TOKENIZERS


def f_measure(common: int, m: int, n: int) -> float:
    """ROUGE-L F of two texts of m and n tokens (both > 0) that share a subsequence of `common` tokens."""
    if common == 0:
        return 0.0
    # The operations and their order are rouge-score's: see the module docstring.
    precision, recall = common / n, common / m
    return 2 * precision * recall / (precision + recall)


@lru_cache(maxsize=1 << 16)
def smallest_rejected(m: int, n: int, threshold: float) -> int:
    """The smallest L in [1, min(m, n)] with F > threshold, or min(m, n) + 1 where there is none."""
    # F grows with L, and the exact solution is threshold * (m + n) / 2: start just below it.
    most = min(m, n)
    common = min(max(1, int(threshold * (m + n) / 2) - 1), most + 1)
    while common <= most and f_measure(common, m, n) <= threshold:
        common += 1
    return common


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `check` says of a text."""

    novel: bool
    position: int | None = None
    """Where not novel: the place in the pool of a witness over the threshold."""
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


class NoveltyIndex:
    """A growing pool of texts that new texts are compared with.

    Only texts that can be near enough are compared: those whose length allows a rejection, and of these the
    ones that share a rare word. For a rejection at least r words must be shared, so of any n - r + 1 of the
    n words of a text at least one is; the rarest are looked up. Both bounds are exact.

    A text without any token is like nothing and never a witness; `check` calls it novel, as rouge-score
    would, so callers who care look at `tokens` first.
    """

    def __init__(
        self, threshold: float = 0.7, tokenizer: str = "rouge", texts: Iterable[str] = ()
    ) -> None:
        """An index of `texts`. `tokenizer` is "rouge" or "unicode", see `selfinstruct.tokenizers`.

        Raises ValueError for a threshold outside of [0, 1] and for an unknown tokenizer.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer must be {' or '.join(TOKENIZERS)}, not {tokenizer!r}")
        self.threshold = threshold
        self.tokenizer = tokenizer
        self.tokens = TOKENIZERS[tokenizer]
        self._texts: list[str] = []
        # Tokens become characters of a string, which is what rapidfuzz compares fastest. Character 0 is
        # kept for words that the pool does not have.
        self._codes: dict[str, str] = {}
        self._sequences: list[str] = []
        self._lengths: set[int] = set()
        self._positions: dict[str, list[int]] = {}
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The pool, in order."""
        return tuple(self._texts)

    def add(self, text: str) -> int:
        """Append a text to the pool, whether novel or not. Returns its position."""
        position = len(self._texts)
        codes = self._codes
        sequence = "".join([codes.setdefault(t, chr(len(codes) + 1)) for t in self.tokens(text)])
        self._texts.append(text)
        self._sequences.append(sequence)
        if sequence:
            self._lengths.add(len(sequence))
        for code in set(sequence):
            self._positions.setdefault(code, []).append(position)
        return position

    def check(self, text: str) -> Verdict:
        """Compare a text with the whole pool."""
        from rapidfuzz.distance.LCSseq import similarity

        sequence = "".join([self._codes.get(t, "\0") for t in self.tokens(text)])
        n = len(sequence)
        needed = {m: smallest_rejected(m, n, self.threshold) for m in self._lengths if n}
        needed = {m: common for m, common in needed.items() if common <= min(m, n)}
        if not needed:
            return Verdict(novel=True)
        compared: set[int] = set()
        rarest = sorted(sequence, key=lambda code: len(self._positions.get(code, ())))
        for rank, code in enumerate(rarest[: n - min(needed.values()) + 1]):
            for position in self._positions.get(code, ()):
                if position in compared:
                    continue
                compared.add(position)
                other = self._sequences[position]
                enough = needed.get(len(other))
                if enough is None or rank > n - enough:
                    continue  # of another length, or without any of the rarest words that it would need
                common = similarity(sequence, other, score_cutoff=enough)
                if common >= enough:
                    score = f_measure(int(common), len(other), n)
                    return Verdict(novel=False, position=position, rouge_l=score)
        return Verdict(novel=True)

    def admit(self, texts: Iterable[str]) -> list[Verdict]:
        """Check texts in order and add the novel ones, so that later ones are compared with earlier ones."""
        verdicts = []
        for text in texts:
            verdict = self.check(text)
            if verdict.novel:
                self.add(text)
            verdicts.append(verdict)
        return verdicts

    def nearest(self, text: str, *, upto: int | None = None) -> Similar | None:
        """The text most like this one among the first `upto`.

        The first of several equal ones; None where there is nothing to compare. Compares with every text:
        for a person who asks about one.
        """
        return next(iter(self.top_k(text, 1, upto=upto)), None)

    def top_k(self, text: str, k: int = 10, *, upto: int | None = None) -> list[Similar]:
        """The `k` texts most like this one among the first `upto`: highest score first, then pool order."""
        from rapidfuzz.distance.LCSseq import similarity

        sequence = "".join([self._codes.get(t, "\0") for t in self.tokens(text)])
        found = []
        for position, other in enumerate(self._sequences[:upto]):
            score = 0.0
            if sequence and other:
                score = f_measure(int(similarity(sequence, other)), len(other), len(sequence))
            found.append(Similar(position, score))
        return sorted(found, key=lambda similar: (-similar.rouge_l, similar.position))[:k]

    def similarities(
        self, positions: Iterable[int] | None = None, *, k: int = 10, workers: int = 1
    ) -> Iterator[Similarities]:
        """How like the texts before it each of these texts of the pool is; None: each of them, in order."""
        for position in range(len(self)) if positions is None else positions:
            scores = self.top_k(self._texts[position], position, upto=position)
            mean = sum(s.rouge_l for s in scores) / len(scores) if scores else 0.0
            yield Similarities(position, mean, tuple(scores[:k]))
