"""Compare the novelty index with the rouge-score package as an oracle, for every tokenizer."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer, scoring

from selfinstruct.pipeline.novelty import (
    NoveltyIndex,
    NoveltyResult,
    Similar,
    f_measure,
    token_signatures,
)
from selfinstruct.pipeline.novelty.rouge_l import Need, f_measures
from selfinstruct.pipeline.novelty.token_signatures import as_arrays, bits_of
from selfinstruct.pipeline.tokenizers import TOKENIZERS


class Tokens:
    """An adapter that lets rouge-score use one of our tokenizers."""

    def __init__(self, name: str) -> None:
        self.tokenize = TOKENIZERS[name]


SCORERS = {
    # For "rouge", use rouge-score's own tokenizer, so that the oracle is independent of ours.
    "rouge": rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False),
    "unicode": rouge_scorer.RougeScorer(["rougeL"], tokenizer=Tokens("unicode")),
}

# There are few words, so that random texts overlap. Some words differ only in case, accents or punctuation.
WORDS = st.sampled_from(["a", "b", "c", "d", "the", "The", "x1", "don't", "—", "…", "7"])
WORDS |= st.sampled_from(["é", "e\u0301", "７", "川", "の", "川の", "강", "강의", "ﬁ", "fi"])
WORDS |= st.sampled_from(["река", "РЕКА", "नदी", "น้ำ"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
SHORT_TEXTS = st.lists(WORDS, max_size=5).map(" ".join)
# Some scores are equal to these thresholds except for rounding, so the last bit of a double decides.
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.6, 2 / 3, 0.7, 0.8, 0.9, 1.0]) | st.floats(0, 1)
NAMES = st.sampled_from(sorted(TOKENIZERS))


def score(name: str, one: str, other: str) -> float:
    return float(SCORERS[name].score(one, other)["rougeL"].fmeasure)


def test_f_measure_matches_rouge_score_bit_for_bit() -> None:
    for m, n in itertools.product(range(1, 40), repeat=2):
        for common in range(min(m, n) + 1):
            assert f_measure(common, m, n) == scoring.fmeasure(common / n, common / m)


def test_f_measures_match_f_measure_bit_for_bit() -> None:
    m, n = (a.ravel() for a in np.meshgrid(np.arange(1, 120), np.arange(1, 120)))
    for common in range(13):
        expected = [f_measure(common, *pair) for pair in zip(m.tolist(), n.tolist(), strict=True)]
        assert f_measures(np.full(len(m), common), m, n).tolist() == expected


@given(st.integers(1, 400), st.integers(1, 400), THRESHOLDS)
@example(7, 13, 0.7)  # F is 0.7000000000000001
@example(10, 10, 0.7)  # F is 0.7
def test_lower_bounds_exclude_no_score_over_the_threshold(m: int, n: int, threshold: float) -> None:
    scores = [scoring.fmeasure(common / n, common / m) for common in range(1, min(m, n) + 1)]
    least = next((common for common, f in enumerate(scores, start=1) if f > threshold), math.inf)
    need = Need(threshold)
    assert least >= need.half * (m + n)
    assert least >= need.ratio * m
    assert least >= need.ratio * n


@given(st.lists(st.text("abcdefgh\U0001f600", max_size=40), min_size=2, max_size=2))
def test_signatures_bound_the_shared_tokens(pair: list[str]) -> None:
    arrays = as_arrays(pair)
    shared = (Counter(pair[0]) & Counter(pair[1])).total()
    wide = arrays.wide()
    for one, other, bits in (
        (*wide, int(bits_of(wide[:1] & wide[1:])[0])),
        (*arrays.narrow, int(np.bitwise_count(arrays.narrow[0] & arrays.narrow[1]))),
    ):
        for signature, text in ((one, pair[0]), (other, pair[1])):
            assert shared <= bits + len(text) - int(np.bitwise_count(signature).sum())


def test_signature_bits_are_counted_exactly() -> None:
    draw = random.Random(2)
    rows = [[draw.getrandbits(64) for _ in range(token_signatures.WORDS)] for _ in range(50)]
    rows += [[2**64 - 1] * token_signatures.WORDS, [0] * token_signatures.WORDS]
    assert bits_of(np.array(rows, np.uint64)).tolist() == [
        sum(word.bit_count() for word in row) for row in rows
    ]


@contextmanager
def crowded() -> Iterator[None]:
    """Make an index of few texts use several levels and batches, and always compare wide signatures."""
    with (
        patch.multiple(
            "selfinstruct.pipeline.novelty.possible_matches",
            _TAIL=2,
            _GROWTH=1,
            _FEW=0,
            _ROWS=2,
            _BATCH=3,
        ),
        patch.multiple("selfinstruct.pipeline.novelty.index_level", _BATCH=3, _BUILD_BATCH=3),
        patch("selfinstruct.pipeline.novelty.index._BATCH", 3),
        patch.multiple("selfinstruct.pipeline.novelty.similarity_statistics", _BLOCK=3, _PAIRS=20),
    ):
        yield


@contextmanager
def few_characters() -> Iterator[None]:
    """Make an index run out of characters after a few tokens."""
    with crowded(), patch("selfinstruct.pipeline.novelty.token_encoding._CHARACTERS", 10):
        yield


CONDITIONS = {"crowded": crowded, "few characters": few_characters}


def expected_verdict(name: str, pool: Sequence[str], text: str, threshold: float) -> NoveltyResult:
    scores = [score(name, pooled, text) for pooled in pool]
    if max(scores, default=0.0) <= threshold:
        return NoveltyResult(novel=True)
    return NoveltyResult(novel=False, position=scores.index(max(scores)), rouge_l=max(scores))


@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.lists(TEXTS, max_size=12), TEXTS, THRESHOLDS)
def test_check_matches_brute_force_with_rouge_score(
    name: str, pool: list[str], text: str, threshold: float
) -> None:
    verdict = NoveltyIndex(threshold, name, pool).check(text)
    assert verdict == expected_verdict(name, pool, text, threshold)


@pytest.mark.parametrize("condition", CONDITIONS)
@given(st.lists(SHORT_TEXTS, max_size=20), st.lists(SHORT_TEXTS, max_size=5), THRESHOLDS, NAMES)
def test_levels_merges_and_batches_change_no_result(
    condition: str, pool: list[str], texts: list[str], threshold: float, name: str
) -> None:
    expected = [expected_verdict(name, pool, text, threshold) for text in texts]
    with CONDITIONS[condition]():
        index = NoveltyIndex(threshold, name)
        for text in pool:
            index.check(text)  # must not change the index
            index.add(text)
        assert index.check_each(texts) == expected
        assert [index.check(text) for text in texts] == expected
        assert NoveltyIndex(threshold, name, pool).check_each(texts) == expected


@pytest.mark.parametrize("condition", CONDITIONS)
@given(st.lists(SHORT_TEXTS, max_size=6), st.lists(SHORT_TEXTS, max_size=16), THRESHOLDS, NAMES)
def test_admit_is_check_and_add_for_each_text(
    condition: str, pool: list[str], texts: list[str], threshold: float, name: str
) -> None:
    one_by_one, grown = [], list(pool)
    for text in texts:
        verdict = expected_verdict(name, grown, text, threshold)
        one_by_one.append(verdict)
        if verdict.novel:
            grown.append(text)
    with CONDITIONS[condition]():
        index = NoveltyIndex(threshold, name, pool)
        assert index.check_in_turn(texts) == one_by_one
        assert index.texts == tuple(pool)
        assert index.admit(iter(texts)) == one_by_one
        assert index.texts == tuple(grown)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_scores_at_the_threshold_match_rouge_score(m: int, n: int, data: st.DataObject) -> None:
    """Check two texts at a threshold equal to their score, and at the next floats above and below it."""
    common = data.draw(st.integers(1, min(m, n)))
    one = " ".join([f"s{i}" for i in range(common)] + [f"a{i}" for i in range(m - common)])
    other = " ".join([f"b{i}" for i in range(n - common)] + [f"s{i}" for i in range(common)])
    reached = score("rouge", one, other)
    around = [f"x{i} y{i} z{i}" for i in range(4)]
    for threshold in (reached, math.nextafter(reached, 0), math.nextafter(reached, 1), 0.7):
        if threshold <= 1:
            expected = NoveltyResult(novel=True)
            if reached > threshold:
                expected = NoveltyResult(novel=False, position=2, rouge_l=reached)
            pool = [*around[:2], one, *around[2:]]
            assert NoveltyIndex(threshold, "rouge", pool).check(other) == expected
            with crowded():  # so that the text is in a level
                assert NoveltyIndex(threshold, "rouge", pool).check(other) == expected


def test_a_pool_of_thousands_matches_brute_force() -> None:
    """Use the real level and batch sizes, with near-duplicates of short and long texts."""
    draw = random.Random(5)
    words = [f"w{i}" for i in range(400)]
    pool: list[list[str]] = []
    for _ in range(1800):
        size = draw.choice([3, 5, 8, 8, 12, 12, 20, 40, 90])
        text = [words[int(draw.random() ** 3 * 400)] for _ in range(size)]
        if pool and draw.random() < 0.5:
            text = list(draw.choice(pool))
            for _ in range(draw.randrange(1, 2 + len(text) // 3)):
                text[draw.randrange(len(text))] = draw.choice(words)
        pool.append(text)
    texts = [" ".join(text) for text in pool]
    index = NoveltyIndex(0.7, "rouge")
    verdicts = index.admit(texts)

    kept: list[str] = []
    checked = NoveltyIndex(0.7, "rouge")
    for place, (written, verdict) in enumerate(zip(texts, verdicts, strict=True)):
        if place % 100 == 0:
            assert verdict == expected_verdict("rouge", kept, written, 0.7)
        assert checked.check(written) == verdict
        if verdict.novel:
            checked.add(written)
            kept.append(written)
    assert index.texts == tuple(kept)
    assert 1100 < len(kept) < 1700


@pytest.mark.parametrize("name", TOKENIZERS)
@given(
    st.lists(SHORT_TEXTS | st.text(max_size=8), max_size=12),
    SHORT_TEXTS,
    st.none() | st.integers(0, 12),
    st.integers(0, 14),
    st.sampled_from(sorted(CONDITIONS)),
)
def test_top_k_matches_brute_force_with_rouge_score(
    name: str, pool: list[str], text: str, upto: int | None, k: int, condition: str
) -> None:
    scores = [score(name, pooled, text) for pooled in pool[:upto]]
    ranking = sorted(enumerate(scores), key=lambda found: (-found[1], found[0]))
    with CONDITIONS[condition]():
        index = NoveltyIndex(0.7, name, pool)
        assert index.top_k(text, k, upto=upto) == ranking[:k]
        assert index.nearest(text, upto=upto) == (ranking[0] if ranking else None)


@pytest.mark.parametrize("condition", CONDITIONS)
@given(st.lists(SHORT_TEXTS, max_size=14), st.integers(0, 12), NAMES, st.data())
def test_similarities_match_brute_force_in_any_sharding(
    condition: str, pool: list[str], k: int, name: str, data: st.DataObject
) -> None:
    with CONDITIONS[condition]():
        index = NoveltyIndex(0.7, name, pool)
        whole = list(index.similarities(k=k))
        order = data.draw(st.permutations(range(len(pool))))
        cut = data.draw(st.integers(0, len(pool)))
        parts = [
            *index.similarities(order[:cut], k=k, workers=2),
            *index.similarities(order[cut:], k=k),
        ]
    assert sorted(parts) == whole  # equal to the last bit
    for place, found in enumerate(whole):
        scores = [score(name, pooled, pool[place]) for pooled in pool[:place]]
        ranking = sorted(enumerate(scores), key=lambda found: (-found[1], found[0]))
        assert found.position == place
        assert found.nearest == tuple(ranking[:k])
        assert abs(found.mean - sum(scores) / max(place, 1)) <= 1e-12


def test_similarities_of_hundreds_match_top_k() -> None:
    draw = random.Random(8)
    texts = [
        " ".join(f"w{int(draw.random() ** 2 * 60)}" for _ in range(draw.randrange(1, 70)))
        for _ in range(700)
    ]
    index = NoveltyIndex(0.7, "rouge", texts)
    for position, mean, nearest in index.similarities(range(0, 700, 23), workers=2):
        every = index.top_k(texts[position], position, upto=position)
        assert list(nearest) == every[:10]
        assert abs(mean - math.fsum(s.rouge_l for s in every) / max(position, 1)) <= 1e-12


def test_texts_of_seventy_thousand_tokens_are_compared() -> None:
    """Check texts whose lengths do not fit in 16 bits."""
    long = " ".join(f"w{i}" for i in range(70_000))
    longer = f"{long} {' '.join(f'v{i}' for i in range(60_000))}"
    index = NoveltyIndex(0.7, "rouge", [long])
    assert index.check(longer).rouge_l == f_measure(70_000, 70_000, 130_000) > 0.7
    assert index.check(f"{long} end").rouge_l == f_measure(70_000, 70_000, 70_001)
    index.add(f"{long} end")
    assert next(index.similarities([1])).nearest == (Similar(0, f_measure(70_000, 70_000, 70_001)),)


@given(st.lists(TEXTS, max_size=12), TEXTS, NAMES)
def test_the_decision_is_independent_of_insertion_order(
    pool: list[str], text: str, name: str
) -> None:
    verdicts = {NoveltyIndex(0.7, name, order).check(text).novel for order in (pool, pool[::-1])}
    assert len(verdicts) == 1


@given(st.lists(TEXTS, max_size=12), TEXTS, NAMES)
def test_a_grown_index_equals_a_new_one(pool: list[str], text: str, name: str) -> None:
    grown = NoveltyIndex(0.7, name)
    for place, pooled in enumerate(pool):
        grown.check(text)  # must not change the index
        assert grown.add(pooled) == place
    whole = NoveltyIndex(0.7, name, pool)
    assert grown.check(text) == whole.check(text)
    assert len(grown) == len(pool)


def test_ties_at_the_threshold_match_rouge_score() -> None:
    """Check that for L = 7, F is rounded to over 0.7 for texts of 7 and 13 tokens, but not of 10 and 10."""
    seven, thirteen = "a b c d e f g", "a b c d e f g h i j k l m"
    ten, other_ten = "a b c d e f g h i j", "a b c d e f g x y z"
    assert not NoveltyIndex(0.7, texts=[seven]).check(thirteen).novel
    assert NoveltyIndex(0.7, texts=[ten]).check(other_ten).novel


def test_in_an_empty_pool_every_text_is_novel() -> None:
    assert NoveltyIndex().check("Anything at all.").novel
    assert NoveltyIndex().nearest("Anything at all.") is None


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_without_tokens_is_always_novel(name: str) -> None:
    index = NoveltyIndex(0.7, name, ["?!", "one two three"])
    assert index.check("?!").novel
    assert index.nearest("?!") == (0, 0.0)
    assert index.check("one two three").position == 1


def test_only_unicode_compares_texts_in_other_scripts() -> None:
    copied = ["유럽에 있는 강의 이름을 쓰세요."]
    assert NoveltyIndex(0.7, "rouge", copied).check(copied[0]).novel
    assert NoveltyIndex(0.7, "unicode", copied).check(copied[0]).rouge_l == 1.0


def test_texts_keep_their_order_and_positions() -> None:
    index = NoveltyIndex(0.7, texts=["one two three", "four five six"])
    assert index.add("seven eight nine") == 2
    assert index.texts == ("one two three", "four five six", "seven eight nine")
    assert index.check("seven eight nine").position == 2
    assert index.nearest("four five nine") == (1, 2 / 3)
    assert index.nearest("seven eight nine", upto=2) == (0, 0.0)


def test_invalid_thresholds_and_tokenizers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        NoveltyIndex(1.5)
    with pytest.raises(ValueError, match="rouge or unicode, not 'words'"):
        NoveltyIndex(0.7, "words")


def test_equal_texts_are_compared_with_one_only() -> None:
    """Check that not all pairs are compared if a reply repeats one item thousands of times."""
    texts = ["name three rivers of Asia"] * 3000
    index = NoveltyIndex()
    with patch("rapidfuzz.distance.LCSseq.similarity", wraps=LCSseq.similarity) as compared:
        verdicts = index.check_in_turn(texts)
    assert (
        verdicts
        == [NoveltyResult(novel=True)]
        + [NoveltyResult(novel=False, position=0, rouge_l=1.0)] * 2999
    )
    assert compared.call_count == 2999


def test_a_string_instead_of_texts_is_refused() -> None:
    """Check that a single string is refused, whose letters would otherwise be taken as texts."""
    index = NoveltyIndex()
    for call in (index.admit, index.check_each, index.check_in_turn):
        with pytest.raises(TypeError, match=r"pass \[text\]"):
            call("one text")
    with pytest.raises(TypeError, match=r"pass \[text\]"):
        NoveltyIndex(texts="one text")
    with pytest.raises(TypeError, match=r"NoveltyIndex\(texts=…\)"):
        NoveltyIndex(["one text"])  # type: ignore[arg-type]
