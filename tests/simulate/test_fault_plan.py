"""Valid fault plans are read, and each invalid plan gets a one-sentence error message."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import ROOT, examples
from typer.testing import CliRunner

from selfinstruct.cli import app
from selfinstruct.errors import InputError
from selfinstruct.simulate import FaultPlan, read_fault_plan
from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    Hang,
    NoChoices,
    Outage,
    RateLimits,
    RequestFault,
    RequestFaultName,
    RetryAfter,
    Status,
)

ATTEMPT_FAULTS = {
    name: kind
    for kind in get_args(AttemptFault)
    for name in get_args(kind.model_fields["fault"].annotation)
}
REQUEST_FAULTS = get_args(RequestFaultName)
PAGE = (ROOT / "docs/guides/simulated-endpoint.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Fault plans")[1].split("\n## ")[0]


def plan_file(tmp_path: Path, text: str) -> Path:
    """Write `text` to a plan file and return its path."""
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_is_read(tmp_path: Path) -> None:
    path = plan_file(
        tmp_path,
        "seed: 7\nat_most: 2\nmodels: false\n"
        "per_attempt:\n"
        "- {fault: status, share: 0.1, status: 429, retry_after: {milliseconds: 200}}\n"
        "- {fault: hang, share: 0.2}\n"
        "- {fault: no_choices, share: 0.1, choices: null}\n"
        "per_request:\n- {fault: length, share: 1}\n"
        "outages:\n- {after: 200, attempts: 60, status: 502}\n"
        "rate_limits: {requests_per_minute: 600}\n",
    )
    assert read_fault_plan(path) == FaultPlan(
        seed=7,
        at_most=2,
        models=False,
        per_attempt=(
            Status(share=0.1, status=429, retry_after=RetryAfter(milliseconds=200)),
            Hang(share=0.2),
            NoChoices(share=0.1, choices="null"),
        ),
        per_request=(RequestFault(fault="length", share=1),),
        outages=(Outage(after=200, attempts=60, status=502),),
        rate_limits=RateLimits(requests_per_minute=600),
    )


def test_a_plan_may_be_empty(tmp_path: Path) -> None:
    for text in ("", "# nothing yet\n", "{}", "per_attempt: []"):
        assert read_fault_plan(plan_file(tmp_path, text)) == FaultPlan()


RETRY = "per_attempt: [{fault: status, share: 1, status: 429, retry_after: %s}]"
WRONG = {
    "- 3": "a plan must be a mapping",
    "per_atempt: []": "there is no key 'per_atempt'; did you mean per_attempt?",
    "3: 4": "there is no key '3'; remove it",
    "seed: a": "seed must be a whole number",
    f"seed: 0x{'f' * 5000}": "seed must be less than 1000000000000000000",
    "at_most: true": "at_most must be a whole number",
    "models: 1": "models must be true or false",
    "seed: 1\nseed: 2": "plan.yaml:1: is not YAML: seed is given twice; keep one of the lines",
    "per_attempt:": "per_attempt must be a list",
    "per_attempt: [hang]": "per_attempt, entry 1: it must be a mapping",
    "per_attempt: [{share: 0.1}]": "per_attempt, entry 1: fault is missing; add it",
    "per_attempt: [{fault: hangs, share: 1}]": "there is no fault 'hangs'; use one of 'status', ",
    "per_attempt: [{fault: [1], share: 1}]": "there is no fault '[1]'; use one of 'status', ",
    "per_request: [{fault: hang, share: 1}]": "per_request, entry 1: fault must be 'never', ",
    "per_attempt: [{fault: drop, share: 0.1}, {fault: drop, share: 1.5}]": (
        "per_attempt, entry 2: share must be less than or equal to 1"
    ),
    "per_attempt: [{fault: hang, share: .nan}]": "share must be",
    "per_attempt: [{fault: hang, share: 0.1, second: 3}]": (
        "per_attempt, entry 1: there is no key 'second'; did you mean seconds?"
    ),
    "per_attempt: [{fault: hang, share: 1, seconds: .inf}]": "seconds must be less than or equal to",
    "per_attempt: [{fault: drip, share: 1}]": "seconds is missing; add it",
    "per_attempt: [{fault: hang, share: 0.6}, {fault: hang, share: 0.5}]": (
        "the shares in per_attempt add up to 1.1; reduce them to at most 1"
    ),
    "per_request: [{fault: empty, share: 0.6}, {fault: never, share: 0.5}]": (
        "the shares in per_request add up to 1.1; reduce them to at most 1"
    ),
    RETRY % "3": "retry_after must be a mapping",
    RETRY % "{}": "retry_after must have exactly one of seconds, milliseconds and date",
    RETRY % "{date: 1, seconds: 1}": "retry_after must have exactly one of seconds,",
    RETRY % "{milliseconds: -1}": "retry_after.milliseconds must be greater",
    "per_attempt: [{fault: page, share: 1, format: pdf}]": "format must be 'html' or 'plain'",
    "outages: [{attempts: 60}]": "outages, entry 1: after is missing; add it",
    "outages: [{after: 1, attempts: 1, refuse: drop, status: 503}]": (
        "outages, entry 1: cannot have both status and refuse; remove one of them"
    ),
    "rate_limits: {}": "rate_limits must have requests_per_minute, tokens_per_minute, or both",
    "seed: [": "is not YAML",
    "seed: !!int ''": "contains a number or a date that cannot be read (string index out of range)",
    "[" * 2000: "is nested too deeply; write fewer levels",
    "per_attempt: &a [*a]": "an alias (*) can only repeat a single value",
}


def test_a_wrong_plan_gets_one_sentence(tmp_path: Path) -> None:
    problems: list[tuple[str, object]] = []
    for text, sentence in WRONG.items():
        path = plan_file(tmp_path, text)
        try:
            problems.append((text, read_fault_plan(path)))
        except InputError as error:
            message = str(error)
            if not message.startswith(str(path)) or sentence not in message or "\n" in message:
                problems.append((text, message))
    assert problems == []


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xe9")
    for name, problem in {
        "none.yaml": "cannot be read (No such file or directory); check the name",
        ".": "cannot be read (Is a directory)",
        "latin.yaml": "is not UTF-8 text; save it as UTF-8",
    }.items():
        with pytest.raises(InputError, match=re.escape(problem)):
            read_fault_plan(tmp_path / name)


NAMES = st.sampled_from(
    [
        *(
            name
            for kind in (FaultPlan, Status, Outage, RateLimits, RetryAfter)
            for name in kind.model_fields
        ),
        *(*ATTEMPT_FAULTS, *REQUEST_FAULTS),
        *("fault", "<<", "!!int", "&a", "*a", "? "),
    ]
)
VALUES = st.recursive(
    st.one_of(NAMES, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
TEXTS = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.one_of(NAMES, st.sampled_from([*":-[]{},#|>'\"! \n", ": ", "- ", "\n  "]))).map(
        lambda parts: "".join(parts).encode()
    ),
    VALUES.map(lambda value: yaml.safe_dump(value).encode()),
)


@settings(
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(TEXTS)
@example(b"per_attempt: &a [*a]")
@example(b"&a {per_request: [*a]}")
@example(b"seed: !!timestamp x")
@example(b"seed: !!bool x")
@example(b"? [1, {2: 3}]\n: 4")
@example(b"per_attempt: [{fault: {}, share: 1}]")
@example(b"per_attempt: [{fault: no_choices, share: 1, choices: {}}]")
@example(b'"\\ud800": 1')
def test_any_file_is_read_or_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(text)
    with contextlib.suppress(InputError):
        assert isinstance(read_fault_plan(path), FaultPlan)


def test_the_example_has_every_fault(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    read = read_fault_plan(plan_file(tmp_path, text))
    assert {fault.fault for fault in read.per_attempt} == set(ATTEMPT_FAULTS)
    assert {fault.fault for fault in read.per_request} == set(REQUEST_FAULTS)
    assert read.outages
    assert read.rate_limits is not None


def test_the_page_documents_every_key() -> None:
    rows = {row.split("`")[1]: row for row in SECTION.splitlines() if row.startswith("| `")}
    assert set(rows) == {*ATTEMPT_FAULTS, *REQUEST_FAULTS}
    for name, kind in ATTEMPT_FAULTS.items():
        keys = set(re.findall(r"`(\w+)`", rows[name].split(" | ")[1]))
        assert keys >= set(kind.model_fields) - {"share", "fault"}


def test_the_command_refuses_a_wrong_plan(tmp_path: Path) -> None:
    path = plan_file(tmp_path, "seed: 1\nseed: 2")
    outcome = CliRunner().invoke(app, ["simulate", "--faults", str(path)])
    assert isinstance(outcome.exception, InputError)
    assert (
        str(outcome.exception)
        == f"{path}:1: is not YAML: seed is given twice; keep one of the lines"
    )


def test_an_unwritable_log_is_named(tmp_path: Path) -> None:
    log = tmp_path / "nowhere" / "requests.jsonl"
    outcome = CliRunner().invoke(app, ["simulate", "--port", "0", "--log", str(log)])
    assert isinstance(outcome.exception, InputError)
    problem = "cannot be written (No such file or directory); check the name"
    assert str(outcome.exception) == f"{log}: {problem}"


@pytest.mark.parametrize("name", ["journal.jsonl", "config.yaml", "prompts/classify.txt", "link"])
def test_a_log_cannot_be_a_run_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def serve(*_: object, **__: object) -> None:
        raise AssertionError("the server started")

    monkeypatch.setattr("selfinstruct.simulate.SimulatedEndpoint.serve", serve)
    (tmp_path / "link").symlink_to("journal.jsonl")
    (tmp_path / "journal.jsonl").touch()
    (tmp_path / "config.yaml").touch()
    outcome = CliRunner().invoke(app, ["simulate", "--port", "0", "--log", str(tmp_path / name)])
    assert isinstance(outcome.exception, InputError)
    problem = f"is a file of the run in {tmp_path}; choose another name"
    assert str(outcome.exception) == f"{tmp_path / name}: {problem}"


def test_the_command_exits_with_two(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "simulate", "--faults", "none.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("selfinstruct: none.yaml: cannot be read")
    assert done.stderr.count("\n") == 1
