"""Benchmark hits equal those of a brute-force search, and each layout contributes the right texts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.dataset.decontamination.index import BenchmarkIndex, Hit
from selfinstruct.dataset.decontamination.item_texts import Item, ItemText, item_of, layout_of
from selfinstruct.pipeline.tokenizers import unicode

law = settings(max_examples=40)


class Tokens:
    """A tokenizer for rouge-score that returns the same tokens as the tokenizer `unicode`."""

    def tokenize(self, text: str) -> list[str]:
        return unicode(text)


SCORER = rouge_scorer.RougeScorer(["rougeL"], tokenizer=Tokens())

# Texts consist of few different words and of pieces of one sentence, so they share long runs of words.
SAID = "The tide brings amber, Tide brings salt — and the tide brings a letter to the amber harbour of salt!"
WORDS = st.sampled_from(["the", "Tide", "amber", "salt", "of", "x7"])


@st.composite
def _texts(draw: st.DrawFn) -> str:
    words = SAID.split()
    begin = draw(st.integers(0, len(words)))
    piece = words[begin : draw(st.integers(begin, len(words)))]
    return " ".join(
        [*draw(st.lists(WORDS, max_size=8)), *piece, *draw(st.lists(WORDS, max_size=4))]
    )


TEXTS = _texts()
BENCHMARKS = st.lists(
    st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=5),
    min_size=1,
    max_size=3,
)
RECORDS = st.lists(st.lists(TEXTS, max_size=3), max_size=5)
RULES = st.fixed_dictionaries(
    {
        "ngram": st.sampled_from([5, 9, 13]),
        "threshold": st.sampled_from([None, 0.4, 0.7, 1.0]),
        "common": st.integers(1, 3),
    }
)


def make_items(benchmarks: Sequence[Sequence[Sequence[str]]], names: str = "ABC") -> list[Item]:
    return [
        Item(name, f"{name}:{n}", None, tuple(ItemText(f"t{i}", t) for i, t in enumerate(texts)))
        for name, items in zip(names, benchmarks, strict=False)
        for n, texts in enumerate(items)
    ]


def as_records(records: Sequence[Sequence[str]]) -> list[list[FieldText]]:
    return [[FieldText(f"f{n}", text) for n, text in enumerate(texts)] for texts in records]


def runs(text: str, ngram: int) -> set[tuple[str, ...]]:
    """Return the n-grams to search for, for one of an item's texts."""
    words = unicode(text)
    size = ngram if len(words) >= ngram or len(words) < min(8, ngram) else len(words)
    if len(words) < 4:
        return set()
    return {tuple(words[n : n + size]) for n in range(len(words) - size + 1)}


def brute_force(
    items: Sequence[Item], records: Sequence[Sequence[str]], *, ngram: int, threshold: float | None,
    common: int,
) -> list[set[tuple[str, str, str]]]:  # fmt: skip
    """Return each record's n-gram hits, or if it has none, its whole-text hits (without the item)."""
    runs_of = [set().union(*(runs(t.text, ngram) for t in item.texts)) for item in items]
    wholes_of = [{tuple(unicode(t.text)) for t in item.texts} for item in items]
    words_of = [
        tuple(" ".join(unicode(t.text)) for t in item.texts if len(unicode(t.text)) >= 4)
        for item in items
    ]  # Items with the same words count once.
    held, same = (
        Counter(
            (name, part)
            for name, part, _ in {
                (item.benchmark, part, words)
                for item, of, words in zip(items, parts, words_of, strict=True)
                for part in of
            }
        )
        for parts in (runs_of, wholes_of)
    )
    found = []
    for record in records:
        hits = set()
        for n, text in enumerate(record):
            words = unicode(text)
            sizes = {len(run) for of in runs_of for run in of}
            windows = {
                tuple(words[i : i + size]) for size in sizes for i in range(len(words) - size + 1)
            }
            for item, of in zip(items, runs_of, strict=True):
                if any(held[item.benchmark, run] <= common for run in of & windows):
                    hits.add(("ngram", f"f{n}", item.place))
        if not hits and threshold is not None:
            wholes = {
                whole
                for item, of in zip(items, wholes_of, strict=True)
                for whole in of
                if same[item.benchmark, whole] <= common and len(whole) >= 4
            }
            for n, text in enumerate(record):
                for whole in wholes:
                    is_same = tuple(unicode(text)) == whole
                    score = SCORER.score(" ".join(whole), text)["rougeL"].fmeasure
                    if score > threshold and (len(whole) >= 8 or is_same):
                        hits.add(("rouge_l", f"f{n}", ""))
        found.append(hits)
    return found


