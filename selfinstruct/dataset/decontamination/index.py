"""The items of all benchmarks as one index, which says of records what they share with them."""

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
"""A text of fewer words is never looked for: "Paris", "Yes, it is"."""

_SLACK = 1e-9
"""More than scores are off by rounding."""
_CHUNK = 200_000
"""Words of the benchmarks whose grams are made at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """An item without its texts."""

    benchmark: str
    place: str
    id: str | int | None


@dataclass(frozen=True, slots=True)
class Hit:
    """What a text of a record shares with an item."""

    kind: Literal["ngram", "rouge_l"]
    field: str
    """Where in the record."""
    source: Source
    text: str
    """Which text of the item: "question + choices"."""
    words: str | None = None
    """ngram: the longest run of words that both have."""
    score: float | None = None
    """rouge_l: how like the whole texts are."""


class _Same(NamedTuple):
    """Texts that have the same words."""

    text: str
    """The first of them."""
    numbers: list[int]


class BenchmarkIndex:
    """What records must not hold; built once from all items, then asked.

    Whether a record has a hit depends on no order, and one more benchmark never makes a record clean.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        ngram: int = NGRAM,
        threshold: float | None = THRESHOLD,
        common: int = COMMON,
    ) -> None:
        """An index of these items; those of a benchmark come one after another.

        A run of `ngram` words is a hit, unless it is in more than `common` items of the benchmark, of which
        those with the same words count once; so is a ROUGE-L over `threshold`, None for no such comparison.
        Raises ValueError.
        """
        if ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {ngram}")
        self.ngram = ngram
        self.common = common
        # Shorter texts are found only where a record has all of them, which is a ROUGE-L of 1.
        by_runs = max(SHORTEST, min(LONG_ENOUGH, ngram))
        self.shortest = SHORTEST if threshold is not None and threshold < 1.0 else by_runs
        """Words of the shortest text that is looked for."""
        self._ids: dict[str, int] = {}
        """Each word of the benchmarks, from 1 on; 0 is any other."""
        self._words = array("i", [0])
        self._texts: list[tuple[int, int, int, str]] = []
        """Of each text: its item, where its words begin, how many there are, what it is made of."""
        self.sources: list[Source] = []
        self.unfindable: Counter[str] = Counter()
        """By benchmark: its items that have no text of enough words to be looked for."""
        self.only_common: Counter[str] = Counter()
        """By benchmark: its other items of which all that could be looked for is common."""
        self._kinds: list[int] = []
        """Of each item a number, the same for items with the same words."""
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
        """By position in the novelty index: the texts that have these words."""
        self._longest = 0
        """Words of the longest of them."""
        self._short: dict[tuple[str, ...], list[int]] = {}
        """Texts too short to be evidence unless a record has all of them and nothing else."""
        if threshold is not None:
            self._novelty = NoveltyIndex(threshold=threshold, tokenizer="unicode")
            self._add_wholes(self._novelty, same.values())
        looked_for = {item for grams in self._grams for item in grams.items()}
        for numbers_of in (*self._wholes, *self._short.values()):
            looked_for.update(self._texts[number][0] for number in numbers_of)
        self.only_common.update(self.sources[i].benchmark for i in long_enough - looked_for)

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
        """The grams of each length: `ngram`, and whole texts of fewer words that are evidence."""
        import numpy as np

        words = np.frombuffer(self._words, np.int32)
        benchmarks = np.array(self._benchmarks, np.int32)
        kinds = np.array(self._kinds, np.int32)
        begins = np.array([begin for _, begin, _, _ in self._texts], np.int64)
        owners = np.array([item for item, *_ in self._texts], np.int32)
        sizes = np.array([size for _, _, size, _ in self._texts], np.int64)

        def made(length: int, starts: "NDArray[np.int64]", items: "NDArray[np.int32]") -> Grams:
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
                yield made(length, begins[is_whole], owners[is_whole])

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
            yield made(self.ngram, starts, of)

    def _add_wholes(self, novelty: NoveltyIndex, same: "Iterable[_Same]") -> None:
        if novelty.threshold >= 1.0:  # nothing is over it
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
        """Of texts with the same words: one an item, without those of benchmarks where they are common."""
        by_item = {self._texts[number][0]: number for number in reversed(texts)}
        kinds = {(self._benchmarks[item], self._kinds[item]) for item in by_item}
        counts = Counter(benchmark for benchmark, _ in kinds)
        return [
            number
            for item, number in sorted(by_item.items())
            if counts[self._benchmarks[item]] <= self.common
        ]

    def check(self, records: Sequence[Sequence[FieldText]]) -> list[list[Hit]]:
        """What the texts of each record share with the items.

        Whole texts are compared only where a record shares no run of words with any item, since that is
        enough. Many records at once are much faster than one after the other.
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
            found = grams.find(looked_up, rows)
            texts_hit = np.searchsorted(begins, found.places, "right") - 1
            for text, item in zip(texts_hit.tolist(), found.items.tolist(), strict=True):
                number, place = owners[text]
                shared[number].add((place, item))
        # At the end of each text stands a 0; so many of its words does some benchmark have.
        known_words = np.add.reduceat(looked_up != 0, begins).tolist() if begins else []
        verdicts = self._verdicts(
            records[number][place].text
            for (number, place), count in zip(owners, known_words, strict=True)
            if number not in shared and self._may_be_like(len(tokens[number][place]), count)
        )
        return [
            list(self._shared_runs(texts, tokens[number], shared[number]))
            if number in shared
            else list(self._like_wholes(texts, tokens[number], verdicts))
            for number, texts in enumerate(records)
        ]

    def _may_be_like(self, words: int, known: int) -> bool:
        """Whether a text of so many words, some of them known, can be like the whole text of any item."""
        if self._novelty is None or not self._longest:
            return False
        # At best all that is known stands in order in an item that has little else.
        common = min(known, self._longest)
        best = 2 * common / max(1, words + max(common, LONG_ENOUGH))
        return best >= self._novelty.threshold - _SLACK

    def _verdicts(self, texts: Iterable[str]) -> dict[str, NoveltyResult]:
        """Of each text once: many records of a chat begin with the same words of the system."""
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
        verdicts: Mapping[str, NoveltyResult],
    ) -> Iterator[Hit]:
        for (field, text), words in zip(texts, tokens, strict=True):
            numbers, score = self._short.get(tuple(words), []), 1.0
            verdict = verdicts.get(text)
            if not numbers and verdict is not None and verdict.position is not None:
                numbers, score = self._wholes[verdict.position], verdict.rouge_l or 0.0
            for number in numbers:
                item, _, _, name = self._texts[number]
                yield Hit("rouge_l", field, self.sources[item], name, score=score)
