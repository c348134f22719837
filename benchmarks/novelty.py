"""Measure the cost of the exact novelty check, compared with other ways to search the pool.

The texts are a recorded list of real instructions, or a synthetic list (benchmarks/instructions.py). All
figures are CPU time of one thread. selfinstruct and each baseline are measured alternately. The parts are:

    decisions    decide whether a text is novel in a pool of 52,000. One baseline is `rapidfuzz.process.cdist`
                 of the text with the whole pool. The other is stanford_alpaca's loop, which calls
                 rouge-score's `_score_lcs` for each text in the pool, scaled from a sample of pairs
    stream       tokenize, check and add texts until the pool contains 52,000. The baseline is the best plain
                 rapidfuzz: `extractOne` with `score_cutoff`, only over texts whose length permits a hit. Both
                 must accept the same texts
    growth       decide with 52,000, 200,000 and 1,000,000 synthetic instructions in the pool, and measure the
                 index's memory
    all          compute for each of 52,000 texts the mean similarity to all earlier texts, and the ten most
                 similar texts. The baseline is `_score_lcs`, scaled from a sample of pairs

    python benchmarks/novelty.py [--parts decisions stream growth all] [--pool 52000] [--most 1000000]
"""

import argparse
import gc
import math
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import instructions
import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer

from selfinstruct.pipeline.novelty import NoveltyIndex, f_measure

THRESHOLD = 0.7
REPEATS = 7
PARTS = ("decisions", "stream", "growth", "all")


