"""Similarity of texts of a pool to other texts: mean scores and the most similar texts.

These figures need the longest common subsequence of every pair, so they are computed after a run, in blocks
of texts, with any number of threads.

    for each block of texts
        L of all pairs with the pool
        for each text    →    Σ L by length of the other text    →    mean
                         →    scores                             →    nearest

The sums are integers, and each mean is computed from the sums at the end, with one rounding:

    mean = (1 / N) Σ 2 L / (m + n) = (1 / N) Σ over lengths m of 2 (Σ L) / (m + n)

So the mean depends only on the earlier texts, not on blocks, threads or machines. It differs by less than
1e-12 from the mean of rouge-score's rounded scores.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from selfinstruct.pipeline.novelty.results import Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measures

Sequences = Sequence[Sequence[str]]
"""Texts as sequences of tokens: strings of characters that encode tokens, or lists of the tokens."""

_BLOCK = 512
"""Texts in a block. rapidfuzz compares several texts at once, and larger blocks are not faster."""
_PAIRS = 1 << 25
"""Pairs in a block, to limit memory use."""


def similarities(
    positions: Sequence[int], pool: Sequences, *, k: int, workers: int
) -> Iterator[Similarities]:
    """Yield the similarities of the texts at these positions to all earlier texts, in this order."""
    step = max(1, min(_BLOCK, _PAIRS // max(len(pool), 1)))
    blocks = [positions[start : start + step] for start in range(0, len(positions), step)]
    threads = ThreadPoolExecutor(max_workers=workers)
    try:
        for found in threads.map(lambda block: _block(block, pool, k), blocks):
            yield from found
    finally:
        threads.shutdown(cancel_futures=True)


def _block(positions: Sequence[int], pool: Sequences, k: int) -> list[Similarities]:
    texts, others = [pool[position] for position in positions], pool[: max(positions)]
    lengths = lengths_of(others)
    kinds, kind_of = np.unique(lengths, return_inverse=True)
    found = []
    for position, text, common in zip(positions, texts, common_of_all(texts, others), strict=True):
        earlier = common[:position].astype(float)
        sums = np.bincount(kind_of[:position], weights=earlier, minlength=len(kinds))
        nonzero = sums.nonzero()[0]
        scores = (2 * sums[nonzero] / (kinds[nonzero] + len(text))).tolist()
        nearest = most_similar(earlier, lengths[:position], len(text), k)
        found.append(Similarities(position, math.fsum(scores) / max(position, 1), tuple(nearest)))
    return found


def lengths_of(texts: Sequences) -> NDArray[np.float64]:
    """Return the number of tokens of each text, and 1 for a text without tokens.

    Such a text shares nothing, so its F is 0 for any length. A length of 1 avoids a division by 0.
    """
    return np.array([len(text) or 1 for text in texts], float)


def common_of_all(texts: Sequences, others: Sequences) -> NDArray[Any]:
    """Return the length of the longest common subsequence of every text with every other text."""
    longest = max(map(len, texts))
    dtype = np.uint16 if longest < 1 << 16 else np.int32
    return cdist(texts, others, scorer=LCSseq.similarity, dtype=dtype)


def most_similar(
    common: NDArray[Any], lengths: NDArray[np.float64], n: int, k: int
) -> list[Similar]:
    """Return the `k` texts of these `lengths` that are most similar to a text of n tokens.

    The highest score comes first, then the first position. `common` has L for each text.
    """
    # F / 2 without its rounding is faster than F, and the margin is wider than the rounding.
    halves = common / (lengths + n)
    rank = len(halves) - k
    least = np.partition(halves, rank)[rank] * (1 - 1e-9) if 0 < rank < len(halves) else 0.0
    positions = (halves >= least).nonzero()[0]
    scores = f_measures(common[positions], lengths[positions], max(n, 1))
    order = np.argsort(-scores, kind="stable")[: max(k, 0)]
    return list(map(Similar, positions[order].tolist(), scores[order].tolist()))
