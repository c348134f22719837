"""Levels: immutable indexes of consecutive sequences of the pool.

A level is an inverted index with prefix filtering. Order the elements of each sequence by the rarity of their
token in the level. If two sequences of m and n elements share r elements, then r - 1 shared elements follow
the rarest shared element in both. So this element is among the first m - r + 1 elements of one and the first
n - r + 1 of the other. It is enough to post these first elements of each sequence under their token, and to
look up the same elements of a text. If a token occurs twice, its first occurrence is enough.

For texts of m and n tokens, r is at least half * m + half * n (see `Need`). Let `left` be the number of
elements from an element to the end of its sequence. The element can be the rarest shared one only if
left >= r, which limits the length of the other sequence. The limit is strictest for late elements, which have
the most postings. Postings of a token are sorted by length, so the possible ones are adjacent. Each posting
holds the data that may exclude its sequence: the narrow signature and `left`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.pipeline.novelty.rouge_l import Need
from selfinstruct.pipeline.novelty.token_sequences import Sequences, as_arrays, codes_of

_BATCH = 1 << 15
"""Postings read at a time, so that the arrays fit in the processor cache."""

_BUILD_BATCH = 1 << 12
"""Sequences added to a new level at a time."""

_MAX_LENGTH = 1 << 31
"""Length under which all longer sequences are posted."""

_MARGIN = 1e-6
"""Relative margin for values in single precision, so that rounding never excludes a sequence."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Texts to look up, with the arrays that all levels need."""

    sequences: Sequences
    half: NDArray[Any]
    """half * n for each text of n tokens."""
    needed: NDArray[np.float32]
    """Bits that the narrow signatures of two texts must share, minus half * m; rounded down."""
    positions: NDArray[np.int64]
    """Positions of the elements to look up, in the elements of all texts."""
    rows: NDArray[np.int64]
    """Text of each element to look up."""
    shortest: NDArray[np.int64]
    """Minimum length of a similar sequence, for each element to look up."""
    longest: NDArray[np.int64]
    """Maximum length of a similar sequence, for each element to look up."""


def as_queries(sequences: Sequences, need: Need) -> Queries:
    """Prepare texts for a look-up in any level."""
    known = sequences.known
    half, least = need.half * sequences.lengths, need.ratio * sequences.lengths
    needed = half * (1 - _MARGIN) - (known - np.bitwise_count(sequences.narrow)) * (1 + _MARGIN)
    needed[known == 0] = np.inf  # a text without tokens is similar to no text
    left = _left(sequences.owners, known)
    positions = (left >= least[sequences.owners]).nonzero()[0]
    rows = sequences.owners[positions]
    longest = (left[positions] - half[rows]) / need.half
    return Queries(
        sequences=sequences,
        half=half,
        needed=needed.astype(np.float32),
        positions=positions,
        rows=rows,
        shortest=np.minimum(least, _MAX_LENGTH).astype(np.int64)[rows],
        longest=np.minimum(longest, _MAX_LENGTH).astype(np.int64),
    )


