"""Fast search for word n-grams: sorted hashes, with a comparison of the words for each match.

All texts form one array with a number per word. 0 is a word that no benchmark has, and separates texts, so
that no n-gram crosses two texts and unknown words need no search. An n-gram takes sixteen bytes per item:
hash, place of the words, item.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int32]
    Places = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15


def hashes_of(words: "Numbers", starts: "Places", length: int) -> "Hashes":
    """Return a hash of the `length` words from each start."""
    import numpy as np

    hashes = np.zeros(len(starts), np.uint64)
    for n in range(length):
        hashes *= np.uint64(_BASE)
        hashes += words[starts + n].astype(np.uint64)
    return hashes


def known_from(words: "Numbers") -> "Places":
    """Return the number of known words in a row from each place."""
    import numpy as np

    unknown = np.append(np.flatnonzero(words == 0), len(words))
    stretches = np.diff(unknown, prepend=-1)
    return np.repeat(unknown, stretches)[: len(words)] - np.arange(len(words))


def _are_equal(
    words: "Numbers", starts: "Places", others: "Numbers", other_starts: "Places", length: int
) -> "NDArray[np.bool_]":
    import numpy as np

    equal = np.ones(len(starts), np.bool_)
    for n in range(length):
        equal &= words[starts + n] == others[other_starts + n]
    return equal


@dataclass(frozen=True, slots=True)
class Matches:
    """The places of n-grams in the searched words, each with an item that has the n-gram."""

    places: "Places"
    items: "Numbers"


class Grams:
    """The n-grams of one length in all items, except the common ones of each benchmark."""

    def __init__(
        self,
        words: "Numbers",
        starts: "Places",
        items: "Numbers",
        *,
        length: int,
        benchmarks: "Numbers",
        kinds: "Numbers",
        common: int,
    ) -> None:
        """Store the n-grams that begin at `starts`; `items` has the item of each.

        Items of a benchmark have neighbouring numbers. By item, `benchmarks` has the benchmark and `kinds` a
        number that is equal for items with the same words. An n-gram in more than `common` kinds of a
        benchmark is left out for this benchmark.
        """
        import numpy as np

        self.length = length
        self._words = words
        hashes = hashes_of(words, starts, length)
        order = np.lexsort((items, hashes))
        is_new = _begins_group(words, starts[order], hashes[order], length)
        if not np.array_equal(is_new[1:], hashes[order][1:] != hashes[order][:-1]):
            # Two n-grams with the same hash may be mixed, so sort by the words as well.
            columns: list[NDArray[Any]] = [words[starts + n] for n in range(length)]
            order = np.lexsort([items, *columns, hashes])
            is_new = _begins_group(words, starts[order], hashes[order], length)
        hashes, starts, items = hashes[order], starts[order], items[order]
        gram = np.cumsum(is_new)

        is_first = np.ones(len(items), np.bool_)  # of this n-gram in this item
        is_first[1:] = is_new[1:] | (items[1:] != items[:-1])
        hashes, starts = hashes[is_first], starts[is_first]
        items, gram = items[is_first], gram[is_first]

        owner = benchmarks[items]
        is_first = np.ones(len(items), np.bool_)  # of this n-gram in this benchmark
        is_first[1:] = (gram[1:] != gram[:-1]) | (owner[1:] != owner[:-1])
        group = np.cumsum(is_first) - 1
        sizes = np.bincount(group, minlength=1)
        many = np.flatnonzero(sizes[group] > common)
        held = np.unique(
            group[many] * len(kinds) + kinds[items[many]]
        )  # group and kind in one number
        is_rare = np.bincount(held // max(1, len(kinds)), minlength=len(sizes))[group] <= common
        self._hashes = hashes[is_rare]
        self._starts = starts[is_rare].astype(np.int32)
        self._items = items[is_rare]
        # A table rules out most places with one look; a binary search takes many.
        bits = len(self._hashes).bit_length() + 2
        self._shift = np.uint64(64 - bits)
        self._may_be = np.zeros(1 << bits, np.bool_)
        self._may_be[self._hashes >> self._shift] = True

    def items(self) -> list[int]:
        """Return the items that have an n-gram."""
        import numpy as np

        items: list[int] = np.unique(self._items).tolist()
        return items

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, words: "Numbers", known: "Places") -> Matches:
        """Return the n-grams in these words; `known` is the result of `known_from`."""
        import numpy as np

        places = np.flatnonzero(known >= self.length)
        hashes = hashes_of(words, places, self.length)
        may_be = self._may_be[hashes >> self._shift]
        places, hashes = places[may_be], hashes[may_be]
        first = np.searchsorted(self._hashes, hashes, "left")
        is_there = first < len(self._hashes)
        is_there[is_there] = self._hashes[first[is_there]] == hashes[is_there]
        places, hashes, first = places[is_there], hashes[is_there], first[is_there]
        many = np.searchsorted(self._hashes, hashes, "right") - first
        places = np.repeat(places, many)
        rows = np.arange(len(places)) + np.repeat(first - np.cumsum(many) + many, many)
        starts = self._starts[rows].astype(np.int64)
        same = _are_equal(words, places, self._words, starts, self.length)
        return Matches(places[same], self._items[rows[same]])


def _begins_group(
    words: "Numbers", starts: "Places", hashes: "Hashes", length: int
) -> "NDArray[np.bool_]":
    """Return for each of the sorted n-grams whether it differs from the previous one."""
    import numpy as np

    is_new = np.ones(len(starts), np.bool_)
    is_new[1:] = hashes[1:] != hashes[:-1]
    is_new[1:] |= ~_are_equal(words, starts[1:], words, starts[:-1], length)
    return is_new


def distinct(
    words: "Numbers", starts: "Places", items: "Numbers", length: int
) -> "tuple[Places, Numbers]":
    """Return the n-grams without most repetitions within an item, to save memory."""
    import numpy as np

    hashes = hashes_of(words, starts, length)
    order = np.lexsort((hashes, items))
    starts, items, hashes = starts[order], items[order], hashes[order]
    is_new = _begins_group(words, starts, hashes, length)
    is_new[1:] |= items[1:] != items[:-1]
    return starts[is_new], items[is_new]
