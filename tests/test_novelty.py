"""Novelty against its oracle: the rouge-score package itself."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score import rouge_scorer, scoring
from rouge_score.tokenizers import DefaultTokenizer

from selfinstruct.novelty import NoveltyIndex, f_measure, smallest_rejected, tokenize

SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
ORACLE_TOKENIZER = DefaultTokenizer(use_stemmer=False)

# Few words, so that texts overlap; some that only case, accents or signs tell apart.
WORDS = st.sampled_from(["a", "b", "c", "d", "the", "The", "é", "x1", "don't", "—", "…", "7"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
# At a threshold that scores hit exactly, only the last bit of a double decides.
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.6, 2 / 3, 0.7, 0.8, 0.9, 1.0]) | st.floats(0, 1)


def score(one: str, other: str) -> float:
    return float(SCORER.score(one, other)["rougeL"].fmeasure)


@given(st.text())
def test_tokens_are_those_of_rouge_score(text: str) -> None:
    assert tokenize(text) == ORACLE_TOKENIZER.tokenize(text)


def test_f_is_bit_for_bit_that_of_rouge_score() -> None:
    for m, n in itertools.product(range(1, 40), repeat=2):
        for common in range(min(m, n) + 1):
            assert f_measure(common, m, n) == scoring.fmeasure(common / n, common / m)


@given(st.integers(1, 400), st.integers(1, 400), THRESHOLDS)
@example(7, 13, 0.7)  # F is 0.7000000000000001 here …
@example(10, 10, 0.7)  # … and 0.7 here
def test_the_smallest_rejected_overlap_is_the_first_over_the_threshold(
    m: int, n: int, threshold: float
) -> None:
    scores = [scoring.fmeasure(common / n, common / m) for common in range(1, min(m, n) + 1)]
    over = [common for common, f in enumerate(scores, start=1) if f > threshold]
    expected = over[0] if over else min(m, n) + 1
    assert smallest_rejected(m, n, threshold) == expected


@given(st.lists(TEXTS, max_size=12), TEXTS, THRESHOLDS)
def test_the_verdict_is_that_of_brute_force_with_rouge_score(
    pool: list[str], text: str, threshold: float
) -> None:
    verdict = NoveltyIndex(threshold, pool).check(text)

    scores = [score(pooled, text) for pooled in pool]
    assert verdict.novel == (max(scores, default=0.0) <= threshold)
    if not verdict.novel:
        assert verdict.position is not None
        assert verdict.rouge_l == scores[verdict.position] > threshold


@given(st.lists(TEXTS, max_size=12), TEXTS)
def test_the_verdict_does_not_depend_on_the_order_of_insertion(pool: list[str], text: str) -> None:
    verdicts = {NoveltyIndex(0.7, order).check(text).novel for order in (pool, pool[::-1])}
    assert len(verdicts) == 1


def test_ties_at_the_threshold_fall_as_rouge_score_lets_them() -> None:
    """7 of 7 and 13 tokens is over 0.7 by rounding, 7 of 10 and 10 is not."""
    seven, thirteen = "a b c d e f g", "a b c d e f g h i j k l m"
    ten, other_ten = "a b c d e f g h i j", "a b c d e f g x y z"
    assert not NoveltyIndex(0.7, [seven]).check(thirteen).novel
    assert NoveltyIndex(0.7, [ten]).check(other_ten).novel


def test_an_empty_pool_finds_everything_novel() -> None:
    assert NoveltyIndex().check("Anything at all.").novel


def test_texts_keep_their_order_and_positions() -> None:
    index = NoveltyIndex(0.7, ["one two three", "four five six"])
    assert index.add("seven eight nine") == 2
    assert index.texts == ("one two three", "four five six", "seven eight nine")
    assert index.check("seven eight nine").position == 2


def test_a_threshold_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        NoveltyIndex(1.5)
