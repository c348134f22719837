"""Filters of rows: they compose in order, and each removed row is counted once."""

from collections.abc import Iterable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.dataset.row_filters import FilteredRows, at_most_each, first_instructions
from selfinstruct.dataset.rows import Row
from selfinstruct.errors import InputError

numbers = st.lists(st.integers(0, 4), min_size=1, max_size=20)


def rows_of(instructions: Iterable[int]) -> list[Row]:
    return [
        {"instruction": f"Do {n}.", "input": "", "output": str(place)}
        for place, n in enumerate(instructions)
    ]


@given(instructions=numbers, first=st.integers(1, 4), each=st.integers(1, 3))
def test_filters_compose_and_count(instructions: list[int], first: int, each: int) -> None:
    rows = rows_of(instructions)
    begun = [*first_instructions(rows, first)]
    wanted = [*at_most_each(begun, each)]
    filters = {
        "come late": partial(first_instructions, count=first),
        "repeat": partial(at_most_each, count=each),
    }
    filtered = FilteredRows(rows, filters, source="my-run")
    assert [*filtered] == wanted
    assert filtered.removed == {
        "come late": len(rows) - len(begun),
        "repeat": len(begun) - len(wanted),
    }


def test_filters_read_no_more_than_needed() -> None:
    read = 0

    def counted() -> Iterator[Row]:
        nonlocal read
        for row in rows_of(range(9)):
            read += 1
            yield row

    rows = iter(FilteredRows(counted(), {"repeat": partial(at_most_each, count=1)}, source="x"))
    assert (next(rows)["output"], next(rows)["output"], read) == ("0", "1", 2)


def test_the_last_filter_without_rows_is_named() -> None:
    filters = {
        "come late": partial(first_instructions, count=1),
        "repeat": partial(at_most_each, count=0),
        "see nothing": partial(at_most_each, count=1),
    }
    filtered = FilteredRows(rows_of([1, 2]), filters, source="my-run")
    with pytest.raises(InputError, match="my-run: has only rows that repeat, so nothing"):
        list(filtered)
    assert filtered.removed == {"come late": 1, "repeat": 1, "see nothing": 0}