def main() -> None:
    """Run the parts that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--pool", type=int, default=52_000)
    parser.add_argument("--most", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if "growth" in arguments.parts:  # runs first, because it measures memory
        growth([52_000, 200_000, 1_000_000], arguments.most)
    if {"decisions", "stream", "all"} & {*arguments.parts}:
        texts = instructions.real()
        kind = "real"
        if texts is None:
            kind, texts = "synthetic", list(islice(instructions.synthetic(), 2 * arguments.pool))
        tokens = [len(NoveltyIndex().tokens(text)) for text in texts]
        print(
            f"{len(texts):,} {kind} instructions, {statistics.mean(tokens):.1f} tokens on average, "
            f"median {statistics.median(tokens):.0f}, longest {max(tokens)}"
        )
        index, rest = stream(texts, arguments.pool, baseline="stream" in arguments.parts)
        if "decisions" in arguments.parts:
            decisions(index, rest)
        if "all" in arguments.parts:
            everything(index)


def cpu_s(call: Callable[[], object]) -> float:
    """Call a function, and return its CPU seconds over all threads."""
    began = time.process_time()
    call()
    return time.process_time() - began


def line(name: str, baseline: Sequence[float], ours: Sequence[float]) -> None:
    """Print the ratio of the medians, and the range of the ratios of single repeats."""
    ratios = [b / o for b, o in zip(baseline, ours, strict=True)]
    print(
        f"  {name:<64}{statistics.median(baseline) / statistics.median(ours):>9,.0f}×  "
        f"({min(ratios):,.0f}–{max(ratios):,.0f})   {1e6 * statistics.median(baseline):>12,.1f} µs "
        f"and {1e6 * statistics.median(ours):,.1f} µs a text",
        flush=True,
    )


def score_lcs_s(pool: Sequence[list[str]], texts: Sequence[list[str]], pairs: int) -> float:
    """Return the mean CPU seconds that rouge-score takes per pair, if called as in stanford_alpaca."""
    draw = random.Random(len(pool) + pairs)
    some = [(draw.choice(texts), draw.choice(pool)) for _ in range(pairs)]
    score_lcs = rouge_scorer._score_lcs  # noqa: SLF001 (the function that stanford_alpaca calls)
    return cpu_s(lambda: [score_lcs(a, b) for a, b in some]) / pairs


class Strings:
    """Converts token lists to strings with one character per token, which rapidfuzz compares faster."""

    def __init__(self) -> None:
        self._characters: dict[str, str] = {}

    def of(self, tokens: Sequence[str]) -> str:
        """Return the string for a list of tokens."""
        known = self._characters
        return "".join([known.setdefault(token, chr(len(known) + 1)) for token in tokens])


def decisions(index: NoveltyIndex, rest: Sequence[str]) -> None:
    """Measure decisions about new texts with the full pool."""
    strings = Strings()
    tokens = [index.tokens(text) for text in index.texts]
    pool = [strings.of(one) for one in tokens]
    lengths = np.array([len(string) for string in pool])
    index.check(rest[0])

    def by_cdist(string: str) -> bool:
        common = process.cdist([string], pool, scorer=LCSseq.similarity, dtype=np.uint16)[0]
        precision, recall = common / max(len(string), 1), common / np.maximum(lengths, 1)
        scores = 2 * precision * recall / (precision + recall + (common == 0))
        return bool(scores.max() <= THRESHOLD)

    times: dict[str, list[float]] = {name: [] for name in ("lcs", "cdist", "1", "16", "128")}
    for repeat in range(REPEATS):
        some = list(rest[640 * repeat : 640 * repeat + 640])
        few = [strings.of(index.tokens(text)) for text in some[:48]]
        times["lcs"].append(len(pool) * score_lcs_s(tokens, [index.tokens(t) for t in some], 4000))
        by: list[bool] = []
        times["cdist"].append(cpu_s(lambda: by.extend(map(by_cdist, few))) / len(few))  # noqa: B023
        ours = [verdict.novel for verdict in index.check_each(some)]
        assert by == ours[:48]
        times["1"].append(cpu_s(lambda: [index.check(t) for t in some]) / len(some))  # noqa: B023
        for together in (16, 128):
            parts = [some[start : start + together] for start in range(0, len(some), together)]
            seconds = cpu_s(lambda: [index.check_each(part) for part in parts])  # noqa: B023
            times[f"{together}"].append(seconds / len(some))
    print(f"decisions at a pool of {len(pool):,}; ours include tokenizing")
    for size, name in (
        ("1", "one at a time"),
        ("16", "a reply of 16 at a time"),
        ("128", "128 at a time"),
    ):
        line(f"cdist of one text with the pool ÷ ours, {name}", times["cdist"], times[size])
    for size, name in (("1", "one at a time"), ("128", "128 at a time")):
        line(f"_score_lcs with the pool, scaled ÷ ours, {name}", times["lcs"], times[size])


def stream(
    texts: Sequence[str], size: int, *, baseline: bool
) -> tuple[NoveltyIndex, Sequence[str]]:
    """Add texts until the pool is full. Return the index and the remaining texts."""

    def grow() -> tuple[NoveltyIndex, int]:
        index, seen = NoveltyIndex(THRESHOLD), 0
        while len(index) < size and seen < len(texts):
            # Add the last texts one at a time, so that the pool has exactly this size.
            step = 1024 if len(index) + 1024 <= size else 1
            index.admit(texts[seen : seen + step])
            seen += step
        return index, seen

    index, seen = grow()
    if not baseline:
        return index, texts[seen:]
    ours = [cpu_s(grow) / seen for _ in range(REPEATS)]
    accepted: list[str] = []
    seconds = cpu_s(lambda: accepted.extend(by_extract_one(texts[:seen])))
    assert accepted == list(index.texts), "the plain stream accepts other texts"
    print(f"stream of {seen:,} texts to a pool of {len(index):,}: the same texts accepted")
    line("extractOne stream ÷ ours (admit)", [seconds / seen] * len(ours), ours)
    one_by_one = NoveltyIndex(THRESHOLD)

    def check_and_add() -> None:
        for text in texts[:seen]:
            if one_by_one.check(text).novel:
                one_by_one.add(text)

    single = cpu_s(check_and_add) / seen
    line("extractOne stream ÷ ours (check and add, one by one)", [seconds / seen], [single])
    resumed = cpu_s(lambda: NoveltyIndex(THRESHOLD, texts=index.texts).check("any text"))
    print(f"  an index of these {len(index):,} is rebuilt in {resumed:.2f} s")
    return index, texts[seen:]


def by_extract_one(texts: Sequence[str]) -> list[str]:
    """Return the novel texts, found with plain rapidfuzz, possible lengths only, and a score cutoff."""
    strings, tokens = Strings(), NoveltyIndex().tokens
    by_length: dict[int, list[str]] = {}
    needed: dict[int, list[tuple[int, int]]] = {}
    accepted = []
    for text in texts:
        string = strings.of(tokens(text))
        n = len(string)
        if n not in needed:
            needed[n] = [(m, least) for m in range(1, 2 * n + 1) if (least := _least(m, n)) <= m]
        is_over = any(
            process.extractOne(string, by_length[m], scorer=LCSseq.similarity, score_cutoff=least)
            for m, least in needed[n]
            if m in by_length
        )
        if not is_over:
            by_length.setdefault(n, []).append(string)
            accepted.append(text)
    return accepted


def _least(m: int, n: int) -> int:
    """Return the smallest common length whose F-score is above the threshold, or m + 1 if none is."""
    common = max(1, int(THRESHOLD * (m + n) / 2) - 1)
    while common <= min(m, n) and f_measure(common, m, n) <= THRESHOLD:
        common += 1
    return common if common <= min(m, n) else m + 1


def growth(sizes: Sequence[int], most: int) -> None:
    """Measure decisions with growing pools, and the index's memory without the texts."""
    source = instructions.synthetic()
    index = NoveltyIndex(THRESHOLD)
    medians = []
    before = resident_mb()
    text_bytes = 0
    print("growth, synthetic instructions, 128 at a time and one at a time")
    for size in (size for size in sizes if size <= most):
        while len(index) < size:
            texts = list(islice(source, 4096))
            for text, verdict in zip(texts, index.admit(texts), strict=True):
                text_bytes += sys.getsizeof(text) if verdict.novel else 0
        unseen = list(islice(source, 4480))
        index.check(unseen[0])
        times: list[float] = []
        singles: list[float] = []
        for start in range(0, len(unseen), 640):
            some = unseen[start : start + 640]
            times.append(cpu_s(lambda: index.check_each(some)) / 640)  # noqa: B023
            singles.append(cpu_s(lambda: [index.check(t) for t in some]) / 640)  # noqa: B023
        medians.append((len(index), statistics.median(times), statistics.median(singles)))
        gc.collect()
        used = resident_mb() - before - text_bytes / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before - text_bytes / 1e6
        print(
            f"  {len(index):>9,}: {1e6 * medians[-1][1]:.1f} µs ({1e6 * min(times):.1f}–"
            f"{1e6 * max(times):.1f}) and {1e6 * medians[-1][2]:.1f} µs ({1e6 * min(singles):.1f}–"
            f"{1e6 * max(singles):.1f}) a text; {used:.0f} MB beyond the texts, {peak:.0f} MB at the peak",
            flush=True,
        )
    if len(medians) > 1:
        (small, *few), (large, *many) = medians[0], medians[-1]
        exponents = [
            math.log(b / a) / math.log(large / small) for a, b in zip(few, many, strict=True)
        ]
        print(f"  exponent: {exponents[0]:.2f} 128 at a time, {exponents[1]:.2f} one at a time")


def resident_mb() -> float:
    """Return this process's resident memory in MB."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize() / 1e6


def everything(index: NoveltyIndex) -> None:
    """Measure how long the mean similarity and the ten most similar texts of all texts take."""
    tokens = [index.tokens(text) for text in index.texts]
    pairs = len(index) * (len(index) - 1) / 2
    # Our time is measured once over all pairs. The baseline is scaled from samples of pairs.
    ours, theirs = [], []
    began = cpu_s(lambda: [None for _ in index.similarities(workers=1)])
    for _ in range(3):
        theirs.append(score_lcs_s(tokens, tokens, 6000) * pairs / len(index))
        ours.append(began / len(index))
    print(
        f"all similarities of {len(index):,} texts: {began:.1f} s, {1e9 * began / pairs:.1f} ns a pair"
    )
    line("_score_lcs of all pairs, scaled ÷ ours", theirs, ours)


if __name__ == "__main__":
    main()
