"""The loop's laws: same replies, same dataset, whatever the timing, the crashes and the steps."""

import asyncio
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    ScriptedBackend,
    examples,
    exported,
    make_completion,
    make_seed_task,
    scripted_text,
)
from virtual_clock import run_at_once

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig, fingerprint
from selfinstruct.errors import (
    ConfigChangedError,
    ConfigError,
    EndpointError,
    InputError,
    JournalError,
    OtherVersionError,
    RequestRejectedError,
    RunDirectoryError,
    RunLockedError,
    StalledError,
)
from selfinstruct.events import (
    Classified,
    Committed,
    CompletionReceived,
    InstancesWritten,
    RequestFailed,
    RunFinished,
    RunStarted,
)
from selfinstruct.pipeline.filters import RULES_VERSION
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.pipeline.state import apply, initial
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Completion, Request, SeedTask
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.loop import grow, is_complete


def events(directory: Path) -> list[object]:
    return [entry.event for entry in read_journal(directory / "journal.jsonl")]


@pytest.fixture
def reference(tmp_path: Path, config: RunConfig) -> Path:
    """An undisturbed run."""
    run(tmp_path / "reference", config, backend=ScriptedBackend())
    return tmp_path / "reference"


def test_a_run_reaches_its_target_and_asks_about_every_task(reference: Path) -> None:
    opened = read_run(reference)
    assert is_complete(opened)
    assert opened.state.accepted >= 12
    assert all(task.instances for task in opened.state.pool.generated)


# ── determinism ──────────────────────────────────────────────────────────────────────────────────────────


def outage_policy(seed: int) -> ScriptedBackend:
    """A backend whose replies land in an order that depends on `seed`."""
    rng = Random(seed)

    async def pause(_: Request) -> None:
        for _turn in range(int(rng.random() * 20)):
            await asyncio.sleep(0)

    return ScriptedBackend(pause=pause)


@settings(
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), concurrency=st.sampled_from([1, 2, 3, 8, 64]))
def test_neither_latency_nor_concurrency_changes_the_dataset(
    tmp_path_factory: pytest.TempPathFactory,
    config: RunConfig,
    reference: Path,
    seed: int,
    concurrency: int,
) -> None:
    directory = tmp_path_factory.mktemp("run") / "run"
    run(directory, replace(config, max_concurrency=concurrency), backend=outage_policy(seed))
    assert exported(directory) == exported(reference)


@settings(
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(1, 11), max_size=4))
def test_raising_the_target_gives_what_asking_for_the_larger_number_gives(
    tmp_path_factory: pytest.TempPathFactory,
    config: RunConfig,
    reference: Path,
    seed: int,
    steps: list[int],
) -> None:
    directory = tmp_path_factory.mktemp("run") / "run"
    backend = outage_policy(seed)
    for target in [*sorted(steps), 12]:
        run(directory, replace(config, num_instructions=target), backend=backend)
    assert exported(directory) == exported(reference)
    # Replies that came in beyond the smaller target were kept and not asked for again.
    assert len(backend.asked) == len(set(backend.asked))


