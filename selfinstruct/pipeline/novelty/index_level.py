"""A level: an index of consecutive sequences of the pool that is made once and does not change.

Order the elements of all sequences by how rare their token is in the level. Two sequences that share r
elements share one that is among the first n - r + 1 of the one and the first m - r + 1 of the other: after
their rarest shared one, r - 1 shared ones follow in both. So of each sequence only those first elements are
posted under their token, and only those of a text are looked up. Of a token that occurs twice the first
occurrence will do: who shares the second shares the first.

For texts of m and n tokens r is at least half * m + half * n (see `Need`). An element with `left` elements
from it on, itself included, can be the rarest shared one only if left >= r. That leaves an element of a text
only sequences up to some length: the shorter the later it comes, and the later ones are those that are posted
most. Postings of a token are sorted by length, so that what is left stands together. A posting carries what
may dismiss it where it is read: the narrow signature, and how many elements its sequence has left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.pipeline.novelty.rouge_l import Need
from selfinstruct.pipeline.novelty.token_sequences import Sequences, as_arrays, codes_of

_AT_ONCE = 1 << 15
"""Postings read at a time: their arrays stay in the processor's cache."""

_BUILT_AT_ONCE = 1 << 12
"""Sequences of which a level is made at a time."""

_REMEMBERED = 256
"""Tokens of a text of which the plan is kept; longer ones would fill the memory, and are not alike."""

_LONGEST = 1 << 31
"""Longer sequences are posted as if they had this length."""

_LITTLE = 1e-6
"""Where few digits are used, numbers are made smaller or larger by so much: no text is dismissed for that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What of texts is looked up, which depends on their lengths only."""

    half: NDArray[Any]
    """Of each text: half * n."""
    places: NDArray[np.int64]
    """Of the elements of all texts, in order, those to look up."""
    rows: NDArray[np.int64]
    """The text of each."""
    shortest: NDArray[np.int64]
    """The least length that another text can have, of each."""
    longest: NDArray[np.int64]
    """And the greatest."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to look up, with what all levels need of them."""

    sequences: Sequences
    plan: Plan
    needed: NDArray[np.float32]
    """Bits that a narrow signature must share with that of another text, less half * m; rounded down."""


def to_look_up(sequences: Sequences, need: Need) -> Texts:
    """What all levels need of some texts."""
    known, lengths = sequences.known, sequences.lengths
    if len(sequences) == 1 and lengths.item() <= _REMEMBERED:
        plan = _plan_for_one(known.item(), lengths.item(), need)
    else:
        plan = _plan(sequences.owners, known, lengths, need)
    bits = np.bitwise_count(sequences.narrow)
    needed = (plan.half * (1 - _LITTLE) - (known - bits) * (1 + _LITTLE)).astype(np.float32)
    needed[known == 0] = np.inf  # nothing is like a text without tokens
    return Texts(sequences=sequences, plan=plan, needed=needed)


@lru_cache(maxsize=4096)
def _plan_for_one(known: int, length: int, need: Need) -> Plan:
    # One text at a time costs the most of each, and the same lengths come again and again.
    return _plan(np.zeros(known, np.int64), np.array([known]), np.array([length]), need)


def _plan(owners: Any, known: Any, lengths: Any, need: Need) -> Plan:
    left = _left(owners, known)
    least = need.ratio * lengths
    places = (left >= least[owners]).nonzero()[0]
    rows = owners[places]
    half = need.half * lengths
    longest = (left[places] - half[rows]) / need.half
    return Plan(
        half=half,
        places=places,
        rows=rows,
        shortest=np.minimum(least, _LONGEST).astype(np.int64)[rows],
        longest=np.minimum(longest, _LONGEST).astype(np.int64),
    )


