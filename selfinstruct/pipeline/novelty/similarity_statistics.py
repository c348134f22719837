"""Compute how similar a pool's texts are to each other: mean scores and the most similar texts.

These figures require the longest common subsequence of every pair of texts. So they are computed after a run,
in blocks of texts, on any number of threads. L is the length of a pair's longest common subsequence:

    for each block of texts
        compute L for all pairs with the pool
        for each text    →    Σ L by length of the other text    →    mean
                         →    scores                             →    nearest

The sums are integers. Each mean is computed from the sums at the end:

    mean = (1 / N) Σ 2 L / (m + n) = (1 / N) Σ over lengths m of 2 (Σ L) / (m + n)

So the mean depends only on the text and the earlier texts, not on blocks, threads or machines. It differs by
less than 1e-12 from the mean of rouge-score's rounded scores.
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
"""Texts as token sequences: either strings whose characters encode tokens, or lists of tokens."""

_BLOCK = 512
"""Maximum number of texts in a block. rapidfuzz compares several texts at once; larger blocks are not
faster."""
_PAIRS = 1 << 25
"""Maximum number of pairs in a block, to limit memory use."""


def similarities(
    positions: Sequence[int], pool: Sequences, *, k: int, workers: int
) -> Iterator[Similarities]:
    """Yield, in the order of `positions`, the similarity of each text in the pool to all earlier texts."""
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
    """Return the number of tokens in each text, or 1 for a text without tokens.

    A text without tokens shares no tokens, so its F is 0 whatever its length is. A length of 1 avoids a
    division by 0.
    """
    return np.array([len(text) or 1 for text in texts], float)


def common_of_all(texts: Sequences, others: Sequences) -> NDArray[Any]:
    """Return a matrix: the length of the longest common subsequence of each text with each of `others`."""
    longest = max(map(len, texts))
    dtype = np.uint16 if longest < 1 << 16 else np.int32
    return cdist(texts, others, scorer=LCSseq.similarity, dtype=dtype)


def most_similar(
    common: NDArray[Any], lengths: NDArray[np.float64], n: int, k: int
) -> list[Similar]:
    """Return the `k` texts that are most similar to a text of `n` tokens.

    `lengths` has the number of tokens in each text, and `common` the length of its longest common subsequence
    with the text of `n` tokens. The result is sorted by score, highest first, and then by position.
    """
    # F / 2 without the exact rounding is faster to compute than F. The margin is wider than the rounding.
    halves = common / (lengths + n)
    rank = len(halves) - k
    least = np.partition(halves, rank)[rank] * (1 - 1e-9) if 0 < rank < len(halves) else 0.0
    positions = (halves >= least).nonzero()[0]
    scores = f_measures(common[positions], lengths[positions], max(n, 1))
    order = np.argsort(-scores, kind="stable")[: max(k, 0)]
    return list(map(Similar, positions[order].tolist(), scores[order].tolist()))
