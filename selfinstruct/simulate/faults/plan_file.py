"""Reading a fault plan from a YAML file, with one sentence about the first mistake in the file."""

import difflib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from selfinstruct.simulate.faults import plan
from selfinstruct.simulate.faults.plan import FaultPlan

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
"""Requirements by type of error, in place of the words of pydantic."""


class FaultPlanError(ValueError):
    """A plan that cannot be read. `problem` is the sentence without its place, `path` and `line`."""

    def __init__(self, problem: str, path: Path, line: int | None = None) -> None:
        self.problem = problem
        self.path = path
        self.line = line
        super().__init__(f"{path if line is None else f'{path}:{line}'}: {problem}")


def read_fault_plan(path: Path) -> FaultPlan:
    """Return the plan in the YAML file `path`. Raises FaultPlanError."""
    data = _load(path)
    try:
        return FaultPlan() if data is None else FaultPlan.model_validate(data)
    except ValidationError as error:
        # The message of pydantic would convert numbers of any length to text.
        first = error.errors(include_url=False)[0]
        raise FaultPlanError(_sentence(first), path) from None
    except RecursionError:
        raise FaultPlanError("contains itself; remove the alias", path) from None


def _load(path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses repeated keys. PyYAML would use the last value without a warning."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            seen = set()
            for key, _ in node.value:
                # A key that is a list or a mapping has no text.
                if isinstance(key.value, str) and key.value in seen:
                    problem = f"{key.value} occurs twice; remove one of them"
                    raise FaultPlanError(problem, path, key.start_mark.line + 1)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506 - a safe loader
    except FaultPlanError:
        raise
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); give the path of a fault plan"
        raise FaultPlanError(problem, path) from None
    except UnicodeDecodeError:
        raise FaultPlanError("is not UTF-8 text; save it as UTF-8", path) from None
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise FaultPlanError(f"is not valid YAML: {error.problem}; fix it", path, line) from None
    # PyYAML lets many exceptions of constructors escape: bad timestamps, huge numbers, deep nesting.
    except (
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        problem = "is not valid YAML; use only lists, mappings, text and numbers"
        raise FaultPlanError(problem, path) from None


def _sentence(error: ErrorDetails) -> str:
    """Return the sentence for an error of pydantic: the place, the problem and the remedy."""
    steps = list(error["loc"])
    place = ""
    if len(steps) > 1 and isinstance(steps[1], int):
        place = f"{steps[0]}, entry {steps[1] + 1}: "
        # In a fault per attempt, the name of the fault follows the number.
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
