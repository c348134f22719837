"""An index of all benchmark items, which finds shared texts in records."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal, NamedTuple

from selfinstruct.dataset.decontamination.benchmark_items import LONG_ENOUGH, Item
from selfinstruct.dataset.decontamination.field_texts import FieldText
from selfinstruct.dataset.decontamination.ngrams import Grams, distinct, known_from
from selfinstruct.pipeline.novelty import NoveltyIndex, NoveltyResult
from selfinstruct.pipeline.tokenizers import unicode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NGRAM = 13
THRESHOLD = 0.7
COMMON = 10
SHORTEST = 4
"""Shorter texts are never searched for: "Paris", "Yes, it is"."""

_SLACK = 1e-9
"""More than the rounding error of a score."""
_CHUNK = 200_000
"""Number of benchmark words whose n-grams are built together, to save memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """An item without its texts."""

    benchmark: str
    place: str
    id: str | int | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A text of a record that is too similar to an item."""

    kind: Literal["ngram", "rouge_l"]
    field: str
    """The field of the record."""
    source: Source
    text: str
    """The text of the item: "question + choices"."""
    words: str | None = None
    """For ngram: the longest run of shared words."""
    score: float | None = None
    """For rouge_l: the ROUGE-L of the whole texts."""


class _Same(NamedTuple):
    """Item texts with the same words."""

    text: str
    """The first text."""
    numbers: list[int]


class BenchmarkIndex:
    """An index of benchmark items.

    Hits do not depend on the order of items or records. A further benchmark never makes a record clean.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        ngram: int = NGRAM,
        threshold: float | None = THRESHOLD,
        common: int = COMMON,
    ) -> None:
        """Build the index. All items of a benchmark must follow each other.

        `ngram` shared words in a row are a hit, unless more than `common` items of the benchmark have them;
        items with the same words count once there. A ROUGE-L over `threshold` is a hit as well; None turns
        this comparison off. Raises ValueError.
        """
        if ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {ngram}")
        self.ngram = ngram
        self.common = common
        # Shorter texts must be equal to a text of the record, which is a ROUGE-L of 1.
        by_runs = max(SHORTEST, min(LONG_ENOUGH, ngram))
        self.shortest = SHORTEST if threshold is not None and threshold < 1.0 else by_runs
        """The number of words of the shortest text that is searched for."""
        self._ids: dict[str, int] = {}
        """The number of each benchmark word, from 1; 0 is every other word."""
        self._words = array("i", [0])
        self._texts: list[tuple[int, int, int, str]] = []
        """For each text: item, position of the first word, number of words, name."""
        self.sources: list[Source] = []
        self.unfindable: Counter[str] = Counter()
        """Items without a text of enough words, by benchmark."""
        self.only_common: Counter[str] = Counter()
        """Other items with common texts only, by benchmark."""
        self._kinds: list[int] = []
        """A number for each item, equal for items with the same words."""
        self._kind_of: dict[tuple[bytes, ...], int] = {}
        long_enough: set[int] = set()
        same: dict[bytes, _Same] = {}
        for item in items:
            self._add(item, same, long_enough)
        self._kind_of.clear()
        self._texts_of: dict[int, list[int]] = defaultdict(list)
        for number, (item_number, *_) in enumerate(self._texts):
            self._texts_of[item_number].append(number)
        numbers: dict[str, int] = {}
        self._benchmarks = [numbers.setdefault(s.benchmark, len(numbers)) for s in self.sources]
        self._grams = list(self._make_grams())
        self._novelty: NoveltyIndex | None = None
        self._wholes: list[list[int]] = []
        """The texts with the same words, by position in the novelty index."""
        self._longest = 0
        """The number of words of the longest text in the novelty index."""
        self._short: dict[tuple[str, ...], list[int]] = {}
        """Short texts, which must be equal to a text of the record."""
        if threshold is not None:
            self._novelty = NoveltyIndex(threshold=threshold, tokenizer="unicode")
            self._add_wholes(self._novelty, same.values())
        searched = {item for grams in self._grams for item in grams.items()}
        for numbers_of in (*self._wholes, *self._short.values()):
            searched.update(self._texts[number][0] for number in numbers_of)
        self.only_common.update(self.sources[i].benchmark for i in long_enough - searched)

    def _add(self, item: Item, same: "dict[bytes, _Same]", long_enough: set[int]) -> None:
        number = len(self.sources)
        self.sources.append(Source(item.benchmark, item.place, item.id))
        ids = self._ids
        texts: list[bytes] = []
        for name, text, is_variant in item.texts:
            words = unicode(text)
            if len(words) < SHORTEST:
                continue
            if len(words) >= self.shortest:
                long_enough.add(number)
            codes = array("i", [ids.setdefault(word, len(ids) + 1) for word in words])
            texts.append(codes.tobytes())
            if not is_variant:
                alike = same.setdefault(texts[-1], _Same(text, []))
                alike.numbers.append(len(self._texts))
            self._texts.append((number, len(self._words), len(words), name))
            self._words += codes
            self._words.append(0)
        self._kinds.append(self._kind_of.setdefault(tuple(texts), len(self._kind_of)))
        self.unfindable[item.benchmark] += number not in long_enough

    def _make_grams(self) -> Iterator[Grams]:
        """Yield the n-grams of each length: `ngram`, and whole texts with fewer words."""
        import numpy as np

        words = np.frombuffer(self._words, np.int32)
        benchmarks = np.array(self._benchmarks, np.int32)
        kinds = np.array(self._kinds, np.int32)
        begins = np.array([begin for _, begin, _, _ in self._texts], np.int64)
        owners = np.array([item for item, *_ in self._texts], np.int32)
        sizes = np.array([size for _, _, size, _ in self._texts], np.int64)

        def grams_of(length: int, starts: "NDArray[np.int64]", items: "NDArray[np.int32]") -> Grams:
            return Grams(
                words,
                starts,
                items,
                length=length,
                benchmarks=benchmarks,
                kinds=kinds,
                common=self.common,
            )

        for length in range(min(LONG_ENOUGH, self.ngram), self.ngram):
            is_whole = sizes == length
            if is_whole.any():
                yield grams_of(length, begins[is_whole], owners[is_whole])

        parts = []
        first = 0
        while first < len(begins):
            after = int(np.searchsorted(begins, begins[first] + _CHUNK))
            end = begins[after] if after < len(begins) else len(words)
            known = known_from(words[begins[first] : end])
            starts = np.flatnonzero(known >= self.ngram) + begins[first]
            of = owners[np.searchsorted(begins, starts, "right") - 1]
            parts.append(distinct(words, starts, of, self.ngram))
            first = after
        if parts:
            starts, of = (np.concatenate(columns) for columns in zip(*parts, strict=True))
            yield grams_of(self.ngram, starts, of)

    def _add_wholes(self, novelty: NoveltyIndex, same: "Iterable[_Same]") -> None:
        if novelty.threshold >= 1.0:  # no ROUGE-L is over 1
            return
        for text, numbers in same:
            rare = self._rare(numbers)
            if not rare:
                continue
            words = novelty.tokens(text)
            if len(words) >= LONG_ENOUGH:
                novelty.add(text)
                self._wholes.append(rare)
                self._longest = max(self._longest, len(words))
            else:
                self._short[tuple(words)] = rare

    def _rare(self, texts: list[int]) -> list[int]:
        """Return one text per item, without the benchmarks that have the words too often."""
        by_item = {self._texts[number][0]: number for number in reversed(texts)}
        kinds = {(self._benchmarks[item], self._kinds[item]) for item in by_item}
        counts = Counter(benchmark for benchmark, _ in kinds)
        return [
            number
            for item, number in sorted(by_item.items())
            if counts[self._benchmarks[item]] <= self.common
        ]

    def check(self, records: Sequence[Sequence[FieldText]]) -> list[list[Hit]]:
        """Return the hits of each record, given its texts.

        Whole texts are compared only in records without shared words in a row, since one hit is enough. Many
        records in one call are much faster than one record per call.
        """
        import numpy as np

        known = self._ids.get
        codes = array("i", [0])
        begins: list[int] = []
        owners: list[tuple[int, int]] = []
        tokens: list[list[list[str]]] = []
        for number, texts in enumerate(records):
            tokens.append([unicode(text) for _, text in texts])
            for place, words in enumerate(tokens[-1]):
                begins.append(len(codes))
                owners.append((number, place))
                codes.extend([known(word, 0) for word in words])
                codes.append(0)
        looked_up = np.frombuffer(codes, np.int32)
        rows = known_from(looked_up)
        shared: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for grams in self._grams:
            matches = grams.find(looked_up, rows)
            texts_hit = np.searchsorted(begins, matches.places, "right") - 1
            for text, item in zip(texts_hit.tolist(), matches.items.tolist(), strict=True):
                number, place = owners[text]
                shared[number].add((place, item))
        # The number of words of each text that a benchmark has; every text ends in a 0.
        known_words = np.add.reduceat(looked_up != 0, begins).tolist() if begins else []
        results = self._results(
            records[number][place].text
            for (number, place), count in zip(owners, known_words, strict=True)
            if number not in shared and self._may_be_like(len(tokens[number][place]), count)
        )
        return [
            list(self._shared_runs(texts, tokens[number], shared[number]))
            if number in shared
            else list(self._like_wholes(texts, tokens[number], results))
            for number, texts in enumerate(records)
        ]

    def _may_be_like(self, words: int, known: int) -> bool:
        """Return whether a text with this number of words, some known, can be similar to an item."""
        if self._novelty is None or not self._longest:
            return False
        # In the best case, an item has all known words in order and few others.
        common = min(known, self._longest)
        best = 2 * common / max(1, words + max(common, LONG_ENOUGH))
        return best >= self._novelty.threshold - _SLACK

    def _results(self, texts: Iterable[str]) -> dict[str, NoveltyResult]:
        """Return the result for each different text; chats often repeat a system message."""
        if self._novelty is None:
            return {}
        each = list(dict.fromkeys(texts))
        return dict(zip(each, self._novelty.check_each(each), strict=True))

    def _shared_runs(
        self,
        texts: Sequence[FieldText],
        tokens: Sequence[Sequence[str]],
        shared: set[tuple[int, int]],
    ) -> Iterator[Hit]:
        matchers: dict[int, SequenceMatcher[int]] = {}
        for place, item in sorted(shared):
            words = tokens[place]
            if place not in matchers:
                codes = [self._ids.get(word, -1) for word in words]
                matchers[place] = SequenceMatcher(None, (), codes, autojunk=False)
            matcher = matchers[place]
            longest, begin, where = 0, 0, ""
            for number in self._texts_of[item]:
                _, start, size, name = self._texts[number]
                matcher.set_seq1(self._words[start : start + size])
                match = matcher.find_longest_match()
                if match.size > longest:
                    longest, begin, where = match.size, match.b, name
            run = " ".join(words[begin : begin + longest])
            yield Hit("ngram", texts[place].field, self.sources[item], where, words=run)

    def _like_wholes(
        self,
        texts: Sequence[FieldText],
        tokens: Sequence[Sequence[str]],
        results: Mapping[str, NoveltyResult],
    ) -> Iterator[Hit]:
        for (field, text), words in zip(texts, tokens, strict=True):
            numbers, score = self._short.get(tuple(words), []), 1.0
            result = results.get(text)
            if not numbers and result is not None and result.position is not None:
                numbers, score = self._wholes[result.position], result.rouge_l or 0.0
            for number in numbers:
                item, _, _, name = self._texts[number]
                yield Hit("rouge_l", field, self.sources[item], name, score=score)
