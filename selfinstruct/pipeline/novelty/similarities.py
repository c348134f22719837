"""Similarity of texts of a pool to all earlier texts: mean scores and the most similar texts.

These figures need the longest common subsequence of every pair, so they are computed after a run, in blocks
of texts against chunks of the pool, with any number of threads.

    for each block of texts
        for each chunk of the pool, in order
            L of all pairs    →    Σ L by length of the other text    →    mean
                              →    pairs that may be among the k most similar    →    nearest

The sums are integers, and each mean is computed from the sums at the end, with one rounding:

    mean = (1 / N) Σ 2 L / (m + n) = (1 / N) Σ over lengths m of 2 (Σ L) / (m + n)

So the mean depends only on the earlier texts, not on blocks, threads or machines. It differs by less than
1e-12 from the mean of rouge-score's rounded scores.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from selfinstruct.pipeline.novelty.results import Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measures
from selfinstruct.pipeline.novelty.token_encoding import TooManyTokensError

_BLOCK = 512
"""Texts in a block. rapidfuzz compares several texts at once, and larger blocks are not faster."""
_FIRST, _CHUNK = 64, 2048
"""Sizes of the first chunk of the pool and of the longest. In the first chunk, every text may be among the
most similar, so it is short."""


Encode = Callable[[Sequence[int]], tuple[Sequence[str], Sequence[str]]]
"""Function from positions to the strings of these texts and of all earlier texts.

Raises TooManyTokensError if the texts have too many different tokens; fewer positions may succeed.
"""


def similarities(
    positions: Sequence[int], encode: Encode, *, k: int, workers: int
) -> Iterator[Similarities]:
    """Yield the similarities of the texts at these positions, in this order."""
    blocks = [positions[start : start + _BLOCK] for start in range(0, len(positions), _BLOCK)]
    with ThreadPoolExecutor(max_workers=workers) as threads:
        waiting: list[Future[list[Similarities]]] = []
        try:
            for block in blocks:
                waiting.append(threads.submit(_block, block, encode, k))
                # Limit the blocks in progress, so that a caller that stops early wastes little work.
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
    limits = np.array(positions)
    n = np.array([len(text) for text in texts])
    lengths = np.array([len(text) for text in pool[:size]], np.int64)
    kinds, kind_of = np.unique(lengths, return_inverse=True)
    sums = np.zeros((len(texts), len(kinds)), np.int64)
    nearest = _Nearest(limits, n, k)
    start, step = 0, _FIRST
    while start < size:
        stop = min(start + step, size)
        # Sort by length, so that texts of equal length are adjacent and can be summed.
        order = lengths[start:stop].argsort(kind="stable") + start
        common = common_of_all(texts, [pool[other] for other in order.tolist()])
        if stop > limits.min():
            common[order >= limits[:, None]] = 0
        kind = kind_of[order]
        firsts = np.flatnonzero(np.diff(kind, prepend=-1))
        sums[:, kind[firsts]] += np.add.reduceat(common, firsts, axis=1, dtype=np.int64)
        nearest.update(common, order, lengths[order])
        start, step = stop, min(2 * step, _CHUNK)
    means = [_mean(sums[row], kinds, n[row], positions[row]) for row in range(len(texts))]
    return [
        Similarities(position, mean, similar)
        for position, mean, similar in zip(positions, means, nearest.similar(), strict=True)
    ]


def _mean(sums: NDArray[np.int64], lengths: NDArray[np.int64], n: int, size: int) -> float:
    """Return the mean score of a text of n tokens with `size` texts, from the `sums` of L by length."""
    nonzero = sums.nonzero()[0]
    return math.fsum((2 * sums[nonzero] / (lengths[nonzero] + n)).tolist()) / max(size, 1)


class _Nearest:
    """The k most similar texts for each text of a block, updated chunk by chunk in pool order."""

    def __init__(self, limits: NDArray[np.int64], n: NDArray[np.int64], k: int) -> None:
        self._limits, self._n, self._k = limits, n, k
        # The best pairs so far, sorted by row, score and position.
        self._rows = np.zeros(0, np.int64)
        self._others = np.zeros(0, np.int64)
        self._scores = np.zeros(0)
        # Score that a later text must exceed to be among the k, for each row.
        self._least = np.zeros(len(limits), np.float32)

    def update(
        self,
        common: NDArray[Any],
        others: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> None:
        """Update with `common`, the L of each text of the block (row) with texts of the pool (columns)."""
        if not self._k:
            return
        # L > score / 2 * (m + n), in single precision with a margin. The remaining pairs get exact scores.
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
        """Yield the result for each text. Texts that share no token come last, in pool order."""
        ends = np.searchsorted(self._rows, np.arange(len(self._limits)), side="right").tolist()
        for start, end, size in zip([0, *ends], ends, self._limits.tolist(), strict=False):
            positions, scores = self._others[start:end].tolist(), self._scores[start:end].tolist()
            known = set(positions)
            others = (position for position in range(size) if position not in known)
            rest = [Similar(position, 0.0) for position in islice(others, self._k - len(known))]
            yield (*map(Similar, positions, scores), *rest)


def common_of_all(texts: Sequence[str], others: Sequence[str]) -> NDArray[Any]:
    """Return the length of the longest common subsequence of every text with every other text."""
    longest = max(map(len, texts))
    dtype = np.uint16 if longest < 1 << 16 else np.int32
    return cdist(texts, others, scorer=LCSseq.similarity, dtype=dtype)