def told(hits: Iterable[Hit]) -> set[tuple[str, str, str]]:
    return {(h.kind, h.field, h.source.place if h.kind == "ngram" else "") for h in hits}


@law
@given(BENCHMARKS, RECORDS, RULES)
def test_hits_equal_brute_force(
    benchmarks: list[list[list[str]]], records: list[list[str]], rules: Any
) -> None:
    items = make_items(benchmarks)
    expected = brute_force(items, records, **rules)

    assert [*map(told, BenchmarkIndex(items, **rules).check(as_records(records)))] == expected


@law
@given(BENCHMARKS, RECORDS, RULES, st.randoms(use_true_random=False))
def test_the_order_changes_no_hit(
    benchmarks: list[list[list[str]]],
    records: list[list[str]],
    rules: Any,
    random: Random,
) -> None:
    def dropped(items: list[Item]) -> list[bool]:
        return [bool(hits) for hits in BenchmarkIndex(items, **rules).check(as_records(records))]

    items = make_items(benchmarks)
    together = dropped(items)
    backwards = sorted(items, key=lambda item: item.benchmark, reverse=True)
    order = [*records]
    random.shuffle(order)
    alone = BenchmarkIndex(items, **rules)
    one_by_one = {tuple(r): bool(alone.check(as_records([r]))[0]) for r in order}
    parts = [dropped([i for i in items if i.benchmark == name]) for name in "ABC"]

    assert dropped(backwards) == together
    assert [one_by_one[tuple(record)] for record in records] == together
    assert [any(column) for column in zip(*parts, strict=True)] == together


@law
@given(BENCHMARKS, RECORDS)
def test_shared_words_are_in_record_and_item(
    benchmarks: list[list[list[str]]], records: list[list[str]]
) -> None:
    items = {item.place: item for item in make_items(benchmarks)}
    found = BenchmarkIndex(items.values(), ngram=9, threshold=None).check(as_records(records))
    for record, hits in zip(records, found, strict=True):
        for hit in hits:
            [text] = [t.text for t in items[hit.source.place].texts if t.name == hit.text]
            assert hit.words is not None
            assert len(hit.words.split()) >= 8
            for whole in (text, record[int(hit.field[1:])]):
                assert f" {hit.words} " in f" {' '.join(unicode(whole))} "


# -------------------------------------------------------------------------------- examples written by hand

ASKED = "How many buckets of sand does the keeper of the Orlen dunes carry to the chapel in early spring?"


def hits(text: str, *fields: dict[str, object], **rules: Any) -> list[Hit]:
    items = [item_of(f, benchmark="b", place=f"b:{n}")[0] for n, f in enumerate(fields)]
    return BenchmarkIndex(items, **rules).check([[FieldText("output", text)]])[0]


@pytest.mark.parametrize("ngram", [8, 13, 17])
def test_n_words_in_a_row_are_needed(ngram: int) -> None:
    words = ASKED.upper().replace(" ", " -- ").split(" -- ")
    for begin in range(len(words) - ngram):
        around = (
            "here goes nothing anybody knows {} and so on and on until nothing more is left to say"
        )
        enough = around.format(" ".join(words[begin : begin + ngram]))
        too_few = around.format(" ".join(words[begin : begin + ngram - 1]))
        assert [hit.kind for hit in hits(enough, {"question": ASKED}, ngram=ngram)] == ["ngram"]
        assert not hits(too_few, {"question": ASKED}, ngram=ngram)


def mmlu(question: str, *choices: str) -> dict[str, object]:
    return {"question": question, "subject": "capitals", "choices": list(choices), "answer": 0}


