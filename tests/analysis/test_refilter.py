"""A refiltered run has the same replies, decisions by other filters, and a correct origin."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import (
    FaultyBackend,
    ScriptedBackend,
    alpaca_text,
    exported,
    make_completion,
    scripted_text,
    sealed_journal,
)

from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.refilter import DECIDING, Refiltered, Source, refilter
from selfinstruct.analysis.refilter.directory import read_source, refilter_run
from selfinstruct.analysis.verify import verify
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.errors import ConfigError, RunDirectoryError, RunLockedError
from selfinstruct.journal_events import (
    Committed,
    CompletionReceived,
    Outcome,
    RefilteredFrom,
    RequestFailed,
    SourceTask,
)
from selfinstruct.pipeline.parse.shared import folded
from selfinstruct.pipeline.state import RunState, apply, initial
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Completion, Reason, Request
from selfinstruct.runner.directory import open_run, read_history, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.journal_line import Entry


def everything(place: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(place)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in place.rglob("*")
        if path.is_file()
    }


def decided_again(directory: Path, **settings: Any) -> tuple[Source, Refiltered]:
    source, config, origin = read_source(directory, settings)
    return source, refilter(source, config, origin=origin, versions={"selfinstruct": "0"})


def exports(state: RunState) -> dict[str, bytes]:
    return {name: exported(state, name) for name in ("alpaca", "jsonl")}


@cache
def origin_of(directory: Path) -> RefilteredFrom:
    """Return the origin event for a run that no process is writing to."""
    return read_source(directory, {})[2]


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def problems(source: Source, refiltered: Refiltered, **settings: Any) -> Any:
    """Return the problems that `verify` finds in the refiltered run's journal."""
    before, _ = read_history(source.run.directory)
    before.config = before.config.changed(**settings)
    entries = (Entry(seq=n, at=NOON, event=e) for n, e in enumerate(refiltered.events, start=1))
    return verify(before, entries).problems


