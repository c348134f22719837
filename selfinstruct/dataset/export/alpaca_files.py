"""Anyone's Alpaca-style records, as rows.

    {"instruction": …, "input": …, "output": …}        the input may be missing or null
    {"instruction": …, "instances": [{"input": …, "output": …}, …]}        as seed tasks are written

What else a record has stays in the row. An input that says in words that there is none ("<noinput>", as the
published data have it) is "".
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from selfinstruct.dataset.export.rows import PUBLISHED, Row
from selfinstruct.dataset.record_files import Record
from selfinstruct.pipeline.parse.cleanup import says_no_input
from selfinstruct.text import scrub

_SHAPE = "an Alpaca-style record has an instruction, an output and perhaps an input, all text"


def rows_of(records: Iterable[Record]) -> Iterator[Row]:
    """The rows of records. Raises InputError, with the place, for a record that is no such thing."""
    for record in records:
        fields = record.fields
        instruction = _text(record, fields, "instruction")
        if not instruction.strip():
            raise record.fault("'instruction' is empty; fill it or take the record out")
        if "instances" not in fields:
            yield _row(record, fields, fields)
            continue
        instances = fields["instances"]
        if not isinstance(instances, list) or not all(isinstance(i, Mapping) for i in instances):
            raise record.fault(
                "'instances' is no list of objects with input and output; mend the record"
            )
        rest = {name: value for name, value in fields.items() if name != "instances"}
        for instance in instances:
            own = {name: instance[name] for name in instance if name not in PUBLISHED}
            yield _row(record, {**rest, **own}, instance)


def _row(record: Record, fields: Mapping[str, Any], holder: Mapping[str, Any]) -> Row:
    """The fields of a record with the input and output that `holder` has."""
    given = "" if holder.get("input") is None else _text(record, holder, "input")
    published = {
        "instruction": _text(record, fields, "instruction"),
        "input": "" if says_no_input(given) else given,
        "output": _text(record, holder, "output"),
    }
    # Where all three stand there already, they keep their places among the others.
    first = fields if fields.keys() >= {*PUBLISHED} else published
    return {**first, **fields, **published}


def _text(record: Record, holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if value is None:
        there = ", ".join(repr(str(key)[:40]) for key in islice(holder, 6)) or "nothing"
        raise record.fault(f"{name!r} is missing (there: {there}); {_SHAPE}")
    if not isinstance(value, str):
        raise record.fault(f"{name!r} is not text ({type(value).__name__}); {_SHAPE}")
    return scrub(value)  # half of a surrogate pair is no character, and no reader takes it
