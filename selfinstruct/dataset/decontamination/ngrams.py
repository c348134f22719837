"""Fast search for word n-grams, by exact numbers.

All texts form one array with a number per word. 0 is a word that no benchmark has, and separates texts, so
that no n-gram crosses two texts. The numbers of two neighbours of 1, 2, 4 … words make the number of a longer
n-gram, so a few rounds number the n-grams of any length. Equal numbers mean equal words.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Owners(NamedTuple):
    """The items that have the n-grams, and the properties that make an n-gram common."""

    items: "Numbers"
    """The item at each place of the words."""
    benchmarks: "Numbers"
    """The benchmark of each item."""
    kinds: "Numbers"
    """A number for each item, equal for items with the same words."""
    common: int
    """The maximum of kinds of a benchmark that may have an n-gram; more leave the n-gram out for it."""


class _Table(NamedTuple):
    """The n-grams of one length."""

    keys: "Numbers"
    """The keys of all n-grams, sorted."""
    begins: "Numbers"
    """The position of the first item of each n-gram."""
    items: "Numbers"


class Grams:
    """The n-grams of some lengths in all items, except the common ones of each benchmark."""

    def __init__(
        self, words: "Numbers", places: "Mapping[int, Numbers]", owners: Owners, *, longest: int
    ) -> None:
        """Store the n-grams at `places`, by length; `longest` is the maximum of lengths."""
        self._longest = longest
        self._pairs: dict[int, Numbers] = {}
        """The keys of all n-grams of 2, 4, 8 … words, by half of the length."""
        numbers = self._numbers(words)
        self._tables = {
            length: _table(_keys(numbers, length), at, owners) for length, at in places.items()
        }

    def _numbers(self, words: "Numbers") -> "dict[int, Numbers]":
        """Return the number of the n-gram at each place, by length: 1, 2, 4 …; 0 for unknown n-grams."""
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
        """Return the items that have an n-gram."""
        return {item for table in self._tables.values() for item in table.items.tolist()}

    def find(self, words: "Numbers") -> Iterator[tuple[int, int]]:
        """Yield the place of each n-gram in the words with each item that has the n-gram."""
        numbers = self._numbers(words)
        for length, table in self._tables.items():
            grams = _positions(table.keys, _keys(numbers, length))
            for place in grams.nonzero()[0].tolist():
                begin, end = table.begins[grams[place]], table.begins[grams[place] + 1]
                for item in table.items[begin:end].tolist():
                    yield place, item


def _keys(numbers: "dict[int, Numbers]", length: int) -> "Numbers":
    """Return a key for the n-gram of a length at each place, or 0."""
    width = 1 << (length.bit_length() - 1)
    return _pairs(numbers[width], length - width)


def _pairs(numbers: "Numbers", distance: int) -> "Numbers":
    """Return a key for the two numbers at each place and at a distance, or 0 if one of them is 0."""
    import numpy as np

    others = np.append(numbers, np.zeros(distance, np.int64))[distance:]
    return np.where((numbers > 0) & (others > 0), numbers << 32 | others, 0)


def _positions(keys: "Numbers", wanted: "Numbers") -> "Numbers":
    """Return the position of each wanted key among sorted keys, of which the first is 0; 0 if missing."""
    import numpy as np

    # Sorted, because searches in order find most keys in the cache of the processor.
    distinct, inverse = np.unique(wanted, return_inverse=True)
    positions = np.searchsorted(keys, distinct)
    positions[positions == len(keys)] = 0
    positions[keys[positions] != distinct] = 0
    return positions[inverse]


def _table(keys: "Numbers", places: "Numbers", owners: Owners) -> _Table:
    """Return the n-grams at places, without those that are common in the benchmark of the item."""
    import numpy as np

    places = places[keys[places] > 0]
    known, numbers = np.unique(np.append(0, keys[places]), return_inverse=True)
    # With counts NumPy sorts, which is much faster here than its hash table.
    pairs, _ = np.unique(numbers[1:] << 32 | owners.items[places], return_counts=True)
    grams, items = pairs >> 32, pairs & 0xFFFFFFFF
    _, groups = np.unique(grams << 32 | owners.benchmarks[items], return_inverse=True)
    kinds, _ = np.unique(groups << 32 | owners.kinds[items], return_counts=True)
    is_rare = np.bincount(kinds >> 32)[groups] <= owners.common
    begins = np.searchsorted(grams[is_rare], np.arange(len(known) + 1))
    return _Table(known, begins, items[is_rare])
