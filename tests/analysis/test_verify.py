"""`verify` accepts every journal that a run wrote, and finds every manual change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import FaultyBackend, ScriptedBackend, alpaca_text, scripted_text

from selfinstruct.analysis.verify import Verification, verify
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import JournalCorruptError
from selfinstruct.journal_events import (
    Classified,
    Committed,
    CompletionReceived,
    Event,
    InstancesWritten,
    RunFinished,
    RunStarted,
)
from selfinstruct.records import Instance, Neighbour, Reason, Rejection, Request
from selfinstruct.runner import directory, manifest
from selfinstruct.runner.directory import read_history
from selfinstruct.runner.journal_line import Entry

Tamper = Callable[[list[Entry[Event]]], list[Entry[Event]]]


def checked(directory: Path, tamper: Tamper = lambda entries: entries) -> Verification:
    before, entries = read_history(directory)
    return verify(before, tamper(list(entries)))


@pytest.fixture
def finished(tmp_path: Path, config: RunConfig) -> Path:
    """Return a finished run that has some rejected candidates."""
    run(tmp_path / "run", replace(config, num_instructions=30), backend=ScriptedBackend())
    return tmp_path / "run"


# ── unchanged journals ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("profile", ["default", "paper"])
@pytest.mark.parametrize("recipe", ["self-instruct", "alpaca"])
@pytest.mark.parametrize("show_input", [False, True])
def test_a_run_has_no_problems(
    tmp_path: Path, seeds_file: Path, profile: str, recipe: str, show_input: bool
) -> None:
    config = RunConfig(
        model="scripted",
        num_instructions=25,
        seed_tasks=seeds_file,
        profile=profile,
        recipe=recipe,
        show_input=show_input,
        generated_demonstrations=1,
    )
    backend = ScriptedBackend(scripted_text if recipe == "self-instruct" else alpaca_text)
    summary = run(tmp_path / "run", config, backend=backend)
    verification = checked(tmp_path / "run")
    assert verification.problems == []
    assert verification.holds
    assert verification.not_decided == ""
    assert verification.prompts == len(backend.asked)
    assert verification.replies == summary.commits
    assert verification.accepted == summary.accepted
    assert verification.accepted + verification.rejected == summary.candidates
    assert verification.witnesses == summary.rejected[Reason.NOT_NOVEL] > 0
    if recipe == "self-instruct":
        assert verification.answers >= summary.accepted
        assert verification.tasks == summary.accepted
        assert verification.kept == summary.rows


def test_refusals_and_larger_targets_have_no_problems(tmp_path: Path, config: RunConfig) -> None:
    for target in (3, 12, 30):
        settings = replace(config, num_instructions=target, max_concurrency=7)
        run(tmp_path / "run", settings, backend=FaultyBackend())
        verification = checked(tmp_path / "run")
        assert verification.problems == []
    assert verification.answers > verification.tasks  # some tasks were asked about twice


def test_any_prefix_of_a_journal_has_no_problems(finished: Path) -> None:
    before, entries = read_history(finished)
    whole = list(entries)
    for length in range(0, len(whole), 7):
        assert verify(before, whole[:length]).problems == []


def test_verify_leaves_the_run_unchanged(finished: Path) -> None:
    before, entries = read_history(finished)
    verify(before, entries)
    assert before.state.commits == 0


# ── changed journals ─────────────────────────────────────────────────────────────────────────────────────


def changed(
    kind: type, change: Callable[[Any], Any], *, of: Callable[[Any], bool] = lambda _: True
) -> Tamper:
    """Return a function that changes the first event of a kind for which `of` returns true."""

    def tamper(entries: list[Entry[Event]]) -> list[Entry[Event]]:
        for place, entry in enumerate(entries):
            if isinstance(entry.event, kind) and of(entry.event):
                entries[place] = replace(entry, event=change(entry.event))
                return entries
        raise AssertionError("there is nothing to change")

    return tamper


def in_rejection(change: Callable[[Any], Any], *, reason: Reason = Reason.NOT_NOVEL) -> Tamper:
    """Return a function that changes the first rejection with this reason."""

    def tampered(event: Committed) -> Committed:
        rejected = list(event.rejected)
        place = next(n for n, r in enumerate(rejected) if r.reason is reason)
        rejected[place] = change(rejected[place])
        return replace(event, rejected=tuple(rejected))

    return changed(Committed, tampered, of=lambda e: any(r.reason is reason for r in e.rejected))


def with_other_witness(task_id: str) -> Tamper:
    return in_rejection(
        lambda r: replace(r, nearest=Neighbour(task_id=task_id, rouge_l=r.nearest.rouge_l))
    )


def swapped(kind: type) -> Tamper:
    """Return a function that swaps the first two events of a kind. Line numbers do not change."""

    def tamper(entries: list[Entry[Event]]) -> list[Entry[Event]]:
        one, other = [n for n, e in enumerate(entries) if isinstance(e.event, kind)][:2]
        first, second = entries[one].event, entries[other].event
        entries[one] = replace(entries[one], event=second)
        entries[other] = replace(entries[other], event=first)
        return entries

    return tamper


def before_its_reply(entries: list[Entry[Event]]) -> list[Entry[Event]]:
    """Swap the first instance decision with the reply it is based on."""
    events = [entry.event for entry in entries]
    written = next(n for n, e in enumerate(events) if isinstance(e, InstancesWritten))
    task_id = getattr(events[written], "task_id", "")
    received = next(
        n for n, e in enumerate(events) if getattr(e, "request_id", "") == f"instances/{task_id}"
    )
    events[written], events[received] = events[received], events[written]
    return [replace(entry, event=event) for entry, event in zip(entries, events, strict=True)]


def without(kind: type) -> Tamper:
    """Return a function that removes the first event of a kind and renumbers later lines."""

    def tamper(entries: list[Entry[Event]]) -> list[Entry[Event]]:
        place = next(n for n, e in enumerate(entries) if isinstance(e.event, kind))
        kept = entries[:place] + entries[place + 1 :]
        return [replace(entry, seq=seq) for seq, entry in enumerate(kept, start=1)]

    return tamper


def twice(kind: type) -> Tamper:
    def tamper(entries: list[Entry[Event]]) -> list[Entry[Event]]:
        place = next(n for n, e in enumerate(entries) if isinstance(e.event, kind))
        doubled = [*entries, entries[place]]
        return [replace(entry, seq=seq) for seq, entry in enumerate(doubled, start=1)]

    return tamper


def with_text(text: str) -> Callable[[Committed], Committed]:
    def change(event: Committed) -> Committed:
        first, *others = event.accepted
        return replace(event, accepted=(replace(first, instruction=text), *others))

    return change


def unnovel(event: Committed) -> Committed:
    """Return a commit without its rejections."""
    return replace(event, rejected=())


def unusable(candidate_id: str) -> Rejection:
    return Rejection(candidate_id=candidate_id, stage="parse", reason=Reason.NO_OUTPUT)


CHANGES: dict[str, tuple[Tamper, str]] = {
    "an accepted text": (
        changed(Committed, with_text("Describe something else to me.")),
        "text in the journal",
    ),
    "a letter's case": (
        changed(Committed, lambda e: with_text(e.accepted[0].instruction.upper())(e)),
        "text in the journal",
    ),
    "a rejection's reason": (
        in_rejection(lambda r: replace(r, reason=Reason.TOO_SHORT, nearest=None, stage="filter")),
        "the journal says rejected: too_short; decided again, it is rejected: not_novel",
    ),
    "a rejection's stage": (
        in_rejection(lambda r: replace(r, stage="filter")),
        "rejected in filter, not in novelty",
    ),
    "a rejection's text": (in_rejection(lambda r: replace(r, text=r.text + " x")), "text"),
    "a rejection left out": (
        changed(Committed, unnovel, of=lambda e: bool(e.rejected and e.accepted)),
        "the journal does not",
    ),
    "an accepted task left out": (
        changed(Committed, lambda e: replace(e, accepted=e.accepted[1:])),
        "the journal does not",
    ),
    "a witness's score": (
        in_rejection(lambda r: replace(r, nearest=replace(r.nearest, rouge_l=0.98765))),
        "ROUGE-L of 0.98765;",
    ),
    "the last bit of a score": (
        in_rejection(
            lambda r: replace(r, nearest=replace(r.nearest, rouge_l=r.nearest.rouge_l - 2**-53))
        ),
        "it is",
    ),
    "a witness below the threshold": (with_other_witness("seed_task_0"), "is not over 0.7"),
    "a witness from later": (with_other_witness("task_000030"), "was not in the pool at that time"),
    "an unknown witness": (with_other_witness("task_9"), "was not in the pool at that time"),
    "no witness": (in_rejection(lambda r: replace(r, nearest=None)), "without a witness"),
    "an unnecessary witness": (
        in_rejection(
            lambda r: replace(r, nearest=Neighbour(task_id="seed_task_0", rouge_l=0.9)),
            reason=Reason.TOO_SHORT,
        ),
        "but this reason needs none",
    ),
    "two commits swapped": (swapped(Committed), "commit 2 cannot follow commit 0"),
    "instances before their reply": (before_its_reply, "no outcome to decide on"),
    "a commit left out": (without(Committed), "cannot follow"),
    "a reply left out": (without(CompletionReceived), "no outcome to decide on"),
    "a reply twice": (twice(CompletionReceived), "has an outcome already, in line "),
    "a task's number": (
        changed(
            Committed,
            lambda e: replace(
                e, accepted=(replace(e.accepted[0], task_id="task_000077"), *e.accepted[1:])
            ),
        ),
        "became task_000077, not task_000001",
    ),
    "a candidate's number": (
        changed(
            Committed,
            lambda e: replace(
                e,
                accepted=(
                    replace(e.accepted[0], candidate_id="generate/000001#9"),
                    *e.accepted[1:],
                ),
            ),
        ),
        "are not numbered",
    ),
    "a candidate of another reply": (
        changed(
            Committed,
            lambda e: replace(
                e,
                accepted=(
                    replace(e.accepted[0], candidate_id="generate/000002#1"),
                    *e.accepted[1:],
                ),
            ),
        ),
        "are not numbered",
    ),
    "the order of acceptance": (
        changed(
            Committed,
            lambda e: replace(e, accepted=e.accepted[::-1]),
            of=lambda e: len(e.accepted) > 1,
        ),
        "not accepted in the order",
    ),
    "an answer": (
        changed(
            Classified,
            lambda e: replace(e, answer="yes", is_classification=True),
            of=lambda e: e.answer == "no",
        ),
        "the journal says yes, a classification task; parsed again, it is no, not a classification task",
    ),
    "an instance dropped": (
        changed(InstancesWritten, lambda e: replace(e, instances=e.instances[1:])),
        "has 0 instances",
    ),
    "an instance's output": (
        changed(
            InstancesWritten,
            lambda e: replace(e, instances=(Instance(input="", output="?"), *e.instances[1:])),
        ),
        "output of instance 1",
    ),
    "an instance rejected out of nothing": (
        changed(
            InstancesWritten,
            lambda e: replace(e, rejected=(unusable(f"instances/{e.task_id}#7"),)),
        ),
        "are not numbered",
    ),
    "a reply's text": (
        changed(
            CompletionReceived,
            lambda e: replace(
                e, completion=replace(e.completion, text="9. Name a nice colour, please.")
            ),
        ),
        "",
    ),
    "what a prompt showed": (
        changed(
            CompletionReceived, lambda e: replace(e, demonstration_ids=e.demonstration_ids[::-1])
        ),
        "planned again, it shows",
    ),
    "a prompt's hash": (
        changed(CompletionReceived, lambda e: replace(e, prompt_sha256="0" * 64)),
        "is not the prompt that was sent",
    ),
    "a prompt's template": (
        changed(CompletionReceived, lambda e: replace(e, template="x")),
        "the journal says x",
    ),
    "a stage": (
        changed(
            CompletionReceived,
            lambda e: replace(e, stage="classify"),
            of=lambda e: e.stage == "instances",
        ),
        "journaled under classify",
    ),
    "a request of long ago": (
        changed(
            CompletionReceived,
            lambda e: replace(e, request_id="generate/000001"),
            of=lambda e: e.request_id == "generate/000007",
        ),
        "has an outcome already",
    ),
    "a request of the future": (
        changed(
            CompletionReceived,
            lambda e: replace(e, request_id="generate/000900"),
            of=lambda e: e.request_id == "generate/000002",
        ),
        "was sent before",
    ),
    "a request about nothing": (
        changed(
            CompletionReceived,
            lambda e: replace(e, request_id="classify/task_000999"),
            of=lambda e: e.stage == "classify",
        ),
        "a task that was not in the pool",
    ),
    "a request by another name": (
        changed(CompletionReceived, lambda e: replace(e, request_id="generate/1")),
        "is not the id of a request",
    ),
    "how it ended": (
        lambda entries: [
            *entries[:-2],
            replace(entries[-1], event=RunFinished(reason="complete"), seq=len(entries) - 1),
        ],
        "is marked complete but is not",
    ),
    "the number of a line": (
        lambda entries: [replace(entries[0], seq=2), *entries[1:]],
        "line 1 has the number 2",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found(finished: Path, name: str) -> None:
    tamper, why = CHANGES[name]
    verification = checked(finished, tamper)
    assert not verification.holds
    assert any(why in problem.why for problem in verification.problems), verification.problems


def test_any_correct_witness_is_accepted(tmp_path: Path, config: RunConfig) -> None:
    one = "alpha bravo charlie delta echo foxtrot golf hotel india juliet"
    other = "alpha bravo charlie delta echo foxtrot kilo lima mike november"
    both = "alpha bravo charlie delta echo foxtrot golf hotel kilo lima"

    def write(request: Request) -> str:
        if request.id != "generate/000001":
            return scripted_text(request)
        return f"9. {one}\n10. {other}\n11. {both}"

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    for witness in ("task_000001", "task_000002"):
        assert checked(tmp_path / "run", with_other_witness(witness)).holds


@pytest.mark.parametrize("kind", [CompletionReceived, Classified, InstancesWritten])
def test_independent_events_may_be_swapped(finished: Path, kind: type) -> None:
    assert checked(finished, swapped(kind)).holds


def test_a_commit_beyond_the_target_is_found(finished: Path) -> None:
    lowered = changed(
        RunStarted, lambda e: replace(e, settings={**e.settings, "num_instructions": 1})
    )
    problems = checked(finished, lowered).problems
    assert any("was decided after the run had reached its target of 1" in p.why for p in problems)


def test_problems_name_line_and_candidate(finished: Path) -> None:
    verification = checked(finished, CHANGES["a rejection's reason"][0])
    problem = verification.problems[0]
    entries = list(read_history(finished)[1])
    event = entries[problem.seq - 1].event
    assert isinstance(event, Committed)
    assert problem.what in {r.candidate_id for r in event.rejected if r.reason is Reason.NOT_NOVEL}


# ── other versions, damage ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("other", "answers", "witnesses"),
    [("rules", True, True), ("parsers", False, True), ("tokenizer", True, False)],
)
def test_other_versions_are_checked_as_far_as_possible(
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    other: str,
    answers: bool,
    witnesses: bool,
) -> None:
    monkeypatch.setitem(manifest.VERSIONS, other, 99)
    verification = checked(finished)
    assert verification.holds
    assert f"of the {other} (here it is 99)" in verification.not_decided
    assert verification.replies == 0
    assert verification.prompts > 30
    assert (verification.answers > 0) == answers
    assert (verification.witnesses > 0) == witnesses
    # Checks that do not depend on versions are still made.
    assert not checked(finished, CHANGES["a task's number"][0]).holds
    assert not checked(finished, CHANGES["two commits swapped"][0]).holds


def test_a_damaged_line_raises_the_usual_error(finished: Path) -> None:
    path = finished / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"?\n", *lines[5:]]))
    with pytest.raises(JournalCorruptError):
        checked(finished)


def test_nothing_is_written_and_no_lock_is_taken(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with directory.open_run(finished):
        assert checked(finished).holds
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert before.keys() == after.keys()
    changed_files = {path.name for path in before if before[path] != after[path]}
    assert changed_files <= {"run.lock"}  # open_run creates this file