def test_another_seed_or_lag_gives_another_dataset(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    for name, other in (("seed", replace(config, seed=1)), ("lag", replace(config, lag_min=1))):
        run(tmp_path / name, other, backend=ScriptedBackend())
        assert exported(tmp_path / name) != exported(reference)


# ── resume ───────────────────────────────────────────────────────────────────────────────────────────────


class Crash(BaseException):
    """A process that ends without a word."""


def crashing(after: int) -> ScriptedBackend:
    """A backend that takes the process down with its request number `after`."""
    asked = 0

    async def pause(_: Request) -> None:
        nonlocal asked
        asked += 1
        if asked > after:
            raise Crash

    return ScriptedBackend(pause=pause)


def test_a_run_goes_on_after_a_crash_at_any_request(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    total = summarize(read_run(reference).state).requests
    for after in range(sum(total.values())):
        directory = tmp_path / f"crash-{after}"
        with pytest.raises(Crash):
            run(directory, replace(config, max_concurrency=3), backend=crashing(after))
        journaled = {e.request_id for e in events(directory) if isinstance(e, CompletionReceived)}
        backend = ScriptedBackend()
        run(directory, backend=backend)
        assert exported(directory) == exported(reference)
        assert not journaled & set(backend.asked)


def test_a_journal_cut_at_any_byte_gives_the_same_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thorough: bool
) -> None:
    """Every prefix of a small run's journal is a run that can be continued to the same end.

    The daily run cuts around every end of a line, and at one byte of thirty-one.
    """
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(8)]))
    small = RunConfig(model="m", num_instructions=2, seed_tasks=seeds)
    whole = tmp_path / "whole"
    run(whole, small, backend=ScriptedBackend(terse_text))
    data = (whole / "journal.jsonl").read_bytes()
    expected = exported(whole)
    assert expected.count(b"\n") >= 2

    # What the disk does is another test's subject; here thousands of runs need not wait for it.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    journal = whole / "journal.jsonl"
    for cut in range(len(data) + 1):
        is_near_an_end = b"\n" in data[max(0, cut - 2) : cut + 2]
        if not (thorough or is_near_an_end or cut % 31 == 0):
            continue
        journal.write_bytes(data[:cut])
        acknowledged = data[: data.rfind(b"\n", 0, cut) + 1]

        with open_run(whole) as opened:
            asyncio.run(grow(opened, backend=ScriptedBackend(terse_text)))

        assert exported(whole) == expected
        assert journal.read_bytes().startswith(acknowledged)


def terse_text(request: Request) -> str:
    """As short as replies can be: the journal is cut at every byte."""
    if request.stage == "generate":
        return f"9. Name four kinds of {request.id[-1]}.\n10. Tell me about your day."
    return "No" if request.stage == "classify" else "Output: x"


def test_the_live_state_is_what_replaying_the_journal_gives(
    tmp_path: Path, config: RunConfig
) -> None:
    with open_run(tmp_path / "live", config) as opened:
        asyncio.run(grow(opened, backend=ScriptedBackend()))
        live = opened.state
    replayed = initial(config, opened.seed_tasks, keeps_instances=False)
    for event in events(tmp_path / "live"):
        apply(replayed, event)  # type: ignore[arg-type]
    assert list(replayed.pool) == list(live.pool)
    assert replayed.ledger == live.ledger
    assert replayed.timeline.finishing == live.timeline.finishing
    assert replayed.pool_sizes == live.pool_sizes
    assert replayed.waiting == live.waiting
    assert replayed.counts == live.counts
    assert replayed.index.texts == live.index.texts
    assert summarize(replayed) == summarize(live)


def test_a_run_that_goes_on_leaves_texts_on_the_disk_that_no_prompt_shows(
    tmp_path: Path, config: RunConfig
) -> None:
    for name, shown in (("hidden", False), ("shown", True)):
        with open_run(tmp_path / name, config.changed(show_input=shown)) as opened:
            summary = asyncio.run(grow(opened, backend=ScriptedBackend()))
            held = sum(len(task.instances or ()) for task in opened.state.pool.generated)
        assert held == (summary.rows if shown else 0)
        assert summarize(read_run(tmp_path / name).state) == summary
        assert exported(tmp_path / name).count(b"\n") == summary.rows > 0


def test_candidates_are_accepted_or_rejected_and_every_number_is_a_count_of_events(
    reference: Path,
) -> None:
    summary = summarize(read_run(reference).state)
    commits = [e for e in events(reference) if isinstance(e, Committed)]
    received = [e for e in events(reference) if isinstance(e, CompletionReceived)]
    written = [e for e in events(reference) if isinstance(e, InstancesWritten)]
    classified = [e for e in events(reference) if isinstance(e, Classified)]
    assert summary.accepted == sum(len(e.accepted) for e in commits)
    assert sum(summary.rejected.values()) == sum(len(e.rejected) for e in commits) > 0
    assert summary.candidates == summary.accepted + sum(summary.rejected.values())
    assert sum(summary.requests.values()) == len(received)
    assert summary.rows == sum(len(e.instances) for e in written)
    assert summary.classification == sum(bool(e.is_classification) for e in classified)
    assert len(classified) == len(written) == summary.accepted  # no answer was unclear
    # Three lines were in every committed reply.
    assert summary.candidates == 3 * summary.commits


