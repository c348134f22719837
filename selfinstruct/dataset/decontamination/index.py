"""An index of benchmark items, which finds the items that a record contains."""

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from selfinstruct.dataset.decontamination.field_texts import FieldText
from selfinstruct.dataset.decontamination.item_texts import LONG_ENOUGH, Item
from selfinstruct.dataset.decontamination.ngram_search import Grams, Owners
from selfinstruct.pipeline.novelty import NoveltyIndex, NoveltyResult
from selfinstruct.pipeline.tokenizers import unicode

NGRAM = 13
THRESHOLD = 0.7
COMMON = 10
SHORTEST = 4
"""Minimum number of words in a text to search for. "Yes, it is" is too short, for example."""

_SLACK = 1e-9
"""Tolerance for rounding errors in scores."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A record's text that contains a benchmark item or is too similar to one."""

    kind: Literal["ngram", "rouge_l"]
    field: str
    """The path of the field that contains the record's text, such as "messages.1.content"."""
    source: Item
    """The benchmark item, without its texts."""
    text: str
    """Label of the fields that make up the item's text, such as "question + choices"."""
    words: str | None = None
    """The longest sequence of shared words; None if the kind is "rouge_l"."""
    score: float | None = None
    """The ROUGE-L between the two whole texts; None if the kind is "ngram"."""


class _ItemText(NamedTuple):
    """An item's text, as a range in the index's array of word ids."""

    item: int
    begin: int
    """The position of the text's first word in the array."""
    size: int
    name: str


class _Text(NamedTuple):
    """One of a record's texts, with its words."""

    record: int
    field: str
    text: str
    words: list[str]