class Level:
    """The sequences of the pool from position `first` on."""

    def __init__(
        self, sequences: Sequence[str], narrow: NDArray[np.uint64], *, first: int, need: Need
    ) -> None:
        """A level of these sequences, which have these narrow signatures."""
        self.first = first
        self._size = len(sequences)
        # A stretch at a time: the arrays of a million sequences would take more memory than the level does.
        stretches = [
            slice(start, start + _BUILT_AT_ONCE) for start in range(0, self._size, _BUILT_AT_ONCE)
        ]
        counts = np.zeros(0, np.int64)
        for stretch in stretches:
            more = np.bincount(codes_of(sequences[stretch]), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        present = np.flatnonzero(counts)
        # Tokens that came later have rank 0, too: the last entry stands for all of them.
        self._ranks = np.zeros(len(counts) + 1, np.int32)
        """By token: 1 for the rarest of the level; 0 where the level does not have it."""
        self._ranks[present[np.argsort(counts[present], kind="stable")]] = np.arange(
            1, len(present) + 1
        )

        posted = [
            self._posted(as_arrays(sequences[s], narrow[s]), first=s.start, need=need)
            for s in stretches
        ]
        keys, rows, left = (np.concatenate(parts) for parts in zip(*posted, strict=True))
        del posted
        order = np.argsort(keys)
        self._keys = keys[order]
        """Of each posting: its rank and the length of its sequence."""
        self._rows = rows[order]
        # One row a posting, so that reading it is one access to memory: the signature; half * m, and what
        # half * n may be at most.
        self._postings = np.empty((len(rows), 2), np.uint64)
        self._postings[:, 0] = narrow[self._rows]
        half = need.half * np.minimum(self._keys & 0xFFFFFFFF, _LONGEST)
        numbers = self._postings.view(np.float32)
        numbers[:, 2] = half * (1 - _LITTLE)
        numbers[:, 3] = (left[order] - half) * (1 + _LITTLE)

    def _posted(
        self, sequences: Sequences, *, first: int, need: Need
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Keys, rows and elements left of the postings of sequences; the first of these is row `first`."""
        elements, left = self._ordered(sequences), _left(sequences.owners, sequences.known)
        is_posted = left >= (need.ratio * sequences.lengths)[sequences.owners]
        is_posted[1:] &= elements[1:] != elements[:-1]
        rows = sequences.owners[is_posted]
        lengths = np.minimum(sequences.lengths, _LONGEST)[rows]
        keys = (elements[is_posted] & 0xFFFFFFFF) << 32 | lengths
        return keys, (rows + first).astype(np.int32), left[is_posted].astype(np.float32)

    def __len__(self) -> int:
        return self._size

    def near(self, texts: Texts) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows of the texts and positions of what may be near them, in pairs; some come more than once."""
        plan = texts.plan
        keys = (self._ordered(texts.sequences)[plan.places] & 0xFFFFFFFF) << 32
        starts = self._keys.searchsorted(keys | plan.shortest)
        stops = self._keys.searchsorted(keys | plan.longest, "right")
        some = (stops > starts).nonzero()[0]
        rows, starts, stops = plan.rows[some], starts[some], stops[some]
        ends = (stops - starts).cumsum()
        total = ends[-1].item() if len(ends) else 0
        cuts = [0, len(ends)]
        if total > _AT_ONCE:
            cuts[1:1] = ends.searchsorted(np.arange(_AT_ONCE, total, _AT_ONCE)).tolist()
        for a, b in pairwise(cuts):
            if a < b:
                yield self._read(texts, rows[a:b], starts[a:b], stops[a:b])

    def _read(
        self, texts: Texts, rows: NDArray[Any], starts: NDArray[Any], stops: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read stretches of postings, each for the text of a row."""
        counts = stops - starts
        postings = np.concatenate(
            [self._postings[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        )
        numbers = postings.view(np.float32)
        narrow, needed = texts.sequences.narrow, texts.needed
        if len(narrow) > 1:  # a single text's need not be written beside each posting
            narrow, needed = narrow[rows].repeat(counts), needed[rows].repeat(counts)
        shared = np.bitwise_count(postings[:, 0] & narrow)
        found = (shared >= numbers[:, 2] + needed).nonzero()[0]
        ends = counts.cumsum()
        stretch = ends.searchsorted(found, "right")
        text = rows[stretch]
        row = self._rows[found - ends[stretch] + stops[stretch]]
        can_be_rarest = numbers[found, 3] >= texts.plan.half[text]
        return text[can_be_rarest], row[can_be_rarest] + self.first

    def _ordered(self, sequences: Sequences) -> NDArray[np.int64]:
        """The elements in order, row after row: the row in the upper half, the rank in the lower one."""
        elements = self._ranks.take(sequences.codes, mode="clip") | sequences.owners << 32
        elements.sort()
        return elements


def _left(owners: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each element, in order: how many of its row there are from it on."""
    ends: NDArray[np.int64] = known.cumsum()[owners]
    return ends - np.arange(len(ends))
