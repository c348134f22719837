"""Decisions equal those of a one-by-one comparison, and records are not kept in memory."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from selfinstruct.dataset.deduplication.decisions import Deduplication, Kept, ListedText, Rejected
from selfinstruct.dataset.deduplication.field_text import text_of
from selfinstruct.pipeline.novelty import NoveltyIndex, f_measure

WORDS = st.sampled_from("a b c d e".split())
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)


def candidates(texts: list[str]) -> list[ListedText[int]]:
    return [ListedText(n, text, f"line {n}") for n, text in enumerate(texts)]


def rouge_l(one: str, two: str) -> float:
    """Return ROUGE-L, computed with the textbook algorithm for the longest common subsequence."""
    a, b = one.split(), two.split()
    if not a or not b:
        return 0.0
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
            )
    return f_measure(table[-1][-1], len(a), len(b))


@given(
    st.lists(TEXTS, max_size=30),
    st.lists(TEXTS, max_size=5),
    st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    st.sampled_from([1, 3, 1000]),
)
@settings(max_examples=examples(60))
def test_decisions_equal_brute_force(
    texts: list[str], known: list[str], threshold: float, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfinstruct.dataset.deduplication.decisions.BATCH", batch)
        dedup = Deduplication(threshold=threshold)
        for number, text in enumerate(known):
            dedup.know(text, f"known {number}")
        decisions = list(dedup.decide(candidates(texts)))
    pool = {f"known {number}": text for number, text in enumerate(known)}
    kept = []
    for number, (text, decision) in enumerate(zip(texts, decisions, strict=True)):
        assert decision.record == number
        scores = {place: rouge_l(other, text) for place, other in pool.items()}
        if isinstance(decision, Rejected):
            assert pool[decision.witness_place] == decision.witness
            assert scores[decision.witness_place] == decision.rouge_l > threshold
        else:
            assert all(score <= threshold for score in scores.values())
            assert (decision.position is None) == (not text)
            pool[f"line {number}"] = text
            kept += [number] if text else []
    # The kept texts' similarities must equal the textbook values.
    similarities = list(dedup.similarities())
    assert len(similarities) == len(kept)
    words = {place: text for place, text in pool.items() if text}
    for number, fields in zip(kept, similarities, strict=True):
        before = list(words.values())[: list(words).index(f"line {number}")]
        scores = {other: rouge_l(other, texts[number]) for other in before}
        mean = sum(scores[other] for other in before) / len(before) if before else 0.0
        assert fields["avg_similarity_score"] == pytest.approx(mean, abs=1e-12)
        nearest = list(fields["most_similar_instructions"].values())
        assert nearest == sorted(nearest, reverse=True)
        assert fields["most_similar_instructions"].items() <= scores.items()
        if len(set(before)) == len(before):
            assert nearest == sorted(scores.values(), reverse=True)[:10]


def test_decisions_equal_those_of_a_run() -> None:
    texts = ["Name three rivers.", "name three rivers!", "강의 이름", "강의 이름", "…", "…"]
    for tokenizer, kept in (("unicode", [0, 2, 4, 5]), ("rouge", [0, 2, 3, 4, 5])):
        decisions = list(Deduplication(tokenizer=tokenizer).decide(candidates(texts)))
        assert [d.record for d in decisions if isinstance(d, Kept)] == kept
        index = NoveltyIndex(tokenizer=tokenizer)
        verdicts = index.admit(texts)
        assert [n for n, verdict in enumerate(verdicts) if verdict.novel] == kept


def test_know_after_a_decision_is_refused() -> None:
    dedup = Deduplication()
    list(dedup.decide(candidates(["a b c"])))
    with pytest.raises(ValueError, match="before the first record is kept"):
        dedup.know("d e f", "line 1")


def test_records_are_not_kept_in_memory() -> None:
    def peak(count: int) -> int:
        coming = (
            ListedText("x" * 2_000 + str(n), f"word{n % 100} {n % 100}", "") for n in range(count)
        )
        tracemalloc.start()
        for _ in Deduplication().decide(coming):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # Load all modules before measuring.
    assert peak(6_000) < peak(2_000) + 1_000_000


@pytest.mark.parametrize(
    ("fields", "names", "found"),
    [
        ({"a": "x"}, ["a"], "x"),
        ({"a": "x", "b": "", "c": "y"}, ["a", "b", "c"], "x\ny"),
        ({"a": [{"b": "x"}, {"b": "y"}]}, ["a.1.b"], "y"),
        ({"a.b": "x", "a": {"b": "y"}}, ["a.b"], "x"),
        ({"a": {"0": "x"}}, ["a.0"], "x"),
        ({"a": ""}, ["a"], ""),
        ({"a": "x", "b": None}, ["a", "b"], "x"),
        ({"a": "x"}, ["b", "a", "c.0"], "x"),
    ],
)
def test_a_name_leads_to_nested_text(fields: dict[str, Any], names: list[str], found: str) -> None:
    assert text_of(fields, names) == found


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"b": "x"}, "a", r"has no field 'a'; choose a field with --field \(fields: 'b'\)"),
        ({}, "a", r"fields: none"),
        (dict.fromkeys("bcdefghij", ""), "a", r"fields: 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', …"),
        ({"a": None}, "a", r"the field 'a' is null, not text; fix"),
        ({"a": True}, "a", r"is true or false, not text"),
        ({"a": 1.5}, "a", r"is a number, not text"),
        (
            {"a": [{"role": "x"}]},
            "a",
            r"is a list, not text; choose a text within it, .*--field a\.0\.role",
        ),
        ({"a": ["x"]}, "a", r"--field a\.0$"),
        ({"a": {"b": "x"}}, "a", r"is an object, not text; .*--field a\.b"),
        ({"a": ["x"]}, "a.1", r"has no field 'a\.1'"),
        ({"a": ["x"]}, "a.-1", r"has no field"),
        ({"a": "x"}, "a.0", r"has no field"),
        (
            {"b;c": "x"},
            "b",
            r"the only field is 'b;c', so the columns seem to be separated by semicolons",
        ),
        (
            {"b\tc": "x"},
            "b",
            r"the only field is 'b.{1,2}tc', so the columns seem to be separated by tabs",
        ),
    ],
)
def test_a_missing_text_is_an_error(fields: dict[str, Any], name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        text_of(fields, [name])


def test_one_of_several_fields_needs_text() -> None:
    with pytest.raises(ValueError, match=r"the field 'a' is null, not text; .* with --of$"):
        text_of({"a": None}, ["a", "b"], option="--of")
    with pytest.raises(ValueError, match=r"has no field 'b'; choose a field with --of \("):
        text_of({"a": None}, ["b", "a"], option="--of")
    with pytest.raises(ValueError, match="the field 'b' is a number"):
        text_of({"a": "x", "b": 1}, ["a", "b"])


@given(
    st.lists(TEXTS, max_size=30), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1, 3, 1000])
)
@settings(max_examples=examples(40))
def test_keep_equal_changes_no_other_decision(
    texts: list[str], threshold: float, batch: int
) -> None:
    known = "a b c"
    decided = []
    for keep_equal in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("selfinstruct.dataset.deduplication.decisions.BATCH", batch)
            dedup = Deduplication(threshold=threshold, keep_equal=keep_equal)
            dedup.know(known, "known")
            decided.append(list(dedup.decide(candidates(texts))))
    kept: dict[str, int | None] = {}
    for text, without, taken in zip(texts, *decided, strict=True):
        if isinstance(taken, Kept) and taken.is_equal:
            assert isinstance(without, Rejected)
            assert taken.position == kept[text]
        else:
            assert taken == without
            assert isinstance(taken, Kept) or text not in kept
        if isinstance(taken, Kept):
            kept.setdefault(text, taken.position)
        else:
            assert taken.is_known == (taken.witness_place == "known")
