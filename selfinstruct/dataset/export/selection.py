"""Which rows are exported, and into which part. Pure; what belongs together is told by the instruction.

    split(rows, (0.95, 0.05), seed=0)      each instruction is in one part, whatever its rows are

In which part an instruction is depends on its words and the seed, and on nothing else: if the dataset grows,
what was in the test part stays there, and no model is tested on what an earlier one was trained on.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from random import Random

from selfinstruct.dataset.export.rows import Row
from selfinstruct.pipeline import stable_random

NAMES: dict[int, tuple[str, ...]] = {
    1: ("train",),
    2: ("train", "test"),
    3: ("train", "validation", "test"),
}
"""What parts are called, by how many there are: as the hub and `datasets` know them."""


def first_instructions(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """The rows of the first `count` different instructions."""
    seen: set[str] = set()
    for row in rows:
        instruction = row["instruction"]
        if instruction not in seen:
            if len(seen) == count:
                continue  # further rows of those before it may still come
            seen.add(instruction)
        yield row


def at_most_each(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """The first `count` rows of each instruction."""
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row["instruction"]] += 1
        if seen[row["instruction"]] <= count:
            yield row


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in an order that depends on the seed and on how many there are."""
    return stable_random.shuffled(Random(f"{seed}/export"), rows)


def split(rows: Sequence[Row], shares: Sequence[float], *, seed: int) -> list[list[Row]]:
    """The rows in as many parts as there are shares, which add up to 1; each keeps the order.

    Shares are of instructions, and are met as a coin that is thrown for each would meet them. A part that
    would be empty gets the instruction that was nearest to it. Raises ValueError where there are fewer
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
    """What counts as the same instruction: case, white space and ways to write a letter make none."""
    return " ".join(unicodedata.normalize("NFKC", instruction).casefold().split())


def _place(key: str, seed: int) -> float:
    """Where an instruction lies in [0, 1)."""
    digest = hashlib.sha256(f"{seed}/split/{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48