def test_a_completion_is_journaled_with_what_it_was_asked_by(reference: Path) -> None:
    first = next(e for e in events(reference) if isinstance(e, CompletionReceived))
    assert first.request_id == "generate/000001"
    assert len(first.demonstration_ids) == 8
    assert len(first.prompt_sha256) == 64
    assert first.template.startswith("self-instruct/generate.txt@")


def test_a_finished_run_is_left_alone(reference: Path) -> None:
    before = (reference / "journal.jsonl").read_bytes()
    backend = ScriptedBackend()
    summary = run(reference, backend=backend)
    assert summary.accepted >= 12
    assert backend.asked == []
    assert (reference / "journal.jsonl").read_bytes() == before


def test_a_lower_target_is_reached_already(reference: Path) -> None:
    backend = ScriptedBackend()
    run(reference, {"num_instructions": 3}, backend=backend)
    assert backend.asked == []


def test_operational_settings_of_the_last_start_are_remembered(
    tmp_path: Path, config: RunConfig
) -> None:
    directory = tmp_path / "run"
    with pytest.raises(Crash):
        run(directory, replace(config, num_instructions=6), backend=crashing(2))
    with pytest.raises(Crash):
        run(directory, {"num_instructions": 9, "max_concurrency": 2}, backend=crashing(2))
    assert run(directory, backend=ScriptedBackend()).accepted >= 9
    assert read_run(directory).config.max_concurrency == 2


# ── what a run thinks of its directory ───────────────────────────────────────────────────────────────────


def test_changed_settings_are_refused_with_both_values(reference: Path, config: RunConfig) -> None:
    with pytest.raises(
        ConfigChangedError, match=r"threshold is 0.7 there, 0.9 was given"
    ) as caught:
        run(reference, replace(config, threshold=0.9, max_concurrency=1))
    assert caught.value.changes == {"threshold": (0.7, 0.9)}
    assert caught.value.exit_code == 2