def replies(outcomes: Any) -> Counter[tuple[str, str]]:
    return Counter(
        (o.prompt_sha256, o.completion.text if isinstance(o, CompletionReceived) else o.problem)
        for o in outcomes
        if isinstance(o, CompletionReceived | RequestFailed)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run with similar candidates, failed requests and unclear answers."""
    directory = tmp_path_factory.mktemp("refilter") / "run"
    config = RunConfig(model="scripted", num_instructions=40, threshold=0.72)
    run(directory, config, backend=FaultyBackend())
    return directory


@pytest.fixture(scope="module")
def source(finished: Path) -> Source:
    return read_source(finished, {})[0]


def again(source: Source, **settings: Any) -> Refiltered:
    config = source.run.config.changed(**settings)
    return refilter(source, config, origin=origin_of(source.run.directory), versions={})


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("profile", ["default", "paper"])
@pytest.mark.parametrize("recipe", ["self-instruct", "alpaca"])
def test_the_same_settings_give_the_same_dataset(
    tmp_path: Path, seeds_file: Path, recipe: str, profile: str
) -> None:
    config = RunConfig(
        model="scripted",
        num_instructions=25,
        seed_tasks=seeds_file,
        recipe=recipe,
        profile=profile,
        generated_demonstrations=1,
    )
    write = scripted_text if recipe == "self-instruct" else alpaca_text
    run(tmp_path / "run", config, backend=FaultyBackend(write))
    source, refiltered = refilter_run(tmp_path / "run", tmp_path / "new", {})
    new = read_run(tmp_path / "new")
    assert exports(new.state) == exports(source.state)
    assert new.config == source.config
    assert (refiltered.comparison.only_before, refiltered.comparison.only_after) == ((), ())
    assert refiltered.comparison.both == source.state.accepted
    assert new.state.source_tasks == {}
    # The new run sent no requests, so it has no attempts without a reply.
    summaries = [summarize(new.state), summarize(source.state)]
    none = Consumption()
    then, now = (replace(s, spent=none, unheard=none) for s in summaries)
    assert then == now
    assert verify(*read_history(tmp_path / "new")).problems == []


def test_any_prefix_of_a_run_is_decided_alike(finished: Path) -> None:
    """Generation replies that an active or interrupted run has not decided on remain undecided."""
    origin = origin_of(finished)
    whole = list(read_history(finished)[1])
    for length in range(2, len(whole), 23):
        before, _ = read_history(finished)
        source = Source(before, iter(whole[:length]))
        new = refilter(source, before.config, origin=origin, versions={}).state
        old = source.run.state
        assert [task.id for task in new.pool] == [task.id for task in old.pool]
        assert new.commits == old.commits
        waiting = {o.stage for o in old.waiting.values()}
        if waiting <= {"generate"}:
            assert exports(new) == exports(old)
        assert {o.stage for o in new.waiting.values()} <= {"generate"}


@settings(max_examples=12)
@given(threshold=st.floats(0, 1), profile=st.sampled_from(["default", "paper"]))
def test_any_filters_keep_the_counts_consistent(
    source: Source, threshold: float, profile: str
) -> None:
    settings = {"threshold": threshold, "profile": profile, "tokenizer": "unicode"}
    refiltered = again(source, **settings)
    after = refiltered.comparison.after
    assert after.candidates == after.accepted + sum(after.rejected.values())
    assert after.commits == source.run.state.commits
    assert sum(s.candidates for s in after.by_pool_size) == after.candidates
    assert replies(refiltered.events) == replies(source.outcomes.values())
    assert after.prompt_tokens == refiltered.comparison.before.prompt_tokens
    comparison = refiltered.comparison
    assert comparison.both + len(comparison.only_before) == comparison.before.accepted
    assert comparison.both + len(comparison.only_after) == after.accepted
    assert problems(source, refiltered, **settings) == []
    config = source.run.config.changed(**settings)
    folded_again = initial(config, source.run.seed_tasks)
    for event in refiltered.events:
        apply(folded_again, event)
    assert exports(folded_again) == exports(refiltered.state)


@settings(max_examples=12)
@given(thresholds=st.tuples(st.floats(0.5, 1), st.floats(0.5, 1)).map(sorted))
def test_what_a_threshold_does_and_does_not_change(source: Source, thresholds: list[float]) -> None:
    """With a higher threshold, the first changed decision accepts a candidate; later ones may reject some.

    A higher threshold need not accept more candidates in total. Rejections for other reasons do not change.
    """

    def verdicts(threshold: float) -> dict[str, str]:
        commits = [e for e in again(source, threshold=threshold).events if isinstance(e, Committed)]
        told = {a.candidate_id: "accepted" for c in commits for a in c.accepted}
        told |= {r.candidate_id: str(r.reason) for c in commits for r in c.rejected}
        return dict(sorted(told.items()))

    low, high = map(verdicts, thresholds)
    assert low.keys() == high.keys()
    first = next((name for name in low if low[name] != high[name]), None)
    if first is not None:
        assert (low[first], high[first]) == ("not_novel", "accepted")
    novelty = {"accepted", Reason.NOT_NOVEL}
    assert all(low[name] == high[name] for name in low if {low[name], high[name]} - novelty)


def test_at_a_threshold_of_one_everything_is_novel(source: Source) -> None:
    assert Reason.NOT_NOVEL not in again(source, threshold=1.0).comparison.after.rejected


# ── replies follow their candidate ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("threshold", [0.6, 0.68, 0.9])
def test_kinds_and_instances_follow_the_candidate(source: Source, threshold: float) -> None:
    refiltered = again(source, threshold=threshold)
    theirs = {
        (t.instruction, t.provenance and t.provenance.request_id): t for t in source.run.state.pool
    }
    moved = 0
    for task in refiltered.state.pool.generated:
        assert task.provenance is not None
        old = theirs.get((task.instruction, task.provenance.request_id))
        moved += old is not None and old.id != task.id
        if old is None:
            assert (task.is_classification, task.instances) == (None, None)
        else:
            assert replace(task, id=old.id, provenance=old.provenance) == old
    assert moved
    never_asked = refiltered.comparison.after.never_asked
    assert never_asked == len(refiltered.comparison.only_after)
    assert (never_asked > 0) == (threshold > 0.72)


def test_demonstrations_keep_their_texts(
    source: Source,
) -> None:
    refiltered = again(source, threshold=0.6)
    old, new = source.run.state, refiltered.state
    named = Counter[str]()
    for event in refiltered.events:
        if not isinstance(event, CompletionReceived) or event.stage != "generate":
            continue
        before = source.outcomes[event.request_id]
        assert isinstance(before, CompletionReceived)
        for here, there in zip(event.demonstration_ids, before.demonstration_ids, strict=True):
            assert new.instruction(here) == old.pool.by_id(there).instruction
            assert (here in new.source_tasks) == here.startswith("source:")
            named[here.partition("_")[0]] += 1
    assert {"seed", "task", "source:task"} == named.keys()
    rows = [json.loads(line) for line in exported(new).splitlines()]
    shown = {name for row in rows for name in row["demonstration_ids"]}
    assert shown <= {task.id for task in new.pool} | new.source_tasks.keys()


def test_replies_about_missing_tasks_are_kept_unused(source: Source) -> None:
    refiltered = again(source, threshold=0.6)
    comparison = refiltered.comparison
    waiting = refiltered.state.waiting
    about = {name.split("/")[1] for name, o in waiting.items() if o.stage != "generate"}
    assert about == refiltered.state.source_tasks.keys()
    assert len(about) == len(comparison.only_before) > 0


def test_a_failed_request_is_not_a_kept_reply(source: Source) -> None:
    refiltered = again(source, threshold=0.4)
    waiting = refiltered.state.waiting.values()
    replied = [o.stage for o in waiting if isinstance(o, CompletionReceived)]
    assert len(replied) < len(waiting)
    assert refiltered.comparison.unused == sum(stage != "generate" for stage in replied)
    assert refiltered.comparison.undecided == replied.count("generate")


def test_a_source_task_is_explained_by_its_reply(tmp_path: Path, seeds_file: Path) -> None:
    """The source's profile parses an instruction that the new run has nowhere, not even in the raw reply."""

    def write(request: Request) -> str:
        return scripted_text(request).replace(". Describe the ", ". Describe **the** ")

    config = RunConfig(model="m", num_instructions=6, seed_tasks=seeds_file)
    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    refilter_run(tmp_path / "run", tmp_path / "new", {"profile": "paper"})
    history = History(*read_history(tmp_path / "new"))
    assert history.source_tasks
    for name, task in history.source_tasks.items():
        explanation = explain(history, name)
        assert (explanation.how, explanation.total) == ("id", 1)
        (told,) = explanation.found
        assert told.kind == "request"
        assert told.id == task.candidate_id.partition("#")[0]
        assert "no item in the reply has the text" in explanation.note


def test_alpaca_candidates_keep_their_instances(tmp_path: Path, seeds_file: Path) -> None:
    config = RunConfig(
        model="m", num_instructions=25, seed_tasks=seeds_file, recipe="alpaca", threshold=0.5,
        generated_demonstrations=1,
    )  # fmt: skip
    run(tmp_path / "run", config, backend=ScriptedBackend(alpaca_text))
    _, refiltered = refilter_run(tmp_path / "run", tmp_path / "new", {"threshold": 1.0})
    after = refiltered.comparison.after
    assert after.accepted > refiltered.comparison.before.accepted
    assert after.never_asked == 0
    assert after.rows == after.accepted


# ── which settings ───────────────────────────────────────────────────────────────────────────────────────


def test_fewer_instances_are_the_first_ones(tmp_path: Path) -> None:
    config = RunConfig(model="m", num_instructions=6)
    several = "".join(f"Example {n}\nInput: case {n}\nOutput: it is {n}\n" for n in range(1, 6))

    def write(request: Request) -> str:
        return several if request.stage == "instances" else scripted_text(request)

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    source, refiltered = decided_again(tmp_path / "run", max_instances=2)
    pairs = zip(source.run.state.pool.generated, refiltered.state.pool.generated, strict=True)
    for old, new in pairs:
        assert new.instances == (old.instances or ())[:2]
    assert refiltered.comparison.after.rows < refiltered.comparison.before.rows


def test_the_tokenizer_follows_the_profile_by_default(finished: Path) -> None:
    assert decided_again(finished, profile="paper")[1].settings["tokenizer"] == "rouge"
    assert (
        decided_again(finished, profile="paper", tokenizer="unicode")[1].settings["tokenizer"]
        == "unicode"
    )


class Undecided(ScriptedBackend):
    """A backend that answers classification requests with "Yes." or unclearly, and uses capitals."""

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        text = scripted_text(request)
        if request.stage == "classify":
            text = "Yes." if request.prompt.sha256[0] < "8" else "Sure, go on."
        elif request.stage == "generate":
            text = text.upper()
        else:  # two outputs; in a classification task, they would be two labels without an input
            text = "Example 1\nOutput: one way\nExample 2\nOutput: another way"
        return make_completion(text)


def test_default_parses_what_paper_asked(tmp_path: Path, seeds_file: Path) -> None:
    """An unclear answer remains unclear, and instances are parsed in the format that their prompt asked for.

    Tasks match even if upper and lower case differ.
    """
    config = RunConfig(
        model="m", num_instructions=12, seed_tasks=seeds_file, profile="paper", threshold=0.9
    )
    run(tmp_path / "run", config, backend=Undecided())
    source, refiltered = refilter_run(tmp_path / "run", tmp_path / "new", {"profile": "default"})
    old, new = source.state.pool.generated, refiltered.state.pool.generated
    # The published code parses "Yes." as "no".
    assert not any(task.is_classification for task in old)
    answers = {task.classification_answer for task in new if task.instances is not None}
    assert answers == {"yes", "unclear"}
    assert refiltered.comparison.both > 5
    kept = {folded(task.instruction): task.instances for task in old}
    for task in new:
        assert task.instruction.isupper()
        assert task.is_classification == (task.classification_answer == "yes")
        assert task.instances == kept[folded(task.instruction)]
    assert verify(*read_history(tmp_path / "new")).problems == []
    # The prompts showed the old texts, which no task in the new run has.
    shown = [name for t in new if t.provenance for name in t.provenance.demonstration_ids]
    assert any(name.startswith("source:") for name in shown)


def test_paper_uses_the_first_of_two_answers(tmp_path: Path, seeds_file: Path) -> None:
    config = RunConfig(model="m", num_instructions=8, seed_tasks=seeds_file)
    run(tmp_path / "run", config, backend=Undecided())
    refilter_run(tmp_path / "run", tmp_path / "new", {"profile": "paper"})
    state = read_run(tmp_path / "new").state
    second = [name for name in state.waiting if name.endswith("/again")]
    assert second
    (told,) = explain(History(*read_history(tmp_path / "new")), second[0]).found
    assert told.kind == "request"
    assert told.problem == "The reply is not used: an earlier answer about the same task was clear."
    assert not any(task.is_classification for task in state.pool.generated)


def test_only_deciding_settings_can_be_changed() -> None:
    assert set(DECIDING) == {"profile", "tokenizer", "threshold", "max_instances"}


# ── undecided replies ────────────────────────────────────────────────────────────────────────────────────


def test_replies_beyond_the_target_stay_undecided(tmp_path: Path) -> None:
    run(tmp_path / "run", RunConfig(model="m", num_instructions=40), backend=ScriptedBackend())
    lines = (tmp_path / "run/journal.jsonl").read_bytes().splitlines(keepends=True)
    # Simulate a process that was killed before it decided on three replies.
    first = next(n for n, line in enumerate(lines) if b'"number":5,' in line)
    # The prompts of requests 5 to 8 depend only on the first four commits.
    later = re.compile(rb'"request_id":"generate/00000[5-8]"')
    kept = [line for n, line in enumerate(lines) if n < first or later.search(line)]
    (tmp_path / "run/journal.jsonl").write_bytes(sealed_journal(kept))
    _, refiltered = refilter_run(tmp_path / "run", tmp_path / "new", {"threshold": 0.65})
    assert refiltered.comparison.undecided >= 3
    new = read_run(tmp_path / "new")
    assert new.state.commits == 4
    name = next(name for name in new.state.waiting if name.startswith("generate"))
    (told,) = explain(History(*read_history(tmp_path / "new")), name).found
    assert told.kind == "request"
    assert "because the source run had not decided on it" in told.problem


def test_the_target_does_not_stop_the_refilter(tmp_path: Path) -> None:
    config = RunConfig(model="m", num_instructions=9, threshold=0.65)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    source, refiltered = refilter_run(tmp_path / "run", tmp_path / "new", {"threshold": 1.0})
    sizes = refiltered.state.pool_sizes
    assert sizes[-2] - sizes[0] > 9  # the run reached its target before the last reply
    assert len(sizes) == len(source.state.pool_sizes)


# ── the directories ──────────────────────────────────────────────────────────────────────────────────────


def test_the_source_is_only_read_while_written(finished: Path, tmp_path: Path) -> None:
    before = everything(finished)
    refilter_run(finished, tmp_path / "new", {"threshold": 0.6})
    assert everything(finished) == before
    with open_run(finished):
        refilter_run(finished, tmp_path / "other", {"threshold": 0.6})
    whole = (finished / "journal.jsonl").read_bytes()
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", finished, copy])
    with (copy / "journal.jsonl").open("ab") as file:
        file.write(b'{"seq":9')  # a line that is still being written
    refilter_run(copy, tmp_path / "third", {"threshold": 0.6})
    origin = read_run(tmp_path / "third").state.source
    assert origin is not None
    assert origin.journal_sha256 == hashlib.sha256(whole).hexdigest()


def test_the_new_directory_names_its_source(finished: Path, tmp_path: Path) -> None:
    refilter_run(finished, tmp_path / "new", {"threshold": 0.6})
    origin = read_run(tmp_path / "new").state.source
    assert origin is not None
    assert origin.source == str(finished)
    assert f"fingerprint: {origin.fingerprint}" in (finished / "config.yaml").read_text()
    assert origin.settings["threshold"] == 0.72
    journal = finished / "journal.jsonl"
    line = f"head -n {origin.journal_lines} {journal} | sha256sum"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stdout.split()[0] == origin.journal_sha256


def test_it_is_not_continued_and_not_refiltered_itself(finished: Path, tmp_path: Path) -> None:
    refilter_run(finished, tmp_path / "new", {"threshold": 0.6})
    before = {name: data for name, (_, data) in everything(tmp_path / "new").items()}
    for given_again in ({}, {"num_instructions": 99}, {"threshold": 0.9}):
        with pytest.raises(
            RunDirectoryError, match=r"new: was refiltered from .*continue that run"
        ):
            run(tmp_path / "new", given_again, backend=ScriptedBackend())
    with pytest.raises(
        RunDirectoryError, match=f"new: is a refiltered run; refilter its source, {finished}"
    ):
        refilter_run(tmp_path / "new", tmp_path / "newer", {})
    assert {name: data for name, (_, data) in everything(tmp_path / "new").items()} == before
    assert not (tmp_path / "newer").exists()


@pytest.mark.parametrize("what", ["file", "foreign", "run", "lost run"])
def test_an_occupied_directory_is_left_unchanged(finished: Path, tmp_path: Path, what: str) -> None:
    new = tmp_path / "new"
    if what == "file":
        new.write_text("x")
    elif what == "foreign":
        new.mkdir()
        (new / "notes.txt").write_text("x")
    else:
        subprocess.run(["cp", "-r", finished, new])
        if what == "lost run":
            (new / "config.yaml").unlink()
    before = everything(tmp_path)
    with pytest.raises(RunDirectoryError, match="new: "):
        refilter_run(finished, new, {"threshold": 0.6})
    assert everything(tmp_path) == before


def test_what_cannot_be_refiltered_makes_no_directory(finished: Path, tmp_path: Path) -> None:
    with open_run(tmp_path / "empty", RunConfig(model="m")):
        pass
    with pytest.raises(RunDirectoryError, match="empty: has no decision to make again"):
        refilter_run(tmp_path / "empty", tmp_path / "new", {})
    with pytest.raises(ConfigError, match="threshold: must be between 0 and 1"):
        refilter_run(finished, tmp_path / "new", {"threshold": 7.0})
    assert not (tmp_path / "new").exists()


def test_two_at_once_do_not_mix(finished: Path, tmp_path: Path) -> None:
    from selfinstruct.runner.lock import locked

    (tmp_path / "new").mkdir()
    with locked(tmp_path / "new"), pytest.raises(RunLockedError):
        refilter_run(finished, tmp_path / "new", {})
    refilter_run(finished, tmp_path / "new", {})


def test_an_interrupted_refilter_can_be_repeated(finished: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    refilter_run(finished, new, {"threshold": 0.6})
    whole = (new / "journal.jsonl").read_bytes()
    expected = exports(read_run(new).state)
    (new / "config.yaml").unlink()
    for size in (len(whole), len(whole) // 2, len(whole) // 3 + 1, 10, 0):
        (new / "journal.jsonl").write_bytes(whole[:size])
        if size > 10:
            with pytest.raises(
                RunDirectoryError, match=r"new: was left incomplete when refiltering .*again"
            ):
                run(new, {"model": "m"}, backend=ScriptedBackend())
        with pytest.raises(RunDirectoryError, match="is not a run directory"):
            read_run(new)
        refilter_run(finished, new, {"threshold": 0.6})
        assert exports(read_run(new).state) == expected
        assert not (new / "journal.jsonl.torn").exists()
        (new / "config.yaml").unlink()


KILLED = """
import os, signal, sys
from pathlib import Path
from selfinstruct.runner import create_from_events
from selfinstruct.analysis.refilter import directory
create_from_events.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
directory.refilter_run(Path(sys.argv[1]), Path(sys.argv[2]), {"threshold": 0.6})
"""


def test_a_killed_refilter_leaves_no_run(finished: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = subprocess.run([sys.executable, "-c", KILLED, finished, new], env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert (new / "journal.jsonl").stat().st_size > 1000
    with pytest.raises(RunDirectoryError, match="is not a run directory"):
        read_run(new)
    refilter_run(finished, new, {"threshold": 0.6})
    assert verify(*read_history(new)).problems == []


def test_the_lines_are_numbered_as_in_any_journal(finished: Path, tmp_path: Path) -> None:
    refilter_run(finished, tmp_path / "new", {})
    entries = list(read_journal(tmp_path / "new/journal.jsonl"))
    assert [entry.event.kind for entry in entries[:2]] == ["refiltered_from", "run_started"]
    assert entries[-1].event.kind == "run_finished"
    outcomes = sum(isinstance(entry.event, Outcome) for entry in entries)
    assert outcomes == sum(read_run(finished).state.counts.requests.values())


def test_verify_notices_what_was_changed_by_hand(source: Source) -> None:
    refiltered = again(source, threshold=0.6)
    events = list(refiltered.events)

    def found(place: int, event: Any) -> str:
        changed = replace(refiltered, events=[*events[:place], event, *events[place + 1 :]])
        return " | ".join(problem.why for problem in problems(source, changed, threshold=0.6))

    replied = next(n for n, e in enumerate(events) if isinstance(e, CompletionReceived))
    reply = events[replied]
    assert isinstance(reply, CompletionReceived)
    shown = replace(reply, demonstration_ids=("source:task_999999",))
    assert "refers to source:task_999999, which is not in this run" in found(replied, shown)
    assert "only the first line can say which run the replies come from" in found(1, events[0])
    remembered = next(n for n, e in enumerate(events) if isinstance(e, SourceTask))
    there = events[remembered]
    assert isinstance(there, SourceTask)
    named = replace(there, task_id="task_000001")
    assert "is not the id of a source task" in found(remembered, named)
    assert "only a refiltered run has tasks of another run" in found(
        0,
        SourceTask(task_id="source:task_000001", candidate_id="generate/000001#1", instruction=""),
    )
    last = max(n for n, e in enumerate(events) if isinstance(e, Committed) and e.rejected)
    commit = events[last]
    assert isinstance(commit, Committed)
    assert "the reply contains it" in found(last, replace(commit, rejected=()))
