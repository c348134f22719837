"""A level: an index of consecutive sequences of the pool that is made once and does not change.

Order the elements of all sequences by how rare their token is in the level. Two sequences that share r
elements share one that is among the first n - r + 1 of the one and the first m - r + 1 of the other: after
their rarest shared one, r - 1 shared ones follow in both. So of each sequence only those first elements are
posted under their token, and only those of a text are looked up. Of a token that occurs twice the first
occurrence will do: who shares the second shares the first.

For texts of m and n tokens r is at least half * m + half * n (see `Need`). An element with `left` elements
from it on, itself included, can be the rarest shared one only if left >= r. So a posting serves texts with
half * n <= left - half * m. Postings of a token are sorted by that: those that serve a text stand together.
Each carries the narrow signature of its sequence, so that most are dismissed where they are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from selfinstruct.novelty.rouge_l import Need
from selfinstruct.novelty.sequences import Sequences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 1 << 15
"""Postings read at a time: their arrays stay in the processor's cache."""

_STEPS = 64
_MOST = 1 << 31
"""How far a posting serves is stored in steps of 1/64 token, rounded up, up to this many."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to look up, with what all levels need of them."""

    sequences: Sequences
    needed: "NDArray[Any]"
    """Bits that a narrow signature must share with that of another text, less half * m; doubles."""
    places: "NDArray[np.int64]"
    """Of the elements of all rows, in order, those to look up."""
    rows: "NDArray[np.int64]"
    """The row of each."""
    steps: "NDArray[np.int64]"
    """What a posting must serve to be read for each: see _STEPS."""


def to_look_up(sequences: Sequences, need: Need) -> Texts:
    """What all levels need of some texts."""
    import numpy as np

    can_be_rarest = _left(sequences) >= (need.ratio * sequences.lengths)[sequences.owners]
    places = can_be_rarest.nonzero()[0]
    rows = sequences.owners[places]
    half = need.half * sequences.lengths
    steps = _MOST - np.minimum(half * _STEPS, _MOST).astype(np.int64)
    return Texts(
        sequences=sequences,
        needed=half - (sequences.known - np.bitwise_count(sequences.narrow)),
        places=places,
        rows=rows,
        steps=steps[rows],
    )


class Level:
    """The sequences of the pool from position `first` on."""

    def __init__(self, sequences: Sequences, *, first: int, need: Need) -> None:
        import numpy as np

        self.first = first
        self._size = len(sequences)
        counts = np.bincount(sequences.codes)
        present = np.flatnonzero(counts)
        # Tokens that came later have rank 0, too: the last entry stands for all of them.
        self._ranks = np.zeros(len(counts) + 1, np.int32)
        """By token: 1 for the rarest of the level; 0 where the level does not have it."""
        self._ranks[present[np.argsort(counts[present], kind="stable")]] = np.arange(
            1, len(present) + 1
        )

        elements = self._ordered(sequences)
        is_posted = _left(sequences) >= (need.ratio * sequences.lengths)[sequences.owners]
        is_posted[1:] &= elements[1:] != elements[:-1]
        rows = sequences.owners[is_posted]
        half = need.half * sequences.lengths
        serves = np.ceil((_left(sequences)[is_posted] - half[rows]) * _STEPS)
        steps = _MOST - np.minimum(serves, _MOST).astype(np.int64)
        keys = (elements[is_posted] & 0xFFFFFFFF) << 32 | steps
        order = np.argsort(keys)
        self._keys = keys[order]
        """Of each posting: its rank and, falling, how far it serves."""
        self._starts = np.zeros(len(present) + 2, np.int64)
        """By rank: where its postings start."""
        self._starts[1:] = np.searchsorted(self._keys, np.arange(1, len(present) + 2) << 32)
        rows = rows[order]
        self._rows = rows.astype(np.int32)
        # One row a posting, so that reading it is one access to memory: signature, and half * m as a double.
        self._postings = np.empty((len(rows), 2), np.uint64)
        self._postings[:, 0] = sequences.narrow[rows]
        self._postings[:, 1] = half[rows].view(np.uint64)

    def __len__(self) -> int:
        return self._size

    def near(self, texts: Texts) -> Iterator[tuple["NDArray[np.int64]", "NDArray[np.int64]"]]:
        """Rows of the texts and positions of what may be near them, in pairs; some come more than once."""
        import numpy as np

        ranks = self._ordered(texts.sequences)[texts.places] & 0xFFFFFFFF
        starts = self._starts[ranks]
        counts = self._keys.searchsorted(ranks << 32 | texts.steps, "right") - starts
        ends = counts.cumsum()
        total = int(ends[-1]) if len(ends) else 0
        if total <= _AT_ONCE:
            if total:
                yield self._read(texts, texts.rows, starts, counts, ends)
            return
        cuts = [0, *ends.searchsorted(np.arange(_AT_ONCE, total, _AT_ONCE)).tolist(), len(ends)]
        for some in (slice(a, b) for a, b in pairwise(cuts) if a < b):
            here = counts[some]
            yield self._read(texts, texts.rows[some], starts[some], here, here.cumsum())

    def _read(
        self, texts: Texts, rows: Any, starts: Any, counts: Any, ends: Any
    ) -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
        import numpy as np

        places = (starts - ends + counts).repeat(counts)
        places += np.arange(len(places))
        postings = self._postings.take(places, axis=0)
        text = rows.repeat(counts)
        shared = np.bitwise_count(postings[:, 0] & texts.sequences.narrow[text])
        may_be = (shared - postings[:, 1].view(np.float64) >= texts.needed[text]).nonzero()[0]
        return text[may_be], self._rows[places[may_be]] + self.first

    def _ordered(self, sequences: Sequences) -> "NDArray[np.int64]":
        """The elements in order, row after row: the row in the upper half, the rank in the lower one."""
        elements = self._ranks.take(sequences.codes, mode="clip") | sequences.owners << 32
        elements.sort()
        return elements


def _left(sequences: Sequences) -> "NDArray[np.int64]":
    """Of each element, in order: how many of its row there are from it on."""
    import numpy as np

    return sequences.known.cumsum()[sequences.owners] - np.arange(len(sequences.owners))
