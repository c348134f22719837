"""Fault plans in files: YAML on one side, a `FaultPlan` on the other.

Knows how a plan is written, and says of one that cannot be where it is wrong, in which way, and what
to write instead::

    seed: 7                                           FaultPlan(
    per_attempt:                                          seed=7,
      - {fault: status, share: 0.1, status: 429}          per_attempt=(Status(share=0.1, status=429),),
    per_request:
      - {fault: length, share: 0.05}                      per_request=(RequestFault(…),),
                                                      )
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from selfinstruct.simulate.faults.plan import (
    ATTEMPT_FAULTS,
    AttemptFault,
    FaultPlan,
    NoChoices,
    Outage,
    RateLimits,
    RequestFault,
    RetryAfter,
)
from selfinstruct.simulate.faults.plan_values import REQUEST_FAULTS, FaultPlanError, shown, wanted

T = TypeVar("T")


def read_fault_plan(path: Path) -> FaultPlan:
    """The plan in the YAML file `path`; FaultPlanError for one that cannot be read or cannot be."""
    try:
        return _plan(_yaml(path))
    except FaultPlanError as error:
        raise FaultPlanError(error.problem, path=path, line=error.line) from None


def _yaml(path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is given twice, of which YAML would silently take the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            keys = [key for key, _ in node.value if isinstance(key.value, str)]
            for place, key in enumerate(keys):
                if any(key.value == other.value for other in keys[:place]):
                    problem = f"{key.value} is given twice; leave one of them out"
                    raise FaultPlanError(problem, line=key.start_mark.line + 1)
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506 - it is a safe one
    except FaultPlanError:
        raise
    except OSError as error:
        raise FaultPlanError(
            f"cannot be read ({error.strerror}); give the path of a fault plan"
        ) from None
    except UnicodeDecodeError:
        raise FaultPlanError("is not UTF-8 text; save it as such") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise FaultPlanError(
            f"is not YAML: {problem or 'it cannot be understood'}; mend it there",
            line=None if mark is None else mark.line + 1,
        ) from None
    except (
        # Of these PyYAML lets out whichever comes about: a tag whose value is not of that type, a
        # number with too many digits, a thousand brackets.
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        raise FaultPlanError(
            "is no YAML that can be understood; write only lists, mappings, text and numbers"
        ) from None


def _plan(data: object) -> FaultPlan:
    if data is None:
        return FaultPlan()
    given = _members(data, FaultPlan, "a fault plan")
    lists: dict[str, Callable[[object], object]] = {
        "per_attempt": _attempt_fault,
        "per_request": _request_fault,
        "outages": _outage,
    }
    for name, entry in lists.items():
        if name in given:
            given[name] = tuple(_entries(name, given[name], entry))
    if "rate_limits" in given:
        given["rate_limits"] = RateLimits(
            **_members(given["rate_limits"], RateLimits, "rate_limits")
        )
    return FaultPlan(**given)


def _entries(name: str, data: object, entry: Callable[[object], T]) -> Iterable[T]:
    if not isinstance(data, list):
        raise FaultPlanError(f"{name} must be a list of entries, not {shown(data)}")
    for number, member in enumerate(data, start=1):
        try:
            yield entry(member)
        except FaultPlanError as error:
            kind = member.get("fault") if isinstance(member, dict) else None
            named = f" ({kind})" if kind in (*ATTEMPT_FAULTS, *REQUEST_FAULTS) else ""
            place = f"{name}, entry {number}{named}"
            raise FaultPlanError(f"{place}: {error.problem}") from None


def _attempt_fault(data: object) -> AttemptFault:
    name = _fault_name(data, ATTEMPT_FAULTS, elsewhere=REQUEST_FAULTS, there="per_request")
    kind = ATTEMPT_FAULTS[name]
    given = _members(data, kind, f"the fault {name}", beside=("fault",))
    if "retry_after" in given:
        given["retry_after"] = RetryAfter(
            **_members(given["retry_after"], RetryAfter, "retry_after")
        )
    if kind is NoChoices and "choices" in given:
        # Whoever wants null there, or an empty list, may well write that.
        if given["choices"] is None:
            given["choices"] = "null"
        elif given["choices"] == []:
            given["choices"] = "empty"
    return kind(**given)


def _request_fault(data: object) -> RequestFault:
    _fault_name(data, REQUEST_FAULTS, elsewhere=ATTEMPT_FAULTS, there="per_attempt")
    return RequestFault(**_members(data, RequestFault, "a fault"))


def _outage(data: object) -> Outage:
    return Outage(**_members(data, Outage, "an outage"))


def _fault_name(data: object, known: Iterable[str], *, elsewhere: Iterable[str], there: str) -> str:
    """The name under `fault`, which must be one of the `known`; those `elsewhere` belong `there`."""
    known = list(known)
    if not isinstance(data, dict):
        raise FaultPlanError(f"must be a mapping with a fault and its share, not {shown(data)}")
    if "fault" not in data:
        raise FaultPlanError(f"fault is missing; it must be one of {', '.join(known)}")
    name = data["fault"]
    if isinstance(name, str) and name in known:
        return name
    if isinstance(name, str) and name in elsewhere:
        raise FaultPlanError(f"{name} is no fault here; move the entry to {there}")
    raise FaultPlanError(f"there is no such fault as {shown(name)}; {_nearest(name, known)}")


def _members(
    data: object, kind: type, what: str, *, beside: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The keys and values of `data` that make up a `kind`: all that it needs, and none that it has not."""
    specs = {spec.name: spec for spec in fields(kind)}
    known = [*beside, *specs]
    if not isinstance(data, dict):
        raise FaultPlanError(
            f"{what} must be a mapping with the keys {', '.join(known)}, not {shown(data)}"
        )
    for key in data:
        if key not in known:
            raise FaultPlanError(f"{what} has no key {shown(key)}; {_nearest(key, known)}")
    for name, spec in specs.items():
        if spec.default is MISSING and name not in data:
            raise FaultPlanError(f"{name} is missing; it must be {wanted(name)}")
    return {name: value for name, value in data.items() if name in specs}


def _nearest(name: object, known: list[str]) -> str:
    """What may have been meant by `name`."""
    near = difflib.get_close_matches(name[:60], known, n=1) if isinstance(name, str) else []
    return f"did you mean {near[0]}?" if near else f"there are only {', '.join(known)}"
