"""Reads benchmark files into an index, and counts the hits for each benchmark file."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from selfinstruct.dataset.callbacks import Progress
from selfinstruct.dataset.decontamination.field_texts import FieldText, texts_of
from selfinstruct.dataset.decontamination.index import (
    COMMON,
    NGRAM,
    THRESHOLD,
    BenchmarkIndex,
    Hit,
)
from selfinstruct.dataset.decontamination.item_texts import Item, item_of
from selfinstruct.dataset.record_files import RecordReader, read_records
from selfinstruct.dataset.rows import PUBLISHED, Row
from selfinstruct.errors import ConfigError, InputError

BATCH = 500
"""Number of records that are compared in one call. It affects only the speed."""
KINDS = ("ngram", "rouge_l")
_ITEM_WORDS = 4
"""Minimum number of words in a CSV header cell to be taken as an item's text instead of a column name."""

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """Rules that determine what counts as a hit; see `BenchmarkIndex`."""

    ngram: int = NGRAM
    threshold: float | None = THRESHOLD
    common: int = COMMON
    fields: Sequence[str] = ()
    """The benchmark fields to search for. If empty, the layout decides; see `benchmark_items`."""


@dataclass
class BenchmarkCounts:
    """Numbers of items and records for one benchmark file."""

    file: str
    layouts: list[str] = field(default_factory=list)
    items: int = 0
    unfindable: int = 0
    """Number of items without a text that is long enough to search for."""
    only_common: int = 0
    """Number of items that are not searched for because all their texts are common."""
    items_hit: set[str] = field(default_factory=set)
    """The places of the items that at least one record contains."""
    records: Counter[str] = field(default_factory=Counter)
    """Number of records that contain an item of this benchmark, by kind of hit."""


class Benchmarks:
    """The index of all benchmark files, and the counts for each file."""

    def __init__(self, files: Sequence[str], rules: Rules, progress: Progress) -> None:
        """Read all files. Raises ConfigError if a rule is invalid, InputError if a file cannot be used."""
        if rules.threshold is not None and not 0 <= rules.threshold <= 1:
            problem = f"must be between 0 and 1, not {rules.threshold:g}"
            raise ConfigError("threshold", problem)
        self.counts = {file: BenchmarkCounts(file) for file in files}
        self.dropped: Counter[str] = Counter()
        """Number of records with hits, by kind. All of a record's hits have the same kind."""
        self.index = BenchmarkIndex(
            self._items(rules, progress),
            ngram=rules.ngram,
            threshold=rules.threshold,
            common=rules.common,
        )
        for file, counts in self.counts.items():
            counts.unfindable = self.index.unfindable[file]
            counts.only_common = self.index.only_common[file]
            if counts.unfindable + counts.only_common == counts.items:
                raise InputError(file, _unusable(counts, rules, self.index.shortest))

    def _items(self, rules: Rules, progress: Progress) -> Iterator[Item]:
        read = 0
        for file, counts in self.counts.items():
            with read_records(file) as records:
                if records.format == "csv":
                    _check_header(records, rules)
                for record in records:
                    item, layout = item_of(
                        record.fields, benchmark=file, place=record.place, only=tuple(rules.fields)
                    )
                    if layout not in counts.layouts:
                        counts.layouts.append(layout)
                    counts.items += 1
                    read += 1
                    progress(None, f"{read:,} benchmark items read")
                    yield item

    def check(
        self, records: Iterable[T], texts: Callable[[T], Sequence[FieldText]]
    ) -> Iterator[tuple[T, list[Hit]]]:
        """Yield each record with its hits, and count the hits. `texts` returns a record's texts to search."""
        remaining = iter(records)
        while batch := [*islice(remaining, BATCH)]:
            hits_of = self.index.check([texts(record) for record in batch])
            for record, hits in zip(batch, hits_of, strict=True):
                if hits:
                    self._count(hits)
                yield record, hits

    def without_hits(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that have no hit. This is a `RowFilter`."""
        return (row for row, hits in self.check(rows, _published_texts) if not hits)

    def _count(self, hits: Sequence[Hit]) -> None:
        """Count a record that has these hits."""
        self.dropped[hits[0].kind] += 1
        for file in {hit.source.benchmark for hit in hits}:
            self.counts[file].records[hits[0].kind] += 1
        for hit in hits:
            self.counts[hit.source.benchmark].items_hit.add(hit.source.place)

    def records_hit(self) -> dict[str, int]:
        """Return the number of records with a hit, by benchmark file."""
        return {file: counts.records.total() for file, counts in self.counts.items()}

    def as_json(self) -> list[dict[str, object]]:
        """Return the counts for each file as JSON values."""
        return [
            {
                "file": counts.file,
                "layouts": counts.layouts,
                "items": counts.items,
                "items_not_looked_for": counts.unfindable + counts.only_common,
                "items_hit": len(counts.items_hit),
                "records_dropped": counts.records.total(),
                **{f"by_{kind}": counts.records[kind] for kind in KINDS},
            }
            for counts in self.counts.values()
        ]


def _published_texts(row: Row) -> list[FieldText]:
    return [*texts_of({name: row[name] for name in PUBLISHED})]


def _check_header(records: RecordReader, rules: Rules) -> None:
    """Raise InputError if a CSV file's first line, which is read as the header, looks like an item."""
    names: tuple[str, ...] = records.layout
    # pandas writes its index as a first column with an empty name.
    is_item = any(len(name.split()) >= _ITEM_WORDS for name in names) or not all(names[1:])
    if is_item and not set(rules.fields) & {*names}:
        problem = (
            "looks like an item, not a header; put a line of column names before it, such as "
            "question,A,B,C,D,answer"
        )
        raise InputError(records.name, problem, line=1)


def _unusable(counts: BenchmarkCounts, rules: Rules, shortest: int) -> str:
    if not counts.items:
        return "contains no items; choose another file"
    if counts.only_common:
        return (
            f"contains only texts that more than {rules.common} of its items share; raise --common"
        )
    if rules.fields:
        names = " or ".join(rules.fields)
        return f"has no text of {shortest} words or more in {names}; check --against-field"
    return f"has no text of {shortest} words or more to search for; choose another file"


def hit_fields(hit: Hit) -> dict[str, object]:
    """Return a hit as fields for a record or a report line."""
    return {
        "field": hit.field,
        "kind": hit.kind,
        "benchmark": hit.source.benchmark,
        "item": hit.source.place,
        "item_id": hit.source.id,
        "item_text": hit.text,
        "words": hit.words,
        "rouge_l": hit.score,
    }
