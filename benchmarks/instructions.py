"""Instructions for benchmarks: a list of real instructions if it exists, otherwise a synthetic list.

The real list is the file `instructions_en.txt.gz` of the recorded runs. It contains 89,206 instructions that
people and models wrote, with 18 tokens each on average and 26,000 different words. The environment variable
SELFINSTRUCT_RECORDED_RUNS contains the path of the file's folder. The file is not part of this repository.

The synthetic list has similar statistics and can have any size. Some openings are frequent. Word frequencies
follow Zipf's law, and the vocabulary grows with the list. Instructions have between 3 and several hundred
tokens. One in eight instructions is a near-duplicate of an earlier instruction.
"""

import gzip
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(
    os.environ.get(
        "SELFINSTRUCT_RECORDED_RUNS", Path(__file__).resolve().parents[2] / "shared/data"
    )
)


def real() -> list[str] | None:
    """Return the real list in a fixed random order, or None if the file does not exist."""
    path = _FOLDER / "instructions_en.txt.gz"
    if not path.is_file():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [line.strip() for line in lines if any(c.isascii() and c.isalnum() for c in line)]
    random.Random(3).shuffle(texts)
    return texts


def synthetic() -> Iterator[str]:
    """Yield an endless sequence of synthetic instructions, which is the same in every call."""
    draw = random.Random(11)
    openings = [[_word(draw) for _ in range(draw.randrange(2, 7))] for _ in range(3000)]
    earlier: list[list[str]] = []
    for _ in itertools.count():
        if len(earlier) > 200 and draw.random() < 0.12:
            words = _near_duplicate(draw, earlier)
        else:
            # The square of a uniform draw favours the first openings, so only a few openings are frequent.
            words = list(openings[int(len(openings) * draw.random() ** 2)])
            words += [_word(draw) for _ in range(int(draw.lognormvariate(2.1, 0.95)))]
        if len(earlier) < 50_000:
            earlier.append(words)
        else:
            earlier[draw.randrange(50_000)] = words
        yield " ".join(words)


def _near_duplicate(draw: random.Random, earlier: list[list[str]]) -> list[str]:
    words = list(draw.choice(earlier))
    for _ in range(draw.randrange(max(2, len(words) // 2))):
        place = draw.randrange(len(words))
        if draw.random() < 0.7:
            words[place] = _word(draw)
        elif len(words) > 4 and draw.random() < 0.5:
            del words[place]
        else:
            words.insert(place, _word(draw))
    return words


def _word(draw: random.Random) -> str:
    """Return a random word. Frequencies follow Zipf's law up to rank 4,000, and then fall faster."""
    if draw.random() < 0.94:
        return f"w{int(2 * ((1 + 4000 / 2) ** draw.random() - 1)):x}"
    return f"w{int(4000 / (1 - draw.random())):x}"
