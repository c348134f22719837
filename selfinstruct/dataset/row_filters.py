"""Row filters. Each filter yields the rows to keep, in their original order, so filters can be chained.

kept = FilteredRows(rows, {"exceed 2 rows": partial(at_most_each, count=2)}, source="my-run")
written = [*kept]
kept.removed        # {"exceed 2 rows": 7}
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from selfinstruct.dataset.rows import Row
from selfinstruct.errors import InputError

RowFilter = Callable[[Iterable[Row]], Iterable[Row]]
"""Yields the rows to keep, in their original order."""


class FilteredRows:
    """A source's rows that pass all filters. They can be iterated over only once."""

    def __init__(
        self, rows: Iterable[Row], filters: Mapping[str, RowFilter], *, source: str
    ) -> None:
        """Apply the filters in the given order. Each name completes the sentence "rows that …".

        `source` is the source's name for error messages.
        """
        self.removed = dict.fromkeys(filters, 0)
        """Number of rows that each filter removed, by the filter's name."""
        for name, keep in filters.items():
            rows = self._counted(keep(self._counted(rows, name, 1)), name, -1)
        self._rows = rows
        self._source = source

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows. Raises InputError at the end if the filters removed all rows."""
        has_rows = False
        for row in self._rows:
            has_rows = True
            yield row
        removing = [name for name, count in self.removed.items() if count]
        if removing and not has_rows:
            problem = f"has only rows that {removing[-1]}, so nothing was written"
            raise InputError(self._source, problem)

    def _counted(self, rows: Iterable[Row], name: str, step: int) -> Iterator[Row]:
        for row in rows:
            self.removed[name] += step
            yield row


def first_instructions(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """Yield all rows whose instruction is one of the first `count` different instructions."""
    seen: set[str] = set()
    for row in rows:
        instruction = row["instruction"]
        if instruction not in seen:
            if len(seen) == count:
                continue  # later rows may belong to an earlier instruction
            seen.add(instruction)
        yield row


def at_most_each(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """Yield at most the first `count` rows with each instruction."""
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row["instruction"]] += 1
        if seen[row["instruction"]] <= count:
            yield row
