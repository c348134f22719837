r"""What a record says of a task. Knows the shapes in which others wrote theirs down; decides nothing.

    {"instruction": …, "raw_instances": "Example 1\nInput: …"}            instances
    {"instruction": …, "instances": [{"input": …, "output": …}]}          tasks, the seed tasks' schema
    {"instruction": …, "input": …, "output": …}                           rows, Alpaca-style
    {"instruction": …, "is_classification": " No"}                        kinds
    {"instruction": …, "most_similar": {…}, …}                            instructions

The first record of a file tells its form by the fields it has, whatever the name of the file; the others must
be of the same. Fields that are not named here are ignored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.dataset.record_files import Record
from selfinstruct.dataset.record_files.json_reading import kind_of
from selfinstruct.errors import InputError
from selfinstruct.events import Form
from selfinstruct.pipeline.parse.cleanup import says_no_input
from selfinstruct.records import Completion, Instance
from selfinstruct.text import scrub

_FIELD_OF: Mapping[Form, str] = {
    "instances": "raw_instances",
    "tasks": "instances",
    "rows": "output",
    "kinds": "is_classification",
    "instructions": "instruction",
}
"""The field that makes a record one of a form, in the order in which they are looked for."""

IN_ORDER: tuple[Form, ...] = ("instructions", "kinds", "instances", "tasks", "rows")
"""The order in which the old tools wrote them, and in which they are read: it is that of the tasks."""

_SHOWN = 8
"""Names of fields that an error lists."""
_TRUTH: Mapping[str, bool] = {"true": True, "false": False}
_LONGEST_MODEL = 200
"""Characters of the name of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a record says of the task that has this instruction."""

    instruction: str
    model: str | None = None
    """That wrote it."""
    is_classification: bool | None = None
    """Where it is said outright."""
    answer: Completion | None = None
    """A reply to whether it is a classification task."""
    raw: Completion | None = None
    """A reply that holds instances."""
    instances: tuple[Instance, ...] = ()
    """Finished ones; an output may still be empty."""
    mended: bool = False
    """Whether its text held what no text can, halves of surrogate pairs, in place of which U+FFFD stands."""


def form_of(record: Record) -> Form:
    """The form of a file that begins with this record. Raises InputError where it is none that is known."""
    for form, name in _FIELD_OF.items():
        if name in record.fields and "instruction" in record.fields:
            return form
    there = ", ".join(map(repr, list(record.fields)[:_SHOWN])) or "none"
    raise record.fault(
        f"has no field that tells what it is (there: {there}); an instruction stands in 'instruction', what "
        "goes with it in 'output', 'instances', 'raw_instances' or 'is_classification'"
    )


def told_by(record: Record, form: Form) -> Told:
    """What a record of a file of that form says. Raises InputError with its place where it is none."""
    for name in ("instruction", _FIELD_OF[form]):
        if name not in record.fields:
            raise record.fault(f"has no {name!r}, which the first record of the file has; mend it")
    if (other := form_of(record)) != form:  # what more it says would be lost
        raise record.fault(
            f"has {_FIELD_OF[other]!r}, which the first record of the file has not; put such records into a "
            "file of their own"
        )
    return _READERS[form](_Texts(record))


class _Texts:
    """The texts of a record, as UTF-8 can hold them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.fields = record.fields
        self.mended = False

    def of(self, name: str, fields: Mapping[str, Any] | None = None) -> str:
        """The text of a field; "" where it is null or missing."""
        value = (self.fields if fields is None else fields).get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            quotes = "; put it in quotes" if isinstance(value, int | float) else ""
            raise self.fault(f"{name!r} is {kind_of(value)}, not text{quotes}")
        text = scrub(value)
        self.mended = self.mended or text != value
        return text

    def fault(self, problem: str) -> InputError:
        return self.record.fault(problem)

    def told(self, **more: Any) -> Told:
        instruction = self.of("instruction")
        return Told(instruction=instruction, model=_model(self.fields), mended=self.mended, **more)


def _instruction(texts: _Texts) -> Told:
    return texts.told()


def _kind(texts: _Texts) -> Told:
    return texts.told(**_said_of_kind(texts))


def _raw(texts: _Texts) -> Told:
    reply = _reply(texts.of("raw_instances"), _finish_reason(texts.fields.get("instance_metadata")))
    return texts.told(raw=reply, **_kind_beside(texts))


def _row(texts: _Texts) -> Told:
    return texts.told(instances=(_instance(texts, texts.fields),), **_kind_beside(texts))


def _task(texts: _Texts) -> Told:
    listed, kind = texts.fields["instances"], texts.fields.get("is_classification")
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise texts.fault(
            "'instances' is not a list of objects with input and output; write [] for none"
        )
    if kind is not None and not isinstance(kind, bool):
        raise texts.fault("'is_classification' is neither true nor false")
    return texts.told(
        instances=tuple(_instance(texts, item) for item in listed), is_classification=kind
    )


_READERS: Mapping[Form, Callable[[_Texts], Told]] = {
    "instructions": _instruction,
    "kinds": _kind,
    "instances": _raw,
    "tasks": _task,
    "rows": _row,
}


def _said_of_kind(texts: _Texts) -> Mapping[str, Any]:
    """What is said about the kind: outright, which CSV writes as a word, or by a reply. Null says nothing."""
    value = texts.fields["is_classification"]
    if value is None or isinstance(value, bool):
        return {"is_classification": value}
    text = texts.of("is_classification")
    if (word := text.strip().casefold()) in _TRUTH:
        return {"is_classification": _TRUTH[word]}
    return {"answer": _reply(text, None)}


def _kind_beside(texts: _Texts) -> Mapping[str, Any]:
    """What a record that holds instances says about the kind; an empty cell of a table is no reply."""
    is_there = texts.fields.get("is_classification") not in (None, "")
    return _said_of_kind(texts) if is_there else {}


def _instance(texts: _Texts, fields: Mapping[str, Any]) -> Instance:
    given = texts.of("input", fields)
    is_none = not given.strip() or says_no_input(given)
    return Instance(input="" if is_none else given, output=texts.of("output", fields))


def _reply(text: str, finish_reason: str | None) -> Completion:
    return Completion(text=text, finish_reason=finish_reason, model="imported")


def _finish_reason(metadata: object) -> str | None:
    """Of a raw API response, as it was kept: {"response": {"choices": [{"finish_reason": …}]}}."""
    choices = _inner(_inner(metadata, "response"), "choices")
    reason = _inner(choices[0], "finish_reason") if isinstance(choices, list) and choices else None
    return scrub(reason) if isinstance(reason, str) else None


def _model(fields: Mapping[str, Any]) -> str | None:
    """The model that an API response names, or the record itself."""
    metadata = [
        fields.get(name) for name in ("metadata", "instruction_metadata", "instance_metadata")
    ]
    found = [_inner(_inner(kept, "response"), "model") for kept in metadata]
    names = [fields.get("model"), *found, *(_inner(kept, "model") for kept in metadata)]
    return next(
        (scrub(n) for n in names if isinstance(n, str) and 0 < len(n) <= _LONGEST_MODEL), None
    )


def _inner(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
