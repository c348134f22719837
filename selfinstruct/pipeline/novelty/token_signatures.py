"""Token sequences as arrays, with signatures that limit how many tokens two sequences can share.

A sequence is a string in which each character encodes a token (see `token_encoding`).

An element is a token with its occurrence number: the second "the" is a different element from the first. So
two sequences share as many elements as tokens. Each element sets one of 512 bits in its sequence's signature.
The excess of a sequence is its number of elements minus the number of bits in its signature: it counts the
elements whose bit another element also sets. Each shared element sets its bit in both signatures, so two
sequences share at most this number of elements:

    bits in both signatures + excess of either sequence

The bitwise "or" of a signature's eight words is a narrow signature of 64 bits. It excludes most short texts,
and comparing it takes an eighth of the memory traffic.

"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORDS = 8
"""Number of 64-bit words in a wide (512-bit) signature."""

_SHIFT = 64 - (WORDS * 64).bit_length() + 1
# Odd multipliers that spread consecutive codes. The first is 2**64 divided by the golden ratio.
_SPREAD = 0x9E3779B97F4A7C15
_OCCURRENCE = 0x5851F42D

_LOW_BYTES = np.uint64(0x00FF00FF00FF00FF)
_ONES = np.uint64(0x0001000100010001)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequences as arrays. Row i is sequence i."""

    codes: NDArray[np.int64]
    """Codes of the known tokens of all rows, row by row."""
    owners: NDArray[np.int64]
    """Row of each token in `codes`."""
    lengths: NDArray[np.int64]
    """Number of tokens in each row, including unknown tokens."""
    known: NDArray[np.int64]
    """Number of known tokens in each row."""
    narrow: NDArray[np.uint64]
    """Narrow (64-bit) signature of each row."""

    def __len__(self) -> int:
        return len(self.lengths)

    def wide(self) -> NDArray[np.uint64]:
        """Return the wide signature of each row, as an array of shape (rows, WORDS)."""
        bits = _bits(self.codes, self.owners)
        words = np.zeros(len(self) * WORDS, np.uint64)
        places = self.owners * WORDS + (bits >> np.uint64(6)).view(np.int64)
        np.bitwise_or.at(words, places, _flags(bits))
        return words.reshape(len(self), WORDS)


def codes_of(sequences: Sequence[str]) -> NDArray[np.int64]:
    """Return the characters of all sequences as integer codes, sequence by sequence."""
    joined = "".join(sequences).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, np.uint32).astype(np.int64)


def as_arrays(sequences: Sequence[str], narrow: NDArray[np.uint64] | None = None) -> Sequences:
    """Return sequences as arrays. `narrow` has their narrow signatures; if None, they are computed."""
    codes = codes_of(sequences)
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    owners = np.arange(len(sequences)).repeat(lengths)
    is_known = codes != 0
    codes, owners = codes[is_known], owners[is_known]
    known = np.bincount(owners, minlength=len(sequences))
    if narrow is None:
        narrow = np.zeros(len(sequences), np.uint64)
        np.bitwise_or.at(narrow, owners, _flags(_bits(codes, owners)))
    return Sequences(codes=codes, owners=owners, lengths=lengths, known=known, narrow=narrow)


def _bits(codes: NDArray[np.int64], owners: NDArray[np.int64]) -> NDArray[np.uint64]:
    # Sorting moves tokens only within their row, so their owners stay the same.
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
    """Return the number of bits that are set in each wide signature."""
    # Add a row's eight one-byte counts within one word. A numpy sum of short rows is much slower.

    counts = np.bitwise_count(signatures).view(np.uint64)[:, 0]
    pairs = (counts & _LOW_BYTES) + (counts >> np.uint64(8) & _LOW_BYTES)
    return (pairs * _ONES >> np.uint64(48)).view(np.int64)
