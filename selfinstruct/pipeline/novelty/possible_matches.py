"""Find the few sequences in a pool that may be similar to a text, without missing one that is similar.

The pool consists of levels (see `index_level`) and a tail. Each level is more than eight times as large as
the next one. A text is compared with each sequence in the tail. When the tail is full, it becomes a level and
absorbs the levels that are too small. So each sequence is sorted only a few times, however large the pool is.

If the levels and the tail find many pairs, 512-bit signatures filter the pairs again, because 64-bit
signatures exclude few texts of more than forty tokens.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.pipeline.novelty.index_level import Level, Queries, as_queries
from selfinstruct.pipeline.novelty.rouge_l import Need
from selfinstruct.pipeline.novelty.token_signatures import WORDS, as_arrays, bits_of

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_TAIL = 1024
"""Maximum number of sequences in the tail."""
_GROWTH = 8
"""Minimum ratio of the sizes of a level and the next level."""
_ROWS = 128
"""Number of sequences that are compared with earlier sequences in one batch."""
_BATCH = 1 << 12
"""Number of sequences converted to arrays in one batch, to limit memory use."""
_FEW = 64
"""Maximum number of pairs for which filtering by wide signatures saves no time."""


class Neighbours:
    """A search for similar sequences in a growing pool."""

    def __init__(self, threshold: float, sequences: Sequence[str]) -> None:
        """Create a search in `sequences`, a list that may grow between searches."""
        self._sequences = sequences
        self._need = Need(threshold)
        self._levels: list[Level] = []
        self._indexed = 0
        """Number of sequences in the arrays. Any further sequences were appended after the last search."""
        self._half = np.zeros(0)
        self._excess = np.zeros(0, np.int64)
        self._wide = np.zeros((0, WORDS), np.uint64)
        self._narrow = np.zeros(0, np.uint64)

    def pairs(self, sequences: Sequence[str]) -> Pairs:
        """Return possible matches as two arrays: rows of `sequences`, and positions in the pool.

        A few pairs may repeat.
        """
        self._index_new()
        queries = as_queries(as_arrays(sequences), self._need)
        matches = [pairs for level in self._levels for pairs in level.near(queries)]
        if self._tail < self._indexed:
            matches.append(self._in_tail(queries))
        if not matches:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rows = np.concatenate([pairs[0] for pairs in matches])
        positions = np.concatenate([pairs[1] for pairs in matches])
        return (rows, positions) if len(rows) <= _FEW else self._filtered(queries, rows, positions)

    def rows_among(self, sequences: Sequence[str]) -> Iterator[list[int]]:
        """Yield, for each sequence, the rows of the earlier sequences that may be similar to it."""
        arrays = as_arrays(sequences)
        half = self._need.half * arrays.lengths
        needed = as_queries(arrays, self._need).needed
        for start in range(0, len(sequences), _ROWS):
            batch = slice(start, start + _ROWS)
            # A sequence after the batch is never earlier than a sequence in the batch.
            shared = np.bitwise_count(arrays.narrow[batch, None] & arrays.narrow[: batch.stop])
            is_match = shared - half[: batch.stop] >= needed[batch, None]
            rows, others = np.tril(is_match, start - 1).nonzero()
            ends = rows.searchsorted(np.arange(1, len(is_match) + 1)).tolist()
            for begin, end in pairwise([0, *ends]):
                yield others[begin:end].tolist()

    @property
    def _tail(self) -> int:
        """Position of the first sequence in the tail."""
        return self._levels[-1].first + len(self._levels[-1]) if self._levels else 0

    def _in_tail(self, queries: Queries) -> Pairs:
        tail = slice(self._tail, self._indexed)
        shared = np.bitwise_count(self._narrow[tail] & queries.sequences.narrow[:, None])
        rows, positions = (shared - self._half[tail] >= queries.needed[:, None]).nonzero()
        return rows, positions + self._tail

    def _filtered(self, queries: Queries, rows: Any, positions: Any) -> Pairs:
        """Return the pairs that their wide signatures do not exclude, without repetitions."""
        pairs = rows << 40 | positions
        pairs.sort()
        is_first = np.ones(len(pairs), bool)
        np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
        rows, positions = pairs[is_first] >> 40, pairs[is_first] & ((1 << 40) - 1)

        sequences = queries.sequences
        wide = sequences.wide()
        shared = bits_of(self._wide[positions] & wide[rows])
        excess = np.minimum(self._excess[positions], (sequences.known - bits_of(wide))[rows])
        needed = self._half[positions] + (self._need.half * sequences.lengths)[rows]
        is_match = shared + excess >= needed
        return rows[is_match], positions[is_match]

    def _index_new(self) -> None:
        """Add newly appended sequences to the arrays. If the tail is full, turn it into a level."""
        size = len(self._sequences)
        if size > len(self._half):
            room = max(2 * len(self._half), size, _TAIL)
            self._half = _grown(self._half, room)
            self._excess = _grown(self._excess, room)
            self._wide = _grown(self._wide, room)
            self._narrow = _grown(self._narrow, room)
        while self._indexed < size:
            batch = slice(self._indexed, min(self._indexed + _BATCH, size))
            new = as_arrays(self._sequences[batch])
            self._half[batch] = self._need.half * new.lengths
            self._narrow[batch], self._wide[batch] = new.narrow, new.wide()
            self._excess[batch] = new.lengths - bits_of(self._wide[batch])
            self._indexed = batch.stop
        first = self._tail
        if size - first >= _TAIL:
            while self._levels and len(self._levels[-1]) <= _GROWTH * (size - first):
                first = self._levels.pop().first
            level = Level(
                self._sequences[first:], self._narrow[first:size], first=first, need=self._need
            )
            self._levels.append(level)


def _grown(array: Any, room: int) -> Any:
    grown = np.zeros((room, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
