"""How like the texts before them some texts of a pool are: the mean score, and the most similar ones.

This takes the longest common subsequence of every pair, so it is no part of deciding: it is done afterwards,
a block of texts at a time against a stretch of the pool at a time, on as many threads as one likes.

    for each block of texts
        for each stretch of the pool, in its order
            L of all pairs    →    Σ L by length of the other text    →    mean
                              →    pairs that may be among the k most similar    →    nearest

What is added up are integers, and the mean is made of the sums at the end, with one rounding:

    mean = (1 / N) Σ 2 L / (m + n) = (1 / N) Σ over lengths m of 2 (Σ L) / (m + n)

So it depends on the texts before and on nothing else: not on blocks, threads or machines. From the mean of
the scores as rouge-score rounds them it differs by less than 1e-12.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from selfinstruct.pipeline.novelty.results import Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measures
from selfinstruct.pipeline.novelty.token_encoding import TooManyTokensError

_TEXTS = 512
"""Texts of a block: rapidfuzz compares several at once, which this many make good use of."""
_FIRST, _STRETCH = 64, 2048
"""The first stretch of the pool and the longest; the first is short, since all of it may be most similar."""


Encode = Callable[[Sequence[int]], tuple[Sequence[str], Sequence[str]]]
"""From positions of texts to their strings, and those of the pool at least up to the last of them.

Raises TooManyTokensError where fewer would do.
"""


def similarities(
    positions: Sequence[int], encode: Encode, *, k: int, workers: int
) -> Iterator[Similarities]:
    """The similarities of the texts at these positions, in this order."""
    blocks = [positions[start : start + _TEXTS] for start in range(0, len(positions), _TEXTS)]
    with ThreadPoolExecutor(max_workers=workers) as threads:
        waiting: list[Future[list[Similarities]]] = []
        try:
            for block in blocks:
                waiting.append(threads.submit(_block, block, encode, k))
                # No more than this many at once, so that those who stop early have not paid for the rest.
                if len(waiting) > workers:
                    yield from waiting.pop(0).result()
            while waiting:
                yield from waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _block(positions: Sequence[int], encode: Encode, k: int) -> list[Similarities]:
    try:
        texts, pool = encode(positions)
    except TooManyTokensError:
        half = len(positions) // 2
        if not half:
            raise
        return _block(positions[:half], encode, k) + _block(positions[half:], encode, k)
    size = max(positions)
    place = np.array(positions)
    n = np.array([len(text) for text in texts])
    lengths = np.array([len(text) for text in pool[:size]], np.int64)
    kinds, kind_of = np.unique(lengths, return_inverse=True)
    sums = np.zeros((len(texts), len(kinds)), np.int64)
    nearest = _Nearest(place, n, k)
    start, step = 0, _FIRST
    while start < size:
        stop = min(start + step, size)
        # Sorted by length, those of a length stand together and can be summed up.
        order = lengths[start:stop].argsort(kind="stable") + start
        common = common_of_all(texts, [pool[other] for other in order.tolist()])
        if stop > place.min():
            common[order >= place[:, None]] = 0
        kind = kind_of[order]
        firsts = np.flatnonzero(np.diff(kind, prepend=-1))
        sums[:, kind[firsts]] += np.add.reduceat(common, firsts, axis=1, dtype=np.int64)
        nearest.see(common, order, lengths[order])
        start, step = stop, min(2 * step, _STRETCH)
    means = [_mean(sums[row], kinds, n[row], positions[row]) for row in range(len(texts))]
    return [
        Similarities(position, mean, similar)
        for position, mean, similar in zip(positions, means, nearest.similar(), strict=True)
    ]


def _mean(sums: NDArray[np.int64], lengths: NDArray[np.int64], n: int, size: int) -> float:
    """The mean score of a text of n tokens with `size` texts; `sums` of what they share, by length."""
    some = sums.nonzero()[0]
    return math.fsum((2 * sums[some] / (lengths[some] + n)).tolist()) / max(size, 1)


class _Nearest:
    """The k most similar texts of each text of a block, as stretches of the pool are seen in order."""

    def __init__(self, place: NDArray[np.int64], n: NDArray[np.int64], k: int) -> None:
        self._place, self._n, self._k = place, n, k
        # What is kept, row by row: sorted by score, then by position.
        self._rows = np.zeros(0, np.int64)
        self._others = np.zeros(0, np.int64)
        self._scores = np.zeros(0)
        # A later text must have a higher score than this to be among the k.
        self._least = np.zeros(len(place), np.float32)

    def see(
        self,
        common: NDArray[Any],
        others: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> None:
        """Look at what the texts, (rows,), share with others of the pool, (columns,): `common`."""
        if not self._k:
            return
        # L > score / 2 * (m + n), in few digits and with a margin for that; exact for those that are left.
        half = (self._least * np.float32(0.5 - 1e-5))[:, None]
        least = half * lengths.astype(np.float32) + half * self._n.astype(np.float32)[:, None]
        rows, columns = (common > least).nonzero()
        if not len(rows):
            return
        scores = f_measures(common[rows, columns].astype(np.int64), lengths[columns], self._n[rows])
        rows = np.concatenate((self._rows, rows))
        positions = np.concatenate((self._others, others[columns]))
        scores = np.concatenate((self._scores, scores))
        order = np.lexsort((positions, -scores, rows))
        rows = rows[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = order[rank < self._k]
        self._rows = rows[rank < self._k]
        self._others, self._scores = positions[kept], scores[kept]
        is_last = rank[rank < self._k] == self._k - 1
        self._least[self._rows[is_last]] = self._scores[is_last]

    def similar(self) -> Iterator[tuple[Similar, ...]]:
        """Of each text, in order; those that share nothing with it come last, in the order of the pool."""
        ends = np.searchsorted(self._rows, np.arange(len(self._place)), side="right").tolist()
        start = 0
        for end, size in zip(ends, self._place.tolist(), strict=True):
            found = [
                Similar(position, score)
                for position, score in zip(
                    self._others[start:end].tolist(), self._scores[start:end].tolist(), strict=True
                )
            ]
            named = {similar.position for similar in found}
            others = (position for position in range(size) if position not in named)
            found += [
                Similar(position, 0.0)
                for _, position in zip(range(self._k - len(found)), others, strict=False)
            ]
            yield tuple(found)
            start = end


def common_of_all(texts: Sequence[str], others: Sequence[str]) -> NDArray[Any]:
    """The length of the longest common subsequence of every text with every other one."""
    longest = max(map(len, texts))
    dtype = np.uint16 if longest < 1 << 16 else np.int32
    return cdist(texts, others, scorer=LCSseq.similarity, dtype=dtype)
