"""Sequences of tokens as arrays, with signatures that bound how many tokens two of them share.

A sequence is a string of characters that stand for tokens (see `token_encoding`).

The elements of a sequence are its tokens, each with the number of its occurrence: the second "the" is another
element than the first one, so two sequences share as many elements as tokens. Each element has one of 512
bits; a signature holds the bits of all elements. Two sequences share no more elements than

    the bits in both + the excess of either        (excess: elements minus bits)

since each shared element has its bit in both, and of a sequence's elements no more than its excess have a bit
that another one has, too. The eight words of a signature, laid over each other, are a signature of 64 bits:
enough to dismiss most short texts, and an eighth to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORDS = 8
"""64-bit words of a signature."""

_SHIFT = 64 - (WORDS * 64).bit_length() + 1
# Any odd numbers do that spread consecutive codes; the first is 2**64 over the golden ratio.
_SPREAD = 0x9E3779B97F4A7C15
_OCCURRENCE = 0x5851F42D

_LOW_BYTES = np.uint64(0x00FF00FF00FF00FF)
_ONES = np.uint64(0x0001000100010001)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Some sequences as arrays; row i is sequence i."""

    codes: NDArray[np.int64]
    """The known tokens of all rows, one row after the other."""
    owners: NDArray[np.int64]
    """The row of each of these tokens."""
    lengths: NDArray[np.int64]
    """Tokens of each row, unknown ones included."""
    known: NDArray[np.int64]
    """Of these, the known ones: all that can be shared."""
    narrow: NDArray[np.uint64]
    """Signatures of 64 bits, (rows,)."""

    def __len__(self) -> int:
        return len(self.lengths)

    def wide(self) -> NDArray[np.uint64]:
        """Signatures of all bits, (rows, WORDS)."""
        bits = _bits(self.codes, self.owners)
        words = np.zeros(len(self) * WORDS, np.uint64)
        places = self.owners * WORDS + (bits >> np.uint64(6)).view(np.int64)
        np.bitwise_or.at(words, places, _flags(bits))
        return words.reshape(len(self), WORDS)


def codes_of(sequences: Sequence[str]) -> NDArray[np.int64]:
    """The characters of all sequences, one after the other, as numbers."""
    joined = "".join(sequences).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, np.uint32).astype(np.int64)


def as_arrays(sequences: Sequence[str], narrow: NDArray[np.uint64] | None = None) -> Sequences:
    """The arrays of some sequences; `narrow` where it is known already."""
    codes = codes_of(sequences)
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    owners = np.arange(len(sequences)).repeat(lengths)
    known = lengths
    if any("\0" in sequence for sequence in sequences):
        is_known = codes != 0
        codes, owners = codes[is_known], owners[is_known]
        known = np.bincount(owners, minlength=len(sequences))
    if narrow is None:
        narrow = np.zeros(len(sequences), np.uint64)
        np.bitwise_or.at(narrow, owners, _flags(_bits(codes, owners)))
    return Sequences(codes=codes, owners=owners, lengths=lengths, known=known, narrow=narrow)


def _bits(codes: NDArray[np.int64], owners: NDArray[np.int64]) -> NDArray[np.uint64]:
    # Sorting moves tokens within their row only, so each still has the owner that it had.
    elements = owners << 32 | codes
    elements.sort()
    hashed = elements & 0xFFFFFFFF
    is_again = elements[1:] == elements[:-1]
    if is_again.any():
        places = np.arange(len(elements))
        first = places.copy()
        first[1:][is_again] = 0
        hashed += (places - np.maximum.accumulate(first)) * _OCCURRENCE
    return (hashed.view(np.uint64) * np.uint64(_SPREAD)) >> np.uint64(_SHIFT)


def _flags(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.uint64(1) << (bits & np.uint64(63))


def bits_of(signatures: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits each wide signature holds, (rows,)."""
    # Eight bytes a row, each up to 64, added within one word: numpy's sums of short rows are much slower.
    counts = np.bitwise_count(signatures).view(np.uint64)[:, 0]
    pairs = (counts & _LOW_BYTES) + (counts >> np.uint64(8) & _LOW_BYTES)
    return (pairs * _ONES >> np.uint64(48)).view(np.int64)
