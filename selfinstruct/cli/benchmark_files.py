"""Benchmarks as files: read into an index that records are held against."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from selfinstruct.cli.progress_bar import Show
from selfinstruct.dataset.decontamination import (
    COMMON,
    NGRAM,
    THRESHOLD,
    BenchmarkIndex,
    Hit,
    Item,
    item_of,
)
from selfinstruct.dataset.record_files import RecordReader, read_records
from selfinstruct.errors import ConfigError, InputError

KINDS = ("ngram", "rouge_l")
_ITEM_WORDS = 4
"""No name of a column has as many."""


@dataclass(frozen=True)
class Rules:
    """What counts as a hit."""

    ngram: int = NGRAM
    threshold: float | None = THRESHOLD
    common: int = COMMON
    fields: Sequence[str] = ()
    """The fields of the benchmarks whose texts count; none for those that their layout says."""


@dataclass
class BenchmarkTally:
    """What became of a benchmark."""

    file: str
    layouts: list[str] = field(default_factory=list)
    items: int = 0
    unfindable: int = 0
    """Items without a text long enough to be looked for."""
    only_common: int = 0
    """Other items of which all that could be looked for is common."""
    items_hit: set[str] = field(default_factory=set)
    """By place."""
    records: Counter[str] = field(default_factory=Counter)
    """Records with a hit in it, by kind."""


class Benchmarks:
    """The items of the files that were named, and a count of what was hit."""

    def __init__(self, files: Sequence[str], rules: Rules, show: Show) -> None:
        """Read all of it. Raises ConfigError and InputError."""
        if rules.threshold is not None and not 0 <= rules.threshold <= 1:
            problem = f"must lie between 0 and 1, not {rules.threshold:g}"
            raise ConfigError("threshold", problem)
        self.tallies = {file: BenchmarkTally(file) for file in files}
        self.dropped: Counter[str] = Counter()
        """Records with a hit, by kind."""
        self.index = BenchmarkIndex(
            self._items(rules, show),
            ngram=rules.ngram,
            threshold=rules.threshold,
            common=rules.common,
        )
        for file, tally in self.tallies.items():
            tally.unfindable = self.index.unfindable[file]
            tally.only_common = self.index.only_common[file]
            if tally.unfindable + tally.only_common == tally.items:
                raise InputError(file, _nothing_in(tally, rules, self.index.shortest))

    def _items(self, rules: Rules, show: Show) -> Iterator[Item]:
        read = 0
        for file, tally in self.tallies.items():
            with read_records(file) as records:
                if records.format == "csv":
                    _check_header(records, rules)
                for record in records:
                    item, layout = item_of(
                        record.fields, benchmark=file, place=record.place, only=tuple(rules.fields)
                    )
                    if layout not in tally.layouts:
                        tally.layouts.append(layout)
                    tally.items += 1
                    read += 1
                    show(None, f"{read:,} items of benchmarks read")
                    yield item

    def count(self, hits: Sequence[Hit]) -> None:
        """Note the hits of a record; it is dropped if there is one."""
        if not hits:
            return
        self.dropped[hits[0].kind] += 1
        for file in {hit.source.benchmark for hit in hits}:
            self.tallies[file].records[hits[0].kind] += 1
        for hit in hits:
            self.tallies[hit.source.benchmark].items_hit.add(hit.source.place)

    def left_out(self) -> dict[str, int]:
        """Records with a hit, by benchmark."""
        return {file: tally.records.total() for file, tally in self.tallies.items()}

    def table(self, ngram: int) -> list[str]:
        """What was hit, for a person: a line a benchmark."""
        from selfinstruct.text import cells, visible

        names = [visible(file, keep="") for file in self.tallies]
        width = max(len("benchmark"), *map(cells, names))
        rows = [
            f"{'':{width}}      items  items hit   dropped  by {ngram} words  by ROUGE-L",
        ]
        for name, tally in zip(names, self.tallies.values(), strict=True):
            by_run, by_likeness = (tally.records[kind] for kind in KINDS)
            rows.append(
                f"{name}{' ' * (width - cells(name))}{tally.items:>11,}{len(tally.items_hit):>11,}"
                f"{by_run + by_likeness:>10,}{by_run:>{len(f'  by {ngram} words')},}{by_likeness:>12,}"
            )
        short = f"no text of {self.index.shortest} words or more"
        usual = f"only texts that more than {self.index.common:,} different items have (--common)"
        return rows + [
            f"{tally.file}: {count:,} of its items have {what}, and are not looked for"
            for tally in self.tallies.values()
            for count, what in ((tally.unfindable, short), (tally.only_common, usual))
            if count
        ]

    def as_json(self) -> list[dict[str, object]]:
        """The same for a program."""
        return [
            {
                "file": tally.file,
                "layouts": tally.layouts,
                "items": tally.items,
                "items_not_looked_for": tally.unfindable + tally.only_common,
                "items_hit": len(tally.items_hit),
                "records_dropped": sum(tally.records.values()),
                **{f"by_{kind}": tally.records[kind] for kind in KINDS},
            }
            for tally in self.tallies.values()
        ]


def _check_header(records: RecordReader, rules: Rules) -> None:
    """Raises InputError where the first line is an item, which would be lost as names of columns."""
    names: tuple[str, ...] = records.layout
    # The first may be empty: so does pandas write its index.
    is_item = any(len(name.split()) >= _ITEM_WORDS for name in names) or not all(names[1:])
    if is_item and not set(rules.fields) & {*names}:
        problem = (
            "looks like an item, not a header; put a line of column names before it, such as "
            "question,A,B,C,D,answer"
        )
        raise InputError(records.name, problem, line=1)


def _nothing_in(tally: BenchmarkTally, rules: Rules, shortest: int) -> str:
    if not tally.items:
        return "holds no item, so nothing can be held against it; name another file"
    if tally.only_common:
        return f"has only texts that more than {rules.common} of its items have; raise --common"
    if rules.fields:
        named = " or ".join(rules.fields)
        return f"has no text of {shortest} words or more in {named}; check --against-field"
    return f"has no text of {shortest} words or more, so none of its items can be told; name another file"


def as_fields(hit: Hit) -> dict[str, object]:
    """A hit for a file."""
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
