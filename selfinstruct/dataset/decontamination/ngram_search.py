"""Finds word n-grams quickly by assigning a number to each.

All texts are stored in one array with a number for each word. The number 0 represents words that no benchmark
contains. It also separates texts, so no n-gram spans two texts. The number of a longer n-gram is determined
by the numbers of two n-grams of 1, 2, 4 … words within it. So n-grams of any length are numbered in a few
rounds. N-grams have the same number only if they have the same words, so there are no hash collisions.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Owners(NamedTuple):
    """The item that each word belongs to, and the data that determines whether an n-gram is common."""

    items: "Numbers"
    """The index of the item at each position of the word array."""
    benchmarks: "Numbers"
    """The index of each item's benchmark, by item index."""
    kinds: "Numbers"
    """A number for each item, by item index. Items with identical words have the same number."""
    common: int
    """Maximum number of one benchmark's items that may share an n-gram.

    Items with identical words count once. If more items share the n-gram, it is ignored for this benchmark.
    """


class _Table(NamedTuple):
    """All n-grams of one length, with the items that contain them."""

    keys: "Numbers"
    """The n-grams' keys, sorted."""
    begins: "Numbers"
    """The position of each n-gram's first item in `items`."""
    items: "Numbers"


class Grams:
    """The n-grams in all items, except those that are common in an item's benchmark."""

    def __init__(
        self, words: "Numbers", places: "Mapping[int, Numbers]", owners: Owners, *, longest: int
    ) -> None:
        """Store the n-grams of each length at the positions in `places`. `longest` is the maximum length."""
        self._longest = longest
        self._pairs: dict[int, Numbers] = {}
        """The sorted keys of all n-grams of 2, 4, 8 … words, by half the number of words."""
        numbers = self._numbers(words)
        self._tables = {
            length: _table(_keys(numbers, length), at, owners) for length, at in places.items()
        }

    def _numbers(self, words: "Numbers") -> "dict[int, Numbers]":
        """Return the number of the n-gram at each position; 0 if it is unknown.

        The result has one array for each of the lengths 1, 2, 4 …, up to `longest`.
        """
        import numpy as np

        numbers = {1: words}
        width = 1
        while 2 * width <= self._longest:
            keys = _pairs(numbers[width], width)
            if width not in self._pairs:
                self._pairs[width], _ = np.unique(keys, return_counts=True)
            numbers[2 * width] = _positions(self._pairs[width], keys)
            width *= 2
        return numbers

    def items(self) -> set[int]:
        """Return the indexes of all items that contain at least one of these n-grams."""
        return {item for table in self._tables.values() for item in table.items.tolist()}

    def find(self, words: "Numbers") -> Iterator[tuple[int, int]]:
        """Yield (position, item index) for each n-gram in `words` and each item that contains it.

        The position is the index in `words` at which the n-gram begins.
        """
        numbers = self._numbers(words)
        for length, table in self._tables.items():
            grams = _positions(table.keys, _keys(numbers, length))
            for place in grams.nonzero()[0].tolist():
                begin, end = table.begins[grams[place]], table.begins[grams[place] + 1]
                for item in table.items[begin:end].tolist():
                    yield place, item


def _keys(numbers: "dict[int, Numbers]", length: int) -> "Numbers":
    """Return the key of the n-gram of this length at each position; 0 if there is none."""
    width = 1 << (length.bit_length() - 1)
    return _pairs(numbers[width], length - width)


def _pairs(numbers: "Numbers", distance: int) -> "Numbers":
    """Return a key for each number paired with the one `distance` positions later; 0 if either is 0."""
    import numpy as np

    others = np.append(numbers, np.zeros(distance, np.int64))[distance:]
    return np.where((numbers > 0) & (others > 0), numbers << 32 | others, 0)


def _positions(keys: "Numbers", wanted: "Numbers") -> "Numbers":
    """Return the position of each wanted key in `keys`, which is sorted and begins with 0; 0 if missing."""
    import numpy as np

    # Search the keys in sorted order, because then most of them are in the processor's cache.
    distinct, inverse = np.unique(wanted, return_inverse=True)
    positions = np.searchsorted(keys, distinct)
    positions[positions == len(keys)] = 0
    positions[keys[positions] != distinct] = 0
    return positions[inverse]


def _table(keys: "Numbers", places: "Numbers", owners: Owners) -> _Table:
    """Return the n-grams at `places`, except those that are common in an item's benchmark."""
    import numpy as np

    places = places[keys[places] > 0]
    known, numbers = np.unique(np.append(0, keys[places]), return_inverse=True)
    # `return_counts` makes NumPy sort, which is much faster here than its hash table.
    pairs, _ = np.unique(numbers[1:] << 32 | owners.items[places], return_counts=True)
    grams, items = pairs >> 32, pairs & 0xFFFFFFFF
    _, groups = np.unique(grams << 32 | owners.benchmarks[items], return_inverse=True)
    kinds, _ = np.unique(groups << 32 | owners.kinds[items], return_counts=True)
    is_rare = np.bincount(kinds >> 32)[groups] <= owners.common
    begins = np.searchsorted(grams[is_rare], np.arange(len(known) + 1))
    return _Table(known, begins, items[is_rare])
