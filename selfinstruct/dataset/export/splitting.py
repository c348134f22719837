"""Shuffles rows and splits them into parts by instruction. All functions are pure.

    split(rows, (0.95, 0.05), seed=0)      all rows with the same instruction are in the same part

The part that an instruction belongs to depends only on its words and the seed. If the dataset grows, test
instructions stay in the test part, so no model is tested on data that an earlier model was trained on.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from selfinstruct.dataset.rows import Row
from selfinstruct.pipeline import stable_random

NAMES: dict[int, tuple[str, ...]] = {
    1: ("train",),
    2: ("train", "test"),
    3: ("train", "validation", "test"),
}
"""The parts' names, as on the Hugging Face Hub and in `datasets`, by the number of parts."""


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the rows in a random order that depends only on the seed and the number of rows."""
    return stable_random.shuffled(Random(f"{seed}/export"), rows)


def split(rows: Sequence[Row], shares: Sequence[float], *, seed: int) -> list[list[Row]]:
    """Split the rows into one part per share. The order of rows is kept within each part.

    `shares` are the parts' shares of the instructions and must add up to 1. Each instruction is assigned
    independently, so the actual shares are only approximately equal to them. A part that would be empty gets
    the instruction whose position is nearest to it. Raises ValueError if there are fewer instructions than
    parts.
    """
    places = {key: _place(key, seed) for key in {_key(row["instruction"]) for row in rows}}
    if len(places) < len(shares):
        raise ValueError(f"{len(places)} different instructions cannot make {len(shares)} parts")
    ends = list(accumulate(shares))[:-1]
    part_of = {key: sum(place >= end for end in ends) for key, place in places.items()}
    _fill_empty(part_of, places, ends)
    parts: list[list[Row]] = [[] for _ in shares]
    for row in rows:
        parts[part_of[_key(row["instruction"])]].append(row)
    return parts


def _fill_empty(part_of: dict[str, int], places: dict[str, float], ends: Sequence[float]) -> None:
    bounds = [0.0, *ends, 1.0]
    sizes = Counter(part_of.values())
    for part in range(len(bounds) - 1):
        if sizes[part]:
            continue
        middle = (bounds[part] + bounds[part + 1]) / 2
        _, key = min(
            (abs(place - middle), key) for key, place in places.items() if sizes[part_of[key]] > 1
        )
        sizes[part_of[key]] -= 1
        sizes[part] += 1
        part_of[key] = part


def _key(instruction: str) -> str:
    """Return the instruction with its case, white space and Unicode form normalized."""
    return " ".join(unicodedata.normalize("NFKC", instruction).casefold().split())


def _place(key: str, seed: int) -> float:
    """Return a pseudorandom position in [0, 1) for an instruction, which determines its part."""
    digest = hashlib.sha256(f"{seed}/split/{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48
