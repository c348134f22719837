"""Turns Alpaca-style records into rows.

    {"instruction": …, "input": …, "output": …}        the input may be missing or null
    {"instruction": …, "instances": [{"input": …, "output": …}, …]}        like seed tasks

Other fields are kept in the row. Phrases that mean "no input", such as "<noinput>" in the published data,
become "".
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from selfinstruct.dataset.record_files import Record
from selfinstruct.dataset.rows import PUBLISHED, Row
from selfinstruct.display import scrub
from selfinstruct.pipeline.parse.shared import says_no_input

_SHAPE = "an Alpaca-style record has an instruction, an output and perhaps an input, all text"


def rows_of(records: Iterable[Record]) -> Iterator[Row]:
    """Yield the rows from all records. Raises InputError if a record is not Alpaca-style."""
    for record in records:
        fields = record.fields
        instruction = _text(record, fields, "instruction")
        if not instruction.strip():
            raise record.fault("'instruction' is empty; fill it or remove the record")
        if "instances" not in fields:
            yield _row(record, fields, fields)
            continue
        instances = fields["instances"]
        if not isinstance(instances, list) or not all(isinstance(i, Mapping) for i in instances):
            raise record.fault(
                "'instances' is not a list of objects with input and output; fix the record"
            )
        rest = {name: value for name, value in fields.items() if name != "instances"}
        for instance in instances:
            own = {name: instance[name] for name in instance if name not in PUBLISHED}
            yield _row(record, {**rest, **own}, instance)


def _row(record: Record, fields: Mapping[str, Any], instance: Mapping[str, Any]) -> Row:
    """Return a record's fields, with the input and output from `instance`."""
    text = "" if instance.get("input") is None else _text(record, instance, "input")
    published = {
        "instruction": _text(record, fields, "instruction"),
        "input": "" if says_no_input(text) else text,
        "output": _text(record, instance, "output"),
    }
    # If a record has all three fields, the order of its fields is kept.
    first = fields if fields.keys() >= {*PUBLISHED} else published
    return {**first, **fields, **published}


def _text(record: Record, instance: Mapping[str, Any], name: str) -> str:
    value = instance.get(name)
    if value is None:
        names = ", ".join(repr(str(key)[:40]) for key in islice(instance, 6)) or "nothing"
        raise record.fault(f"{name!r} is missing (fields: {names}); {_SHAPE}")
    if not isinstance(value, str):
        raise record.fault(f"{name!r} is not text ({type(value).__name__}); {_SHAPE}")
    return scrub(value)  # readers refuse halves of surrogate pairs