def test_an_answer_alone_is_never_a_hit() -> None:
    items: tuple[dict[str, object], ...] = (
        mmlu("What is the capital of France?", "Paris", "Lyon", "Lille", "Nice"),
        {"q": "Which city has the most bridges of all?", "a": "Paris"},
        {"q": "Biggest?", "a": "Paris", "id": 3},
        {"text": "Paris"},
    )
    assert not hits("Paris", *items)
    assert not hits("Paris, Lyon, Lille, Nice", *items)


def test_short_texts_count_only_whole() -> None:
    eight = mmlu("What colour is the old flag of Veldt?", "red and white stripes", "blue", "a", "b")
    assert [
        h.kind for h in hits("Say what colour is the old flag of Veldt, and why so.", eight)
    ] == ["ngram"]
    six = mmlu(
        "What is the capital of France?", *(["a long answer with very many words in it"] * 4)
    )
    assert [h.score for h in hits("what is the capital of FRANCE", six)] == [1.0]
    assert not hits("What is the capital of Spain?", six)
    assert not hits("Tell me: what is the capital of France?", six)
    assert not hits("what is the capital of FRANCE", six, threshold=None)


def test_common_words_are_no_hit() -> None:
    common = "This question refers to the following information, taken from a letter of that time:"
    text = f"{common} and so on, with a good many other words behind it"
    items = [mmlu(f"{common} {word}", word, "b", "c", "d") for word in unicode(ASKED)]
    assert len(items) == 19
    assert not hits(text, *items, threshold=None)
    assert hits(text, *items, threshold=None, common=19)
    assert hits(text, *items[:10], threshold=None)


def test_a_repeated_item_is_found() -> None:
    many = [mmlu(ASKED, "three", "nine")] * 15
    assert len(hits(f"Say: {ASKED}", *many)) == 15
    assert len(hits(ASKED.replace("How many", "Many"), *many, ngram=30)) == 15
    different = [mmlu(ASKED, word) for word in unicode(ASKED)]
    assert not hits(ASKED, *different, threshold=None)


def test_items_without_searched_text_are_counted() -> None:
    def counted(*fields: dict[str, object], **rules: Any) -> tuple[int, int]:
        items = [item_of(f, benchmark="b", place=f"b:{n}")[0] for n, f in enumerate(fields)]
        index = BenchmarkIndex(items, **rules)
        return index.unfindable["b"], index.only_common["b"]

    shared = "keeper of the dunes"
    items: list[dict[str, object]] = [
        {"q": f"{ASKED} {ASKED}", "a": f"{ASKED} {word} {ASKED}"} for word in ("one", "two", "six")
    ]
    assert counted(*items, common=3) == (0, 0)
    assert counted({"q": ASKED}, {"q": ASKED}, {"q": "Why?"}, common=1) == (1, 0)
    twice: list[dict[str, object]] = [{"q": ASKED}, {"q": ASKED + " " + shared}]
    assert counted(*twice, common=1, threshold=None) == (0, 1)
    assert counted(*twice, common=1) == (0, 0)  # They are compared by ROUGE-L.
    assert counted(*twice, common=1, threshold=1.0) == (0, 1)
    assert counted({"q": "Who was it then?"}) == (0, 0)
    assert counted({"q": "Who was it then?"}, threshold=None) == (1, 0)


def test_question_and_choices_count_together() -> None:
    item = mmlu(
        "Which one is it?", "the copper kettle", "the brass bell", "the tin whistle", "none"
    )
    [hit] = hits(
        "Which one is it? The copper kettle, the brass bell, the tin whistle, or none of them?",
        item,
    )
    assert (hit.kind, hit.text) == ("ngram", "question + choices")


def hellaswag(context: str, *endings: str) -> dict[str, object]:
    return {"ind": 7, "activity_label": "Sailing", "ctx_a": context, "ctx_b": "", "ctx": context,
            "endings": list(endings), "source_id": "s", "split": "val", "label": "1"}  # fmt: skip


