"""Novelty against its oracle: the rouge-score package itself, for every tokenizer."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer, scoring

from selfinstruct.novelty import NoveltyIndex, f_measure, smallest_rejected
from selfinstruct.tokenizers import TOKENIZERS

# The first non-ASCII text pays for a table of all marks.
law = settings(deadline=None)


class Tokens:
    """One of our tokenizers, as rouge-score takes them."""

    def __init__(self, name: str) -> None:
        self.tokenize = TOKENIZERS[name]


SCORERS = {
    # Its own tokenizer, so that nothing of ours is in the oracle.
    "rouge": rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False),
    "unicode": rouge_scorer.RougeScorer(["rougeL"], tokenizer=Tokens("unicode")),
}

# Few words, so that texts overlap; some that only case, accents or signs tell apart.
WORDS = st.sampled_from(["a", "b", "c", "d", "the", "The", "x1", "don't", "—", "…", "7"])
WORDS |= st.sampled_from(["é", "e\u0301", "７", "川", "の", "川の", "강", "강의", "ﬁ", "fi"])
WORDS |= st.sampled_from(["река", "РЕКА", "नदी", "น้ำ"])
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)
# At a threshold that scores hit exactly, only the last bit of a double decides.
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.6, 2 / 3, 0.7, 0.8, 0.9, 1.0]) | st.floats(0, 1)
NAMES = st.sampled_from(sorted(TOKENIZERS))


def score(name: str, one: str, other: str) -> float:
    return float(SCORERS[name].score(one, other)["rougeL"].fmeasure)


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


@pytest.mark.parametrize("name", TOKENIZERS)
@law
@given(st.lists(TEXTS, max_size=12), TEXTS, THRESHOLDS)
def test_the_verdict_is_that_of_brute_force_with_rouge_score(
    name: str, pool: list[str], text: str, threshold: float
) -> None:
    verdict = NoveltyIndex(threshold, name, pool).check(text)

    scores = [score(name, pooled, text) for pooled in pool]
    assert verdict.novel == (max(scores, default=0.0) <= threshold)
    if not verdict.novel:
        assert verdict.position is not None
        assert verdict.rouge_l == scores[verdict.position] > threshold


@pytest.mark.parametrize("name", TOKENIZERS)
@law
@given(st.lists(TEXTS | st.text(max_size=8), max_size=12), TEXTS, st.none() | st.integers(0, 12))
def test_the_nearest_text_is_that_of_brute_force_with_rouge_score(
    name: str, pool: list[str], text: str, upto: int | None
) -> None:
    nearest = NoveltyIndex(0.7, name, pool).nearest(text, upto=upto)

    scores = [score(name, pooled, text) for pooled in pool[:upto]]
    if not scores:
        assert nearest is None
    else:
        assert nearest == (scores.index(max(scores)), max(scores))


@law
@given(st.lists(TEXTS, max_size=12), TEXTS, NAMES)
def test_the_verdict_does_not_depend_on_the_order_of_insertion(
    pool: list[str], text: str, name: str
) -> None:
    verdicts = {NoveltyIndex(0.7, name, order).check(text).novel for order in (pool, pool[::-1])}
    assert len(verdicts) == 1


@law
@given(st.lists(TEXTS, max_size=12), TEXTS, NAMES)
def test_an_index_that_grew_is_like_one_that_was_made_whole(
    pool: list[str], text: str, name: str
) -> None:
    grown = NoveltyIndex(0.7, name)
    for place, pooled in enumerate(pool):
        grown.check(text)  # leaves no trace
        assert grown.add(pooled) == place
    whole = NoveltyIndex(0.7, name, pool)
    assert grown.check(text) == whole.check(text)
    assert len(grown) == len(pool)


def test_ties_at_the_threshold_fall_as_rouge_score_lets_them() -> None:
    """7 of 7 and 13 tokens is over 0.7 by rounding, 7 of 10 and 10 is not."""
    seven, thirteen = "a b c d e f g", "a b c d e f g h i j k l m"
    ten, other_ten = "a b c d e f g h i j", "a b c d e f g x y z"
    assert not NoveltyIndex(0.7, texts=[seven]).check(thirteen).novel
    assert NoveltyIndex(0.7, texts=[ten]).check(other_ten).novel


def test_an_empty_pool_finds_everything_novel() -> None:
    assert NoveltyIndex().check("Anything at all.").novel
    assert NoveltyIndex().nearest("Anything at all.") is None


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_without_tokens_is_like_nothing_and_nearest_to_the_first(name: str) -> None:
    index = NoveltyIndex(0.7, name, ["?!", "one two three"])
    assert index.check("?!").novel
    assert index.nearest("?!") == (0, 0.0)
    assert index.check("one two three").position == 1


def test_a_text_in_another_script_is_compared_by_one_tokenizer_only() -> None:
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


def test_a_threshold_outside_0_to_1_and_an_unknown_tokenizer_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        NoveltyIndex(1.5)
    with pytest.raises(ValueError, match="rouge or unicode, not 'words'"):
        NoveltyIndex(0.7, "words")