def test_settings_may_be_replaced_while_nothing_was_paid_for(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    """A first try with a wrong model must not make a directory useless."""
    wrong = replace(config, model="gpt-9", threshold=0.9)
    with pytest.raises(EndpointError):
        run(tmp_path / "run", wrong, backend=Refusing(GENERATION_IDS, EndpointError("404")))
    assert not any(isinstance(e, CompletionReceived) for e in events(tmp_path / "run"))

    right = {"model": "scripted", "threshold": 0.7}
    run(tmp_path / "run", right, backend=ScriptedBackend())

    assert exported(tmp_path / "run") == exported(reference)
    with pytest.raises(ConfigChangedError):
        run(tmp_path / "run", {"model": "gpt-9"})


def test_the_sampling_of_a_stage_may_change_while_that_stage_has_no_reply(
    tmp_path: Path, config: RunConfig
) -> None:
    """The endpoint refuses a parameter that only the last stage sends."""
    with pytest.raises(EndpointError):
        run(tmp_path / "run", config, backend=RefusingStage("instances"))
    replies = [e for e in events(tmp_path / "run") if isinstance(e, CompletionReceived)]
    assert {e.stage for e in replies} == {"generate", "classify"}
    for changed in ({"classify_temperature": None}, {"generate_top_p": 0.9}, {"threshold": 0.6}):
        with pytest.raises(ConfigChangedError):
            run(tmp_path / "run", changed, backend=ScriptedBackend())

    run(tmp_path / "run", {"instances_presence_penalty": None}, backend=ScriptedBackend())

    opened = read_run(tmp_path / "run")
    assert is_complete(opened)
    assert opened.config.instances_presence_penalty is None
    kept = [e for e in events(tmp_path / "run") if isinstance(e, CompletionReceived)]
    assert kept[: len(replies)] == replies
    with pytest.raises(ConfigChangedError):
        run(tmp_path / "run", {"instances_presence_penalty": 1.5}, backend=ScriptedBackend())


def test_replaced_settings_leave_no_template_of_theirs_behind(
    tmp_path: Path, config: RunConfig
) -> None:
    with open_run(tmp_path / "run", config):
        pass
    prompts = tmp_path / "run/prompts"
    assert (prompts / "classify_again.txt").exists()
    (prompts / "notes.txt").write_text("mine")
    with open_run(tmp_path / "run", {"profile": "paper"}):
        pass
    assert not (prompts / "classify_again.txt").exists()
    with open_run(tmp_path / "run", {"recipe": "alpaca"}):
        pass
    assert {path.name for path in prompts.iterdir()} == {"generate.txt", "notes.txt"}
    with open_run(tmp_path / "run", {"recipe": "self-instruct", "profile": "default"}) as opened:
        assert "classify_again.txt" in opened.templates


def test_a_notebook_can_run_it_too(tmp_path: Path, config: RunConfig, reference: Path) -> None:
    async def cell() -> int:
        return run(tmp_path / "run", config, backend=ScriptedBackend()).accepted

    assert asyncio.run(cell()) >= 12
    assert exported(tmp_path / "run") == exported(reference)


def test_a_backend_that_returns_something_else_is_told_so(
    tmp_path: Path, config: RunConfig
) -> None:
    class Wrong:
        async def complete(self, _: Request) -> str:
            return "hello"

    with pytest.raises(TypeError, match="must return a Completion, not 'hello'"):
        run(tmp_path / "run", config, backend=Wrong())  # type: ignore[arg-type]


def test_other_seed_tasks_are_refused_and_the_same_ones_elsewhere_are_not(
    tmp_path: Path, reference: Path, config: RunConfig, seeds_file: Path
) -> None:
    moved = seeds_file.rename(tmp_path / "moved.jsonl")
    run(reference, replace(config, seed_tasks=moved), backend=ScriptedBackend())
    moved.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(11)]))
    with pytest.raises(ConfigChangedError, match="seed_tasks is 'other content' there"):
        run(reference, replace(config, seed_tasks=moved))


@pytest.mark.parametrize("name", ["seed_tasks.jsonl", "prompts/classify.txt"])
def test_a_frozen_file_that_was_edited_is_refused(reference: Path, name: str) -> None:
    path = reference / name
    path.write_text(path.read_text().replace("a", "e", 1))
    with pytest.raises(RunDirectoryError, match=f"{name} is not what the run was made with"):
        run(reference)


def test_a_stored_setting_that_was_edited_is_refused_unless_it_is_operational(
    reference: Path,
) -> None:
    path = reference / "config.yaml"
    path.write_text(path.read_text().replace("max_concurrency: 32", "max_concurrency: 4"))
    run(reference)
    path.write_text(path.read_text().replace("threshold: 0.7", "threshold: 0.8"))
    with pytest.raises(RunDirectoryError, match=r"settings in config.yaml were changed"):
        run(reference)


def test_a_run_decided_by_other_rules_is_refused(reference: Path) -> None:
    path = reference / "config.yaml"
    text = path.read_text().replace(f"rules: {RULES_VERSION}", "rules: 99")
    path.write_text(text)
    with pytest.raises(RunDirectoryError, match=r"settings in config.yaml were changed"):
        read_run(reference)

    stored = yaml.safe_load(text)
    own = fingerprint(stored["settings"], hashes=stored["hashes"], versions=stored["versions"])
    path.write_text(text.replace(stored["fingerprint"], own))
    with pytest.raises(
        OtherVersionError, match=rf"a later version .*\(rules 99, here {RULES_VERSION}\)"
    ):
        run(reference)
    assert read_run(reference).state.accepted >= 12  # what was decided can still be read


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(RunDirectoryError, match=r"not empty \(it holds"):
        run(tmp_path, config, backend=ScriptedBackend())
    assert not (tmp_path / "config.yaml").exists()
    assert not (tmp_path / "run.lock").exists()