def test_wikihow_tags_make_no_difference() -> None:
    item = hellaswag(
        "[header] How to mend a sail [title] Find the tear. [step] Lay the sail flat on a dry floor.",
        "Bite it.", "Sew a patch over the tear, twice. [substeps] Use waxed thread.", "Sing.", "Run.",
    )  # fmt: skip
    for text in (
        "How to mend a sail Find the tear. Lay the sail flat on a dry floor.",
        "[header] How to mend a sail [title] Find the tear. [step] Lay the sail flat on a dry floor.",
        "on a dry floor. Sew a patch over the tear, twice. Use waxed thread.",
    ):
        [hit] = hits(text, item)
        assert (hit.kind, hit.source.id) == ("ngram", 7)
    assert not hits("Sew a patch over the tear, twice.", item)
    assert not hits("Sailing", item)


HUMANEVAL: dict[str, object] = {
    "task_id": "HumanEval/900",
    "prompt": "from typing import List\nimport math\n\n\ndef gulls(flock: List[str], least: int) -> int:\n"
    '    """ Count the gulls whose name is longer than least and ends in a vowel. """\n',
    "canonical_solution": "    named = [name for name in flock if len(name) > least]\n"
    "    return sum(name[-1] in 'aeiou' for name in named)\n",
    "test": "def check(candidate):\n    assert candidate(['ava', 'bo', 'cleo', 'dagmar'], 3) == 1\n"
    "    assert candidate(['eve', 'otto', 'mia', 'luna', 'kai'], 2) == 5\n",
    "entry_point": "gulls",
}


def test_humaneval_counts_prompt_and_solution() -> None:
    for part in ("prompt", "canonical_solution"):
        [hit] = hits(f"Sure!\n{HUMANEVAL[part]}", HUMANEVAL)
        assert hit.source.id == "HumanEval/900"
        assert not (hit.words or "").startswith("from typing")
    assert not hits(str(HUMANEVAL["test"]), HUMANEVAL)
    start = "from typing import List\nimport math\n\n\ndef gulls(flock: List[str]):\n    return 1"
    assert not hits(start, HUMANEVAL)


def test_other_layouts_count_every_text() -> None:
    fields = {"id": "q1", "stem": {"text": ASKED}, "notes": ["a", "b " * 9], "n": 3}
    item, layout = item_of(fields, benchmark="b", place="b:1")
    assert (layout, item.id) == ("other", "q1")
    assert [text.name for text in item.texts] == ["stem.text", "notes.1"]
    item, _ = item_of(fields, benchmark="b", place="b:1", only=("notes",))
    assert [text.name for text in item.texts] == ["notes.1"]
    assert layout_of(HUMANEVAL).name == "HumanEval"
    assert layout_of(hellaswag("a", "b")).name == "HellaSwag"
    assert layout_of(mmlu("a", "b")).name == "MMLU"


def test_choices_in_csv_are_read() -> None:
    written = {**mmlu(ASKED), "choices": "['three' 'nine and a half' 'twelve']"}
    listed = mmlu(ASKED, "three", "nine and a half", "twelve")
    one, other = (
        [unicode(text.text) for text in item_of(f, benchmark="b", place="")[0].texts]
        for f in (written, listed)
    )
    assert one == other


def test_nested_texts_come_in_order() -> None:
    deep: object = "bottom"
    for _ in range(5000):
        deep = [deep]
    fields = {"a": "1", "b": [{"c": "2", "d": 7}, "3"], "e": None, "f": {"g": " \n"}, "h": deep}
    found = list(texts_of(fields))
    assert found[:3] == [("a", "1"), ("b.0.c", "2"), ("b.1", "3")]
    assert found[3].text == "bottom"
    assert is_within("b.0.c", "b.c")
    assert is_within("b.0.c", "b.0")
    assert not is_within("b.0.c", "c")


def test_an_index_of_nothing_finds_nothing() -> None:
    assert BenchmarkIndex([]).check([[], [FieldText("a", ASKED)]]) == [[], []]
    assert BenchmarkIndex(make_items([[[ASKED]]])).check([]) == []
    with pytest.raises(ValueError, match="ngram must be at least 1, not 0"):
        BenchmarkIndex([], ngram=0)
