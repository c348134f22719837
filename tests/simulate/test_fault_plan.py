"""Fault plans as data: what can be written, and what is said of what cannot."""

import contextlib
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import ROOT, examples
from typer.testing import CliRunner

from selfinstruct.cli import app
from selfinstruct.errors import InputError
from selfinstruct.simulate import FaultPlan, FaultPlanError, read_fault_plan
from selfinstruct.simulate.faults.plan import (
    ATTEMPT_FAULTS,
    Drip,
    Hang,
    NoChoices,
    Outage,
    RateLimits,
    RequestFault,
    RetryAfter,
    Status,
)
from selfinstruct.simulate.faults.plan_values import REQUEST_FAULTS

DOCUMENT = (ROOT / "docs/guides/simulated-endpoint.md").read_text(encoding="utf-8")
SECTION = DOCUMENT.split("## Fault plans")[1].split("\n## ")[0]


def plan(tmp_path: Path, text: str) -> Path:
    """A file with this text."""
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_is_read(tmp_path: Path) -> None:
    path = plan(
        tmp_path,
        "seed: 7\nat_most: 2\nmodels: false\n"
        "per_attempt:\n"
        "- {fault: status, share: 0.1, status: 429, retry_after: {milliseconds: 200}}\n"
        "- {fault: hang, share: 0.2}\n"
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
        ),
        per_request=(RequestFault(fault="length", share=1),),
        outages=(Outage(after=200, attempts=60, status=502),),
        rate_limits=RateLimits(requests_per_minute=600),
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "per_attempt: []"])
def test_a_plan_may_say_nothing(tmp_path: Path, text: str) -> None:
    assert read_fault_plan(plan(tmp_path, text)) == FaultPlan()


@pytest.mark.parametrize(
    ("written", "choices"),
    [("missing", "missing"), ("null", "null"), ("empty", "empty"), ("[]", "empty")],
)
def test_choices_may_be_written_as_they_will_be_sent(
    tmp_path: Path, written: str, choices: Any
) -> None:
    text = f"per_attempt: [{{fault: no_choices, share: 0.5, choices: {written}}}]"
    read = read_fault_plan(plan(tmp_path, text))
    assert read.per_attempt == (NoChoices(share=0.5, choices=choices),)