class BenchmarkIndex:
    """An index of benchmark items.

    Whether a record has hits does not depend on the order of items or records. If more benchmarks are added,
    a record that has hits still has hits.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        ngram: int = NGRAM,
        threshold: float | None = THRESHOLD,
        common: int = COMMON,
    ) -> None:
        """Build the index.

        It is a hit if a record and an item share `ngram` consecutive words, unless more than `common` items
        in the benchmark contain these words. Items with identical words count once. A ROUGE-L of more than
        `threshold` is also a hit. If `threshold` is None, texts are not compared by ROUGE-L. Raises
        ValueError if a number is out of range.
        """
        if ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {ngram}")
        self.ngram = ngram
        self.common = common
        # No ROUGE-L is more than 1, so a threshold of 1 disables this comparison.
        self._novelty = NoveltyIndex(
            threshold=1.0 if threshold is None else threshold, tokenizer="unicode"
        )
        # Shorter texts are found only if they equal a record's text, which is a ROUGE-L of 1.
        by_runs = max(SHORTEST, min(LONG_ENOUGH, ngram))
        self.shortest = SHORTEST if self._novelty.threshold < 1.0 else by_runs
        """Number of words in the shortest text that is searched for."""
        self._ids: dict[str, int] = {}
        """An id for each word in any benchmark, counting from 1. All other words have the id 0."""
        self._words = array("q", [0])
        self._texts: list[_ItemText] = []
        self.sources: list[Item] = []
        self.unfindable: Counter[str] = Counter()
        """Number of items whose texts are all too short to search for, by benchmark file."""
        self._kinds: list[int] = []
        """A number for each item, by item index. Items with identical words have the same number."""
        self._same: dict[bytes, tuple[str, list[int]]] = {}
        """By a text's word ids: the first text with these words, and the indexes of all texts with them."""
        long_enough = self._add_all(items)
        self._texts_of: dict[int, list[int]] = defaultdict(list)
        for number, text in enumerate(self._texts):
            self._texts_of[text.item].append(number)
        numbers: dict[str, int] = {}
        self._benchmarks = [numbers.setdefault(s.benchmark, len(numbers)) for s in self.sources]
        self._grams = self._make_grams()
        self._wholes: list[list[int]] = []
        """For each position in the novelty index, the indexes of the texts that have the same words."""
        self._longest = 0
        """Number of words in the longest text in the novelty index."""
        self._short: dict[tuple[str, ...], list[int]] = {}
        """Indexes of the texts with 4 to 7 words, by these words. A record's text must equal them."""
        if self._novelty.threshold < 1.0:
            self._add_wholes()
        self._same.clear()
        searched = self._grams.items()
        for numbers_of in (*self._wholes, *self._short.values()):
            searched.update(self._texts[number].item for number in numbers_of)
        self.only_common = Counter(self.sources[i].benchmark for i in long_enough - searched)
        """Number of items that are not searched for because their texts are common, by benchmark file."""

    def _add_all(self, items: Iterable[Item]) -> set[int]:
        """Add all items. Return the indexes of the items that have a text long enough to search for."""
        kind_of: dict[tuple[bytes, ...], int] = {}
        long_enough: set[int] = set()
        for number, item in enumerate(items):
            self.sources.append(replace(item, texts=()))
            sizes, words = self._add(number, item)
            self._kinds.append(kind_of.setdefault(words, len(kind_of)))
            if max(sizes, default=0) >= self.shortest:
                long_enough.add(number)
            self.unfindable[item.benchmark] += number not in long_enough
        return long_enough

    def _add(self, number: int, item: Item) -> tuple[list[int], tuple[bytes, ...]]:
        """Add an item. Return the number of words in each of its texts, and each text's word ids as bytes."""
        ids = self._ids
        sizes, keys = [], []
        for name, text, is_variant in item.texts:
            words = unicode(text)
            if len(words) < SHORTEST:
                continue
            codes = array("q", [ids.setdefault(word, len(ids) + 1) for word in words])
            sizes.append(len(words))
            keys.append(codes.tobytes())
            if not is_variant:
                self._same.setdefault(keys[-1], (text, []))[1].append(len(self._texts))
            self._texts.append(_ItemText(number, len(self._words), len(words), name))
            self._words += codes
            self._words.append(0)
        return sizes, tuple(keys)

    def _make_grams(self) -> Grams:
        """Return the items' n-grams of length `ngram`, and each shorter text as one n-gram."""
        import numpy as np

        words = np.frombuffer(self._words, np.int64)
        texts = [(text.item, text.begin, text.size) for text in self._texts]
        items, begins, sizes = np.array(texts, np.int64).reshape(-1, 3).T
        places = {
            length: begins[sizes == length]
            for length in range(min(LONG_ENOUGH, self.ngram), self.ngram)
        }
        owners = Owners(
            items=np.repeat(np.append(0, items), np.append(1, sizes + 1)),
            benchmarks=np.array(self._benchmarks, np.int64),
            kinds=np.array(self._kinds, np.int64),
            common=self.common,
        )
        places[self.ngram] = np.arange(len(words))
        return Grams(words, places, owners, longest=self.ngram)

    def _add_wholes(self) -> None:
        for text, numbers in self._same.values():
            rare = self._rare(numbers)
            if not rare:
                continue
            words = self._novelty.tokens(text)
            if len(words) >= LONG_ENOUGH:
                self._novelty.add(text)
                self._wholes.append(rare)
                self._longest = max(self._longest, len(words))
            else:
                self._short[tuple(words)] = rare

    def _rare(self, texts: list[int]) -> list[int]:
        """Return the index of one text per item, except for benchmarks in which the text's words are common.

        `texts` are the indexes of texts with the same words.
        """
        by_item = {self._texts[number].item: number for number in reversed(texts)}
        kinds = {(self._benchmarks[item], self._kinds[item]) for item in by_item}
        counts = Counter(benchmark for benchmark, _ in kinds)
        return [
            number
            for item, number in sorted(by_item.items())
            if counts[self._benchmarks[item]] <= self.common
        ]

    def check(self, records: Sequence[Sequence[FieldText]]) -> list[list[Hit]]:
        """Return each record's hits. Each record is passed as a sequence of its texts.

        Whole texts are compared by ROUGE-L only for records without an n-gram hit, because one hit is enough.
        Checking many records in one call is much faster than checking one record per call.
        """
        texts = [
            _Text(number, field, text, unicode(text))
            for number, record in enumerate(records)
            for field, text in record
        ]
        shared = self._shared(texts)
        with_runs = {texts[number].record for number in shared}
        others = (text for text in texts if text.record not in with_runs)
        results = self._results(text for text in others if self._may_be_like(text.words))
        hits: list[list[Hit]] = [[] for _ in records]
        for number, text in enumerate(texts):
            if text.record in with_runs:
                hits[text.record] += self._shared_runs(text, shared.get(number, ()))
            else:
                hits[text.record] += self._like_wholes(text, results.get(text.text))
        return hits

    def _shared(self, texts: Sequence[_Text]) -> dict[int, set[int]]:
        """Return the items that share an n-gram with each text, by the text's index in `texts`."""
        import numpy as np

        codes = array("q", [0])
        begins: list[int] = []
        for text in texts:
            begins.append(len(codes))
            codes.extend([self._ids.get(word, 0) for word in text.words])
            codes.append(0)
        shared: dict[int, set[int]] = defaultdict(set)
        for place, item in self._grams.find(np.frombuffer(codes, np.int64)):
            shared[bisect_right(begins, place) - 1].add(item)
        return shared

    def _may_be_like(self, words: Sequence[str]) -> bool:
        """Return whether a text with these words could have a ROUGE-L of at least the threshold to an item.

        This is a fast check that avoids most comparisons.
        """
        # In the best case, an item has all known words in the same order, and hardly any other words.
        common = min(sum(word in self._ids for word in words), self._longest)
        best = 2 * common / max(1, len(words) + max(common, LONG_ENOUGH))
        return self._longest > 0 and best >= self._novelty.threshold - _SLACK

    def _results(self, texts: Iterable[_Text]) -> dict[str, NoveltyResult]:
        """Return the novelty result for each text. Equal texts, such as system messages, are checked once."""
        each = list(dict.fromkeys(text.text for text in texts))
        return dict(zip(each, self._novelty.check_each(each), strict=True))

    def _shared_runs(self, text: _Text, items: Iterable[int]) -> Iterator[Hit]:
        codes = [self._ids.get(word, -1) for word in text.words]
        matcher = SequenceMatcher(None, (), codes, autojunk=False)
        for item in sorted(items):
            longest, begin, where = 0, 0, ""
            for number in self._texts_of[item]:
                _, start, size, name = self._texts[number]
                matcher.set_seq1(self._words[start : start + size])
                match = matcher.find_longest_match()
                if match.size > longest:
                    longest, begin, where = match.size, match.b, name
            run = " ".join(text.words[begin : begin + longest])
            yield Hit("ngram", text.field, self.sources[item], where, words=run)

    def _like_wholes(self, text: _Text, result: NoveltyResult | None) -> Iterator[Hit]:
        numbers, score = self._short.get(tuple(text.words), []), 1.0
        if not numbers and result is not None and result.position is not None:
            numbers, score = self._wholes[result.position], result.rouge_l or 0.0
        for number in numbers:
            item, _, _, name = self._texts[number]
            yield Hit("rouge_l", text.field, self.sources[item], name, score=score)
