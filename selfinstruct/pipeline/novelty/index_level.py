"""Immutable indexes ("levels"), each of a consecutive range of the pool's sequences.

A level is an inverted index with prefix filtering. The elements of each sequence are sorted by how rare their
token is in the level, rarest first. If two sequences of m and n elements share r elements, then in both
sequences r - 1 shared elements follow the rarest shared element. So this element is among the first m - r + 1
elements of one sequence and the first n - r + 1 elements of the other. It is therefore enough to post these
first elements of each sequence under their token, and to look up the same elements of a text. If a token
occurs twice, only its first occurrence is needed.

For texts of m and n tokens, r is at least half * m + half * n (see `Need`). Let `left` be the number of
elements from an element to the end of its sequence. The element can be the rarest shared element only if
left >= r, which limits the length of the other sequence. The limit is strictest for late elements, which have
the most postings. The postings of a token are sorted by sequence length, so the postings within the limit are
adjacent. Each posting contains the data that can exclude its sequence: the narrow signature and `left`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.pipeline.novelty.rouge_l import Need
from selfinstruct.pipeline.novelty.token_signatures import Sequences, as_arrays, codes_of

_BATCH = 1 << 15
"""Number of postings read in one batch, so that the arrays fit in the processor's cache."""

_BUILD_BATCH = 1 << 12
"""Number of sequences added to a new level in one batch."""

_MAX_LENGTH = 1 << 31
"""Maximum length in a posting. Longer sequences are posted with this length."""

_MARGIN = 1e-6
"""Relative margin for single-precision values, so that rounding never excludes a similar sequence."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Texts to look up, with the arrays that every level uses."""

    sequences: Sequences
    half: NDArray[Any]
    """Value of half * n for each text, where n is its number of tokens."""
    needed: NDArray[np.float32]
    """Number of bits that the narrow signatures of a text and a similar sequence of m tokens must share,
    minus half * m; rounded down."""
    positions: NDArray[np.int64]
    """Position of each element to look up, among the elements of all texts."""
    rows: NDArray[np.int64]
    """Row of the text that each element to look up belongs to."""
    shortest: NDArray[np.int64]
    """Minimum length of a similar sequence, for each element to look up."""
    longest: NDArray[np.int64]
    """Maximum length of a similar sequence, for each element to look up."""


def as_queries(sequences: Sequences, need: Need) -> Queries:
    """Prepare texts to be looked up in levels."""
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
        """Create a level of `sequences`. `narrow` is the narrow signature of each sequence."""
        self.first = first
        self._size = len(sequences)
        # Batches save memory: the arrays of a million sequences would take more memory than the level.
        batches = [
            slice(start, start + _BUILD_BATCH) for start in range(0, self._size, _BUILD_BATCH)
        ]
        counts = np.zeros(0, np.int64)
        for batch in batches:
            more = np.bincount(codes_of(sequences[batch]), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        present = np.flatnonzero(counts)
        # The last entry is the rank of all tokens that are first added to the pool later.
        self._ranks = np.zeros(len(counts) + 1, np.int32)
        """Rank of each token: 1 is the rarest token in the level; 0 means that the token is not in the
        level."""
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
        """Token rank (upper half) and sequence length (lower half) of each posting."""
        self._rows = rows[order]
        # Each posting is one row, so that it is read in one memory access. A row contains the signature,
        # half * m, and the maximum of half * n.
        self._postings = np.empty((len(rows), 2), np.uint64)
        self._postings[:, 0] = narrow[self._rows]
        half = need.half * np.minimum(self._keys & 0xFFFFFFFF, _MAX_LENGTH)
        numbers = self._postings.view(np.float32)
        numbers[:, 2] = half * (1 - _MARGIN)
        numbers[:, 3] = (left[order] - half) * (1 + _MARGIN)

    def _posted(
        self, sequences: Sequences, *, first: int, need: Need
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Return the keys, rows and `left` values of the sequences' postings. Rows count from `first`."""
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
        """Yield possible matches as two arrays: text rows and sequence positions. Pairs may repeat."""
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
        """Read ranges of postings and return the possible matches. Range i belongs to the text `rows[i]`."""
        counts = stops - starts
        postings = np.concatenate(
            [self._postings[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        )
        numbers = postings.view(np.float32)
        narrow, needed = queries.sequences.narrow, queries.needed
        if len(narrow) > 1:  # the values of a single text are broadcast instead
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
        """Return the elements of all rows, row by row, with the rarest element of each row first.

        The upper half of each number is the row, and the lower half is the token's rank.
        """
        elements = self._ranks.take(sequences.codes, mode="clip") | sequences.owners << 32
        elements.sort()
        return elements


def _left(owners: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of elements from each element to the end of its row, including the element."""
    ends: NDArray[np.int64] = known.cumsum()[owners]
    return ends - np.arange(len(ends))
