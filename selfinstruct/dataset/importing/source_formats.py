r"""Reads what a record states about a task, in the file formats of other tools.

    {"instruction": …, "raw_instances": "Example 1\nInput: …"}            instances
    {"instruction": …, "instances": [{"input": …, "output": …}]}          tasks, like seed tasks
    {"instruction": …, "input": …, "output": …}                           rows, Alpaca-style
    {"instruction": …, "is_classification": " No"}                        kinds
    {"instruction": …, "most_similar": {…}, …}                            instructions

The fields of the first record determine the file's form. All other records must have the same form.
Additional fields are ignored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.dataset.record_files import Record
from selfinstruct.dataset.record_files.json_reading import kind_of
from selfinstruct.display import scrub
from selfinstruct.journal_events import Form
from selfinstruct.pipeline.parse.shared import says_no_input
from selfinstruct.records import Completion, Instance

_FIELD_OF: Mapping[Form, str] = {
    "instances": "raw_instances",
    "tasks": "instances",
    "rows": "output",
    "kinds": "is_classification",
    "instructions": "instruction",
}
"""The field that identifies each form, in the order in which the forms are tried."""

IN_ORDER: tuple[Form, ...] = ("instructions", "kinds", "instances", "tasks", "rows")
"""The order in which the forms are read; the original tools write them in this order."""

_SHOWN = 8
"""Maximum number of field names in an error message."""
_LONGEST_MODEL = 200
"""Maximum length of a model name, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one record states about a task."""

    instruction: str
    model: str | None = None
    """The model that wrote the instruction."""
    is_classification: bool | None = None
    """True if the task is a classification task; None if the record has no boolean for it."""
    answer: Completion | None = None
    """A model's reply to the question whether the task is a classification task."""
    raw: Completion | None = None
    """A model's raw reply that contains instances."""
    instances: tuple[Instance, ...] = ()
    """Finished instances. Their outputs may be empty."""
    repaired: bool = False
    """True if lone surrogates were replaced with U+FFFD."""


Content = Mapping[str, Any]
"""Those fields of a Statement that describe the kind and the instances."""


def form_of(record: Record) -> Form:
    """Return the form of a file with this first record. Raises InputError if the form is unknown."""
    for form, name in _FIELD_OF.items():
        if name in record.fields and "instruction" in record.fields:
            return form
    names = ", ".join(map(repr, list(record.fields)[:_SHOWN])) or "none"
    raise record.fault(
        f"has an unknown form (fields: {names}); it needs 'instruction', and perhaps 'output', 'instances', "
        "'raw_instances' or 'is_classification'"
    )


def statement_of(record: Record, form: Form) -> Statement:
    """Return what `record` states. Raises InputError if the record has another form than `form`."""
    for name in ("instruction", _FIELD_OF[form]):
        if name not in record.fields:
            raise record.fault(f"has no {name!r}, unlike the file's first record; add it")
    if (other := form_of(record)) != form:  # Otherwise the additional field would be ignored.
        raise record.fault(
            f"has {_FIELD_OF[other]!r}, unlike the file's first record; put such records into another file"
        )
    texts = _Texts(record)
    content = _READERS[form](texts)
    instruction, model = texts.of("instruction"), _model(record.fields)
    return Statement(instruction=instruction, model=model, repaired=texts.repaired, **content)


class _Texts:
    """Reads a record's texts, and replaces lone surrogates in them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.repaired = False

    def of(self, name: str, fields: Mapping[str, Any] | None = None) -> str:
        """Return a field's text; "" if the field is null or missing. Raises InputError for another type."""
        value = (self.record.fields if fields is None else fields).get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            remedy = "put it in quotes" if isinstance(value, int | float) else "fix the record"
            raise self.record.fault(f"{name!r} is {kind_of(value)}, not text; {remedy}")
        text = scrub(value)
        self.repaired = self.repaired or text != value
        return text


def _raw(texts: _Texts) -> Content:
    reason = _finish_reason(texts.record.fields.get("instance_metadata"))
    return {"raw": _reply(texts.of("raw_instances"), reason), **_optional_kind(texts)}


def _row(texts: _Texts) -> Content:
    return {"instances": (_instance(texts, texts.record.fields),), **_optional_kind(texts)}


def _task(texts: _Texts) -> Content:
    listed, kind = texts.record.fields["instances"], texts.record.fields.get("is_classification")
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise texts.record.fault(
            "'instances' is not a list of objects with input and output; write [] for an empty list"
        )
    if kind is not None and not isinstance(kind, bool):
        raise texts.record.fault("'is_classification' is neither true nor false; fix the record")
    instances = tuple(_instance(texts, item) for item in listed)
    return {"instances": instances, "is_classification": kind}


def _kind(texts: _Texts) -> Content:
    """Return the kind as a boolean, or as a raw reply that must still be parsed.

    CSV files store booleans as words. A null field leaves the kind open.
    """
    value = texts.record.fields["is_classification"]
    if value is None or isinstance(value, bool):
        return {"is_classification": value}
    text = texts.of("is_classification")
    if (word := text.strip().casefold()) in ("true", "false"):
        return {"is_classification": word == "true"}
    return {"answer": _reply(text, None)}


def _optional_kind(texts: _Texts) -> Content:
    """Return the kind in a record with instances. A missing, null or empty field leaves the kind open."""
    is_given = texts.record.fields.get("is_classification") not in (None, "")
    return _kind(texts) if is_given else {}


_READERS: Mapping[Form, Callable[[_Texts], Content]] = {
    "instructions": lambda _: {},
    "kinds": _kind,
    "instances": _raw,
    "tasks": _task,
    "rows": _row,
}


def _instance(texts: _Texts, fields: Mapping[str, Any]) -> Instance:
    text = texts.of("input", fields)
    is_empty = not text.strip() or says_no_input(text)
    return Instance(input="" if is_empty else text, output=texts.of("output", fields))


def _reply(text: str, finish_reason: str | None) -> Completion:
    return Completion(text=text, finish_reason=finish_reason, model="imported")


def _finish_reason(metadata: object) -> str | None:
    """Return the finish reason from metadata such as {"response": {"choices": [{"finish_reason": …}]}}."""
    choices = _inner(_inner(metadata, "response"), "choices")
    reason = _inner(choices[0], "finish_reason") if isinstance(choices, list) and choices else None
    return scrub(reason) if isinstance(reason, str) else None


def _model(fields: Mapping[str, Any]) -> str | None:
    """Return the model name in the record or in its stored API responses; None if there is none."""
    metadata = [
        fields.get(name) for name in ("metadata", "instruction_metadata", "instance_metadata")
    ]
    responses = [_inner(_inner(entry, "response"), "model") for entry in metadata]
    names = [fields.get("model"), *responses, *(_inner(entry, "model") for entry in metadata)]
    return next(
        (scrub(n) for n in names if isinstance(n, str) and 0 < len(n) <= _LONGEST_MODEL), None
    )


def _inner(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