class Level:
    """An index of consecutive sequences of the pool, starting at position `first`."""

    def __init__(
        self, sequences: Sequence[str], narrow: NDArray[np.uint64], *, first: int, need: Need
    ) -> None:
        """Create a level of sequences with these narrow signatures."""
        self.first = first
        self._size = len(sequences)
        # In batches: the arrays of a million sequences would take more memory than the level.
        batches = [
            slice(start, start + _BUILD_BATCH) for start in range(0, self._size, _BUILD_BATCH)
        ]
        counts = np.zeros(0, np.int64)
        for batch in batches:
            more = np.bincount(codes_of(sequences[batch]), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        present = np.flatnonzero(counts)
        # The last entry is the rank of all tokens that were added to the pool later.
        self._ranks = np.zeros(len(counts) + 1, np.int32)
        """Rank by token: 1 for the rarest token of the level, 0 for tokens outside the level."""
        self._ranks[present[np.argsort(counts[present], kind="stable")]] = np.arange(
            1, len(present) + 1
        )

        posted = [
            self._posted(as_arrays(sequences[s], narrow[s]), first=s.start, need=need)
            for s in batches
        ]
        keys, rows, left = (np.concatenate(parts) for parts in zip(*posted, strict=True))
        del posted
        order = np.argsort(keys)
        self._keys = keys[order]
        """Rank and sequence length of each posting."""
        self._rows = rows[order]
        # One row for each posting, so that reading a posting is one memory access: the signature, half * m,
        # and the maximum of half * n.
        self._postings = np.empty((len(rows), 2), np.uint64)
        self._postings[:, 0] = narrow[self._rows]
        half = need.half * np.minimum(self._keys & 0xFFFFFFFF, _MAX_LENGTH)
        numbers = self._postings.view(np.float32)
        numbers[:, 2] = half * (1 - _MARGIN)
        numbers[:, 3] = (left[order] - half) * (1 + _MARGIN)

    def _posted(
        self, sequences: Sequences, *, first: int, need: Need
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Return keys, rows and `left` of the postings of sequences, which start at row `first`."""
        elements, left = self._ordered(sequences), _left(sequences.owners, sequences.known)
        is_posted = left >= (need.ratio * sequences.lengths)[sequences.owners]
        is_posted[1:] &= elements[1:] != elements[:-1]
        rows = sequences.owners[is_posted]
        lengths = np.minimum(sequences.lengths, _MAX_LENGTH)[rows]
        keys = (elements[is_posted] & 0xFFFFFFFF) << 32 | lengths
        return keys, (rows + first).astype(np.int32), left[is_posted].astype(np.float32)

    def __len__(self) -> int:
        return self._size

    def near(self, queries: Queries) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield rows of texts with positions of possible matches. Pairs may repeat."""
        keys = (self._ordered(queries.sequences)[queries.positions] & 0xFFFFFFFF) << 32
        starts = self._keys.searchsorted(keys | queries.shortest)
        stops = self._keys.searchsorted(keys | queries.longest, "right")
        nonempty = (stops > starts).nonzero()[0]
        rows, starts, stops = queries.rows[nonempty], starts[nonempty], stops[nonempty]
        ends = (stops - starts).cumsum()
        total = ends[-1].item() if len(ends) else 0
        cuts = [0, len(ends)]
        if total > _BATCH:
            cuts[1:1] = ends.searchsorted(np.arange(_BATCH, total, _BATCH)).tolist()
        for a, b in pairwise(cuts):
            if a < b:
                yield self._read(queries, rows[a:b], starts[a:b], stops[a:b])

    def _read(
        self, queries: Queries, rows: NDArray[Any], starts: NDArray[Any], stops: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read ranges of postings, each for the text of a row."""
        counts = stops - starts
        postings = np.concatenate(
            [self._postings[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        )
        numbers = postings.view(np.float32)
        narrow, needed = queries.sequences.narrow, queries.needed
        if len(narrow) > 1:  # a single text is broadcast instead
            narrow, needed = narrow[rows].repeat(counts), needed[rows].repeat(counts)
        shared = np.bitwise_count(postings[:, 0] & narrow)
        matches = (shared >= numbers[:, 2] + needed).nonzero()[0]
        ends = counts.cumsum()
        ranges = ends.searchsorted(matches, "right")
        text = rows[ranges]
        row = self._rows[matches - ends[ranges] + stops[ranges]]
        can_be_rarest = numbers[matches, 3] >= queries.half[text]
        return text[can_be_rarest], row[can_be_rarest] + self.first

    def _ordered(self, sequences: Sequences) -> NDArray[np.int64]:
        """Return the elements row by row, rarest first: the row in the upper half, the rank in the lower."""
        elements = self._ranks.take(sequences.codes, mode="clip") | sequences.owners << 32
        elements.sort()
        return elements


def _left(owners: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each element, the number of elements from there to the end of its row."""
    ends: NDArray[np.int64] = known.cumsum()[owners]
    return ends - np.arange(len(ends))