WRONG = {
    "- 3": "a fault plan must be a mapping with the keys seed, at_most, models, per_attempt,",
    "per_atempt: []": "a fault plan has no key 'per_atempt'; did you mean per_attempt?",
    "3: 4": "a fault plan has no key 3; there are only seed, at_most,",
    "seed: a": "seed must be a whole number of at most 18 digits, not 'a'",
    f"seed: 0x{'f' * 5000}": "seed must be a whole number of at most 18 digits, not so large a number",
    "at_most: -1": "at_most must be a whole number, 0 or more, not -1",
    "at_most: true": "at_most must be a whole number, 0 or more, not true",
    "models: 1": "models must be true or false, not 1",
    "seed: 1\nseed: 2": "plan.yaml:2: seed is given twice; leave one of them out",
    "per_attempt:": "per_attempt must be a list of entries, not null",
    "per_attempt: [hang]": "per_attempt, entry 1: must be a mapping with a fault and its share, not 'hang'",
    "per_attempt: [{share: 0.1}]": "per_attempt, entry 1: fault is missing; it must be one of status, hang,",
    "per_attempt: [{fault: hangs, share: 1}]": "there is no such fault as 'hangs'; did you mean hang?",
    "per_attempt: [{fault: [1], share: 1}]": "there is no such fault as a list; there are only status,",
    "per_attempt: [{fault: length, share: 1}]": "length is no fault here; move the entry to per_request",
    "per_request: [{fault: drop, share: 1}]": "drop is no fault here; move the entry to per_attempt",
    "per_request: [{fault: null, share: 1}]": "there is no such fault as null; there are only never, length,",
    "per_attempt: [{fault: drop, share: 0.1}, {fault: hang, shre: 0.1}]": (
        "per_attempt, entry 2 (hang): the fault hang has no key 'shre'; did you mean share?"
    ),
    "per_attempt: [{fault: drop}]": "(drop): share is missing; it must be a number from 0 to 1",
    "per_attempt: [{fault: drop, share: 1.5}]": "share must be a number from 0 to 1, not 1.5",
    "per_attempt: [{fault: drop, share: .nan}]": "share must be a number from 0 to 1, not nan",
    "per_attempt: [{fault: drop, share: 2026-11-22}]": "share must be a number from 0 to 1, not a date",
    "per_attempt: [{fault: drop, share: 0.6}, {fault: hang, share: 0.5}]": (
        "the shares in per_attempt add up to 1.1; make some of them smaller, so that they add up to 1"
    ),
    "per_request: [{fault: empty, share: 0.6}, {fault: never, share: 0.5}]": (
        "the shares in per_request add up to 1.1"
    ),
    "per_attempt: [{fault: status, share: 1}]": (
        "(status): status is missing; it must be an HTTP status from 400 to 599"
    ),
    "per_attempt: [{fault: status, share: 1, status: 200}]": "must be an HTTP status from 400 to 599",
    "per_attempt: [{fault: status, share: 1, status: 429, code: 7}]": "code must be text, not 7",
    "per_attempt: [{fault: status, share: 1, status: 429, message: {}}]": (
        "message must be text, not a mapping"
    ),
    "per_attempt: [{fault: status, share: 1, status: 500, then_close: 1}]": "then_close must be true",
    "per_attempt: [{fault: status, share: 1, status: 429, retry_after: 3}]": (
        "retry_after must be a mapping with the keys seconds, milliseconds, date, not 3"
    ),
    "per_attempt: [{fault: status, share: 1, status: 429, retry_after: {}}]": (
        "retry_after must have one of seconds, milliseconds and date"
    ),
    "per_attempt: [{fault: status, share: 1, status: 429, retry_after: {date: 1, seconds: 1}}]": (
        "retry_after must have one of seconds, milliseconds and date"
    ),
    "per_attempt: [{fault: status, share: 1, status: 429, retry_after: {second: 1}}]": (
        "retry_after has no key 'second'; did you mean seconds?"
    ),
    "per_attempt: [{fault: status, share: 1, status: 429, retry_after: {milliseconds: -1}}]": (
        "milliseconds must be a number of milliseconds from 0 to 86400000, not -1"
    ),
    "per_attempt: [{fault: drip, share: 1}]": "seconds is missing; it must be a number of seconds from 0",
    "per_attempt: [{fault: hang, share: 1, seconds: .inf}]": "from 0 to 86400, not inf",
    "per_attempt: [{fault: page, share: 1, format: pdf}]": "format must be html or plain, not 'pdf'",
    "per_attempt: [{fault: no_choices, share: 1, choices: 3}]": "must be missing, null or empty, not 3",
    "outages: [{attempts: 60}]": "outages, entry 1: after is missing; it must be a whole number, 0 or more",
    "outages: [{after: 1, attempts: 0}]": "attempts must be a whole number, 1 or more, not 0",
    "outages: [{after: 1, attempts: 1, refuse: politely}]": "refuse must be hang or drop",
    "outages: [{after: 1, attempts: 1, refuse: drop, status: 503}]": "status and refuse exclude each other",
    "per_attempt: [{fault: late, share: 1}]": "seconds is missing; it must be a number of seconds from 0",
    "rate_limits: 600": "rate_limits must be a mapping with the keys requests_per_minute, tokens_per_minute",
    "rate_limits: {}": "rate_limits must have requests_per_minute, tokens_per_minute, or both",
    "rate_limits: {requests_per_minute: 0}": (
        "requests_per_minute must be a whole number, 1 or more, not 0"
    ),
    "rate_limits: {tokens: 5}": "rate_limits has no key 'tokens'; ",
    "seed: [": "is not YAML",
    "seed: \x07": "is not YAML: special characters are not allowed",
    "seed: !!int ''": "is no YAML that can be understood",
    "[" * 2000: "is no YAML that can be understood",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_plan_is_refused_with_its_place_and_a_remedy(tmp_path: Path, text: str) -> None:
    path = plan(tmp_path, text)
    with pytest.raises(FaultPlanError) as caught:
        read_fault_plan(path)
    assert str(caught.value).startswith(str(path))
    assert WRONG[text] in str(caught.value)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xe9")
    for name, problem in {
        "none.yaml": "cannot be read (No such file or directory); give the path of a fault plan",
        ".": "cannot be read (Is a directory)",
        "latin.yaml": "is not UTF-8 text; save it as such",
    }.items():
        with pytest.raises(FaultPlanError, match=re.escape(problem)):
            read_fault_plan(tmp_path / name)


def test_a_plan_made_in_python_is_checked_too() -> None:
    made: list[Any] = [
        lambda: Hang(share=2),
        lambda: Status(share=0.1, status=200),
        lambda: Status(share=0.1, status=429, retry_after=3),  # type: ignore[arg-type]
        lambda: RequestFault(share=0.1, fault="lenght"),
        lambda: FaultPlan(per_attempt=[Hang(share=0.1)]),  # type: ignore[arg-type]
        lambda: FaultPlan(per_request=(Hang(share=0.1),)),  # type: ignore[arg-type]
        lambda: FaultPlan(rate_limits=600),  # type: ignore[arg-type]
        lambda: FaultPlan(per_attempt=(Hang(share=0.7), Drip(share=0.7, seconds=1))),
    ]
    for make in made:
        with pytest.raises(FaultPlanError):
            make()


NAMES = st.sampled_from(
    [
        *(
            spec.name
            for kind in (FaultPlan, Status, Outage, RateLimits, RetryAfter)
            for spec in fields(kind)
        ),
        *ATTEMPT_FAULTS,
        *REQUEST_FAULTS,
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
def test_any_text_is_a_plan_or_a_refusal(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(text)
    with contextlib.suppress(FaultPlanError):
        assert isinstance(read_fault_plan(path), FaultPlan)


def test_the_example_in_the_document_is_a_plan_with_every_fault(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    read = read_fault_plan(plan(tmp_path, text))
    assert {fault.name for fault in read.per_attempt} == set(ATTEMPT_FAULTS)
    assert {fault.fault for fault in read.per_request} == set(REQUEST_FAULTS)
    assert read.outages
    assert read.rate_limits is not None


def test_the_document_has_a_row_for_every_fault_with_all_its_keys() -> None:
    rows = {row.split("`")[1]: row for row in SECTION.splitlines() if row.startswith("| `")}
    assert set(rows) == {*ATTEMPT_FAULTS, *REQUEST_FAULTS}
    for name, kind in ATTEMPT_FAULTS.items():
        keys = rows[name].split(" | ")[1]
        assert set(re.findall(r"`(\w+)`", keys)) >= {spec.name for spec in fields(kind)} - {"share"}


def test_the_command_refuses_a_wrong_plan_as_wrong_input(tmp_path: Path) -> None:
    path = plan(tmp_path, "seed: 1\nseed: 2")
    outcome = CliRunner().invoke(app, ["simulate", "--faults", str(path)])
    assert isinstance(outcome.exception, InputError)
    assert str(outcome.exception) == f"{path}:2: seed is given twice; leave one of them out"


def test_a_log_that_cannot_be_written_is_not_blamed_on_the_port(tmp_path: Path) -> None:
    log = tmp_path / "nowhere" / "requests.jsonl"
    outcome = CliRunner().invoke(app, ["simulate", "--port", "0", "--log", str(log)])
    assert isinstance(outcome.exception, InputError)
    problem = "cannot be written (No such file or directory); check the name"
    assert str(outcome.exception) == f"{log}: {problem}"


@pytest.mark.parametrize("name", ["journal.jsonl", "config.yaml", "prompts/classify.txt", "link"])
def test_a_log_does_not_grow_in_a_file_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def serve(**_: object) -> None:
        raise AssertionError("it would have been written to")

    monkeypatch.setattr("selfinstruct.simulate.server.listening.serve", serve)
    (tmp_path / "link").symlink_to("journal.jsonl")
    (tmp_path / "journal.jsonl").touch()
    (tmp_path / "config.yaml").touch()
    outcome = CliRunner().invoke(app, ["simulate", "--port", "0", "--log", str(tmp_path / name)])
    assert isinstance(outcome.exception, InputError)
    assert str(outcome.exception) == (
        f"{tmp_path / name}: is a part of the run in {tmp_path} and is not written to; "
        "choose another name"
    )


def test_the_command_exits_with_2_and_one_line(tmp_path: Path) -> None:
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
