"""Orders rows for export and splits them into parts, by instruction. Pure.

    split(rows, (0.95, 0.05), seed=0)      all rows of an instruction are in one part

The part of an instruction depends on its words and the seed only. When the dataset grows, the test part keeps
its instructions, so that no model is tested on the training data of an earlier one.
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
"""The names of the parts on the hub and in `datasets`, by number of parts."""


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the rows in an order that depends on the seed and the number of rows."""
    return stable_random.shuffled(Random(f"{seed}/export"), rows)


def split(rows: Sequence[Row], shares: Sequence[float], *, seed: int) -> list[list[Row]]:
    """Return the rows in one part per share, each in the order of the rows.

    Shares add up to 1 and refer to instructions. Each instruction is drawn independently, so the shares are
    approximate. A part that would be empty gets the nearest instruction. Raises ValueError for fewer
    instructions than parts.
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
    """Return the instruction without differences of case, white space and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", instruction).casefold().split())


def _place(key: str, seed: int) -> float:
    """Return the position of an instruction in [0, 1)."""
    digest = hashlib.sha256(f"{seed}/split/{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48
