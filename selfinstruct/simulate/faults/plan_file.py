"""Reads a fault plan from a YAML file, and reports the first mistake in the file in one sentence."""

import difflib
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from selfinstruct.errors import InputError
from selfinstruct.files.yaml_text import read_yaml_input
from selfinstruct.simulate.faults import plan

_KEYS: Final = sorted(
    {
        field
        for kind in vars(plan).values()
        if isinstance(kind, type) and issubclass(kind, plan.Entry)
        for field in kind.model_fields
    }
)

_WORDS: Final = {
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
"""What a value must be, by pydantic error type. Replaces pydantic's own messages."""


def read_fault_plan(path: Path) -> plan.FaultPlan:
    """Return the fault plan in the YAML file `path`. Raises InputError if it is unreadable or invalid."""
    data = read_yaml_input(path)
    try:
        return plan.FaultPlan() if data is None else plan.FaultPlan.model_validate(data)
    except ValidationError as error:
        # `str(error)` would convert wrong numbers to text, however many digits they have.
        raise InputError(path, _sentence(error.errors(include_url=False)[0])) from None


def _sentence(error: ErrorDetails) -> str:
    """Return one sentence for a pydantic error: the place, the problem and the remedy."""
    steps = list(error["loc"])
    place = ""
    if len(steps) > 1 and isinstance(steps[1], int):
        place = f"{steps[0]}, entry {steps[1] + 1}: "
        # For per-attempt faults, the location also contains the fault's name after the entry's index.
        steps = steps[3 if steps[0] == "per_attempt" else 2 :]
    key = ".".join(str(step)[:60] for step in steps)
    match error["type"]:
        case "missing":
            return f"{place}{key} is missing; add it"
        case "extra_forbidden" | "invalid_key":
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            return f"{place}there is no key {key!r}; {hint}"
        case "union_tag_not_found":
            return f"{place}fault is missing; add it"
        case "union_tag_invalid":
            tag, known = error["ctx"]["tag"][:60], error["ctx"]["expected_tags"]
            return f"{place}there is no fault {tag!r}; use one of {known}"
        case "value_error":
            problem = error["msg"].removeprefix("Value error, ")
            return f"{place}{key} {problem}" if key else f"{place}{problem}"
    words = _WORDS.get(error["type"], error["msg"].removeprefix("Input should be "))
    return f"{place}{key or ('it' if place else 'a plan')} must be {words}"
