"""What of a pool of sequences may be near some texts: a few of them, and all that are.

The pool is a few levels (see `level`), each larger than eight times the next one, and a tail that is
compared one by one. When the tail is full it becomes a level, together with the levels that are too small
beside it. So each sequence is sorted into a new level a few times, however large the pool grows.

What levels and tail find is compared once more by signatures of 512 bits, where it is much: those of 64 bits
say little of texts of more than forty tokens.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.pipeline.novelty.index_level import Level, Texts, to_look_up
from selfinstruct.pipeline.novelty.rouge_l import Need
from selfinstruct.pipeline.novelty.token_sequences import WORDS, as_arrays, bits_of

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

_TAIL = 1024
"""Sequences that are compared one by one before they become a level."""
_GROWTH = 8
"""A level is larger than this many times the next one."""
_AMONG = 128
"""Sequences that are compared with those before them at a time."""
_SETTLED_AT_ONCE = 1 << 12
"""Sequences of which arrays are made at a time: those of all tokens of a large pool would fill the memory."""
_FEW = 64
"""So many pairs are as well compared at once as by their signatures before."""


class Nearby:
    """A growing pool of sequences."""

    def __init__(self, threshold: float, sequences: Sequence[str]) -> None:
        """The pool is `sequences`, to which more may be appended at any time."""
        self._sequences = sequences
        self._need = Need(threshold)
        self._levels: list[Level] = []
        # Of the first so many sequences there are arrays; the others were appended since the last search.
        self._settled = 0
        self._half = np.zeros(0)
        self._excess = np.zeros(0, np.int64)
        self._wide = np.zeros((0, WORDS), np.uint64)
        self._narrow = np.zeros(0, np.uint64)

    def pairs(self, sequences: Sequence[str]) -> Pairs:
        """Rows of the sequences and positions of what may be near them; few come more than once."""
        self._settle()
        texts = to_look_up(as_arrays(sequences), self._need)
        found = [pairs for level in self._levels for pairs in level.near(texts)]
        if self._tail < self._settled:
            found.append(self._in_tail(texts))
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rows = np.concatenate([pairs[0] for pairs in found])
        positions = np.concatenate([pairs[1] for pairs in found])
        return (rows, positions) if len(rows) <= _FEW else self._sharpened(texts, rows, positions)

    def rows_among(self, sequences: Sequence[str]) -> Iterator[list[int]]:
        """For each of these sequences, in order, the rows of those before it that may be near it."""
        arrays = as_arrays(sequences)
        half = self._need.half * arrays.lengths
        needed = to_look_up(arrays, self._need).needed
        for start in range(0, len(sequences), _AMONG):
            some = slice(start, start + _AMONG)
            # Of those after it none is an earlier one of any of these.
            shared = np.bitwise_count(arrays.narrow[some, None] & arrays.narrow[: some.stop])
            may_be = shared - half[: some.stop] >= needed[some, None]
            rows, others = np.tril(may_be, start - 1).nonzero()
            ends = rows.searchsorted(np.arange(1, len(may_be) + 1)).tolist()
            for begin, end in pairwise([0, *ends]):
                yield others[begin:end].tolist()

    @property
    def _tail(self) -> int:
        """The position of the first sequence that is in no level."""
        return self._levels[-1].first + len(self._levels[-1]) if self._levels else 0

    def _in_tail(self, texts: Texts) -> Pairs:
        tail = slice(self._tail, self._settled)
        shared = np.bitwise_count(self._narrow[tail] & texts.sequences.narrow[:, None])
        may_be = shared - self._half[tail] >= texts.needed[:, None]
        rows, positions = may_be.nonzero()
        return rows, positions + self._tail

    def _sharpened(self, texts: Texts, rows: Any, positions: Any) -> Pairs:
        """Those pairs that may still be near by their wide signatures, each once."""
        pairs = rows << 40 | positions
        pairs.sort()
        is_first = np.ones(len(pairs), bool)
        np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
        rows, positions = pairs[is_first] >> 40, pairs[is_first] & ((1 << 40) - 1)

        sequences = texts.sequences
        wide = sequences.wide()
        shared = bits_of(self._wide[positions] & wide[rows])
        excess = np.minimum(self._excess[positions], (sequences.known - bits_of(wide))[rows])
        needed = self._half[positions] + (self._need.half * sequences.lengths)[rows]
        may_be = shared + excess >= needed
        return rows[may_be], positions[may_be]

    def _settle(self) -> None:
        """Make arrays of what was appended, and a level where the tail is full."""
        size = len(self._sequences)
        if size > len(self._half):
            room = max(2 * len(self._half), size, _TAIL)
            self._half = _grown(self._half, room)
            self._excess = _grown(self._excess, room)
            self._wide = _grown(self._wide, room)
            self._narrow = _grown(self._narrow, room)
        while self._settled < size:
            place = slice(self._settled, min(self._settled + _SETTLED_AT_ONCE, size))
            new = as_arrays(self._sequences[place])
            self._half[place] = self._need.half * new.lengths
            self._narrow[place], self._wide[place] = new.narrow, new.wide()
            self._excess[place] = new.lengths - bits_of(self._wide[place])
            self._settled = place.stop
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