def test_a_second_writer_is_refused_with_the_process_id_of_the_first(
    tmp_path: Path, config: RunConfig
) -> None:
    with open_run(tmp_path / "run", config):
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} is writing"):
            run(tmp_path / "run", config)
        assert read_run(tmp_path / "run").state.accepted == 0


@pytest.mark.parametrize("name", ["seed_tasks.jsonl", "prompts", "config.txt"])
def test_a_file_of_the_same_name_as_ours_is_left_alone(
    tmp_path: Path, config: RunConfig, name: str
) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / name).write_text("my own")
    with pytest.raises(RunDirectoryError, match=f"holds {name}"):
        run(directory, config, backend=ScriptedBackend())
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name).read_text() == "my own"


def test_a_seed_task_may_not_have_the_id_of_a_generated_one(
    tmp_path: Path, seed_tasks: list[SeedTask]
) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([*seed_tasks, replace(seed_tasks[0], id="task_000001")]))
    with pytest.raises(InputError, match="reserved for generated tasks"):
        run(tmp_path / "run", RunConfig(model="m", seed_tasks=seeds), backend=ScriptedBackend())


@pytest.mark.parametrize("settings", [{"modell": "m"}, {"num_instructions": "100"}, {"model": 3}])
def test_bad_settings_from_python_are_config_errors(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(ConfigError):
        run(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_refusal_that_lands_with_successes_is_no_wrong_set_up(
    tmp_path: Path, config: RunConfig
) -> None:
    """All three land in the same round, the refused one first."""
    backend = Refusing(["generate/000001"], rejected())
    assert run(tmp_path / "run", config, backend=backend).accepted >= 12


def test_a_crash_before_the_settings_are_frozen_leaves_a_directory_that_can_be_used(
    tmp_path: Path, config: RunConfig
) -> None:
    directory = tmp_path / "run"
    (directory / "prompts").mkdir(parents=True)
    (directory / ".config.yaml.4711.tmp").write_text("half")
    (directory / "run.lock").touch()
    assert run(directory, config, backend=ScriptedBackend()).accepted >= 12


def test_bad_input_leaves_no_directory_behind(tmp_path: Path, config: RunConfig) -> None:
    for bad in (replace(config, model=""), replace(config, seed_tasks=tmp_path / "none.jsonl")):
        with pytest.raises(Exception, match=r"is missing|cannot be read"):
            run(tmp_path / "new", bad, backend=ScriptedBackend())
        assert not (tmp_path / "new").exists()


# ── how requests end ─────────────────────────────────────────────────────────────────────────────────────


class Refusing:
    """Refuses the requests named; the others are answered by the script."""

    def __init__(self, refused: Sequence[str], error: Exception) -> None:
        self._refused = refused
        self._error = error
        self.asked: list[str] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        if request.id in self._refused:
            raise self._error
        return make_completion(scripted_text(request))


GENERATION_IDS = [f"generate/{number:06d}" for number in range(1, 9)]


def rejected() -> RequestRejectedError:
    return RequestRejectedError("the endpoint refuses the request (400: too long)", status=400)


def test_a_request_refused_for_good_is_an_empty_reply_and_not_asked_again(
    tmp_path: Path, config: RunConfig
) -> None:
    config = replace(config, max_concurrency=1)
    refused = ["generate/000002", "classify/task_000002", "instances/task_000003"]
    run(tmp_path / "run", config, backend=Refusing(refused, rejected()))

    failed = [e for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert [e.request_id for e in failed] == refused
    commits = [e for e in events(tmp_path / "run") if isinstance(e, Committed)]
    assert (commits[1].accepted, commits[1].rejected) == ((), ())
    pool = read_run(tmp_path / "run").state.pool
    # The question is put once more, and answered.
    assert pool.by_id("task_000002").is_classification is not None
    assert pool.by_id("task_000002").classification_answer in ("yes", "no")
    assert pool.by_id("task_000003").instances == ()
    summary = summarize(read_run(tmp_path / "run").state)
    assert summary.unclear_kinds == 0
    assert summary.failed == {"generate": 1, "classify": 1, "instances": 1}


@pytest.mark.parametrize(
    "refused", ["generate/000001", "classify/task_000001", "instances/task_000001"]
)
@pytest.mark.parametrize("concurrency", [1, 32])
def test_a_first_request_that_is_refused_for_its_own_sake_is_an_outcome(
    tmp_path: Path, config: RunConfig, refused: str, concurrency: int
) -> None:
    """Refusals are fast: this one arrives before anything of its stage succeeded."""
    config = replace(config, max_concurrency=concurrency)
    run(tmp_path / "run", config, backend=Refusing([refused], rejected()))
    failed = [e.request_id for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert failed == [refused]


class RefusingStage:
    """Refuses a stage from its request number `after` on."""

    def __init__(self, stage: str, after: int = 0) -> None:
        self._stage = stage
        self._left = after

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        if request.stage == self._stage:
            self._left -= 1
            if self._left < 0:
                raise rejected()
        return make_completion(scripted_text(request))


@pytest.mark.parametrize("stage", ["generate", "classify", "instances"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_stage_that_is_refused_throughout_is_a_wrong_set_up_and_costs_nothing(
    tmp_path: Path, config: RunConfig, reference: Path, stage: str, after: int
) -> None:
    """No credit, told as a plain 400, or a parameter that the server does not know."""
    config = replace(config, num_instructions=40)
    with pytest.raises(EndpointError, match="so the set-up must be wrong"):
        run(tmp_path / "run", config, backend=RefusingStage(stage, after))
    assert not any(isinstance(e, RequestFailed) for e in events(tmp_path / "run"))
    # Once the set-up is mended, the same run goes on as if nothing had been.
    run(tmp_path / "run", backend=ScriptedBackend())
    run(reference, {"num_instructions": 40}, backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_replacing_settings_keeps_those_that_are_not_given_and_the_frozen_seeds(
    tmp_path: Path, config: RunConfig, seeds_file: Path
) -> None:
    directory = tmp_path / "run"
    first = replace(config, model="gpt-9", threshold=0.6, num_instructions=5)
    with pytest.raises(EndpointError):
        run(directory, first, backend=Refusing(GENERATION_IDS, EndpointError("404")))
    seeds_file.unlink()  # what was frozen is what counts
    with pytest.raises(ConfigError):
        run(directory, {"threshold": 7.0}, backend=ScriptedBackend())

    run(directory, {"model": "right"}, backend=ScriptedBackend())

    opened = read_run(directory)
    assert (opened.config.model, opened.config.threshold) == ("right", 0.6)
    assert len(opened.seed_tasks) == 10
    assert opened.config.num_instructions == 5


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EndpointError("401"), "401"),
        (KeyError("a backend's own mistake"), "KeyError"),
    ],
)
def test_an_endpoint_that_gives_up_ends_the_run_after_what_is_in_flight_has_landed(
    tmp_path: Path, config: RunConfig, reference: Path, error: Exception, told: str
) -> None:
    backend = Refusing(["generate/000002"], error)
    with pytest.raises(type(error)):
        run(tmp_path / "run", config, backend=backend)
    seen = events(tmp_path / "run")
    received = {e.request_id for e in seen if isinstance(e, CompletionReceived)}
    assert received == set(backend.asked) - {"generate/000002"}
    assert isinstance(seen[-1], RunFinished)
    assert (seen[-1].reason, seen[-1].detail) == ("failed", told)

    run(tmp_path / "run", backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_a_run_that_accepts_nothing_stops_and_goes_on_with_a_larger_limit(
    tmp_path: Path, config: RunConfig
) -> None:
    config = replace(config, stall_after=5)
    dull = ScriptedBackend(lambda _: "9. Draw a picture of a cat.")
    with pytest.raises(StalledError, match="none of the last 5 generation requests") as caught:
        run(tmp_path / "run", config, backend=dull)
    assert caught.value.exit_code == 3
    # The same command tries for as long again, no longer.
    asked = len(dull.asked)
    with pytest.raises(StalledError):
        run(tmp_path / "run", backend=dull)
    assert asked < len(dull.asked) <= 2 * asked + 8
    assert run(tmp_path / "run", {"stall_after": 100}, backend=ScriptedBackend()).accepted >= 12


def test_stopping_lets_what_is_in_flight_land_and_plans_nothing_more(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    async def stopped() -> list[str]:
        stop = asyncio.Event()

        async def pause(_: Request) -> None:
            if len(backend.asked) == 9:
                stop.set()
            await asyncio.sleep(0)

        backend = ScriptedBackend(pause=pause)
        with open_run(tmp_path / "run", config) as opened:
            await grow(opened, backend=backend, stop=stop)
        return backend.asked

    asked = asyncio.run(stopped())
    seen = events(tmp_path / "run")
    assert {e.request_id for e in seen if isinstance(e, CompletionReceived)} == set(asked)
    assert isinstance(seen[-1], RunFinished)
    assert seen[-1].reason == "interrupted"
    run(tmp_path / "run", backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_a_full_disk_at_any_write_loses_nothing_that_was_acknowledged(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, thorough: bool
) -> None:
    """The write number n fails half-way, for every n of a run; with room again, the run goes on."""
    config = replace(config, num_instructions=12 if thorough else 5)
    run(tmp_path / "reference", config, backend=ScriptedBackend())
    reference = tmp_path / "reference"
    write = os.write

    def failing(after: int) -> Iterator[None]:
        done = 0

        def write_or_fail(fd: int, data: bytes) -> int:
            nonlocal done
            done += 1
            if done == after:
                return write(fd, bytes(data)[: len(data) // 2])
            if done > after:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_or_fail)
            yield

    after = 0
    while True:
        after += 1
        directory = tmp_path / f"full-{after}"
        broken = failing(after)
        next(broken)
        try:
            run(directory, config, backend=ScriptedBackend())
        except JournalError:
            pass
        else:
            break
        finally:
            list(broken)
        run(directory, config, backend=ScriptedBackend())
        assert exported(directory) == exported(reference)
    assert after > 10


# ── thrift ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_small_run_does_not_pay_for_generation_that_it_will_not_need(
    tmp_path: Path, config: RunConfig
) -> None:
    """Of twenty good candidates a reply, two replies are enough for twelve: no window is filled."""
    backend = ScriptedBackend(
        lambda request: (
            "\n".join(
                f"{n}. Describe the {request.id[-1]} {n} {chr(97 + n)} {n * 7} of {n * 13} {n * 17}."
                for n in range(9, 29)
            )
            if request.stage == "generate"
            else scripted_text(request)
        )
    )
    run(tmp_path / "run", config, backend=backend)
    assert sum(asked.startswith("generate/") for asked in backend.asked) <= 4


@pytest.mark.parametrize("slots", [4, 16, 64])
def test_generation_keeps_a_quarter_of_the_slots_and_tasks_take_the_others(
    tmp_path: Path, config: RunConfig, slots: int
) -> None:
    shares: list[int] = []
    flying: dict[str, int] = {"generate": 0, "classify": 0, "instances": 0}

    class Counting:
        async def complete(self, request: Request) -> Completion:
            flying[request.stage] += 1
            await asyncio.sleep(0.001)
            assert sum(flying.values()) <= slots
            if flying["classify"] + flying["instances"] and sum(flying.values()) == slots:
                shares.append(flying["generate"])
            flying[request.stage] -= 1
            return make_completion(scripted_text(request))

    many = replace(config, max_concurrency=slots, num_instructions=150)
    with open_run(tmp_path / "run", many) as opened:
        run_at_once(grow(opened, backend=Counting()))
    if slots < 64:  # a window of requests fills sixty-four slots late in so short a run
        assert shares
        assert min(shares) <= slots / 4 + 1


def test_every_start_journals_versions(reference: Path) -> None:
    first = events(reference)[0]
    assert isinstance(first, RunStarted)
    assert set(first.versions) == {"selfinstruct", "python", "openai"}
    assert first.settings["num_instructions"] == 12
