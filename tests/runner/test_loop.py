"""Test that the same replies always produce the same dataset, regardless of timing and crashes."""

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
    cuts,
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
from selfinstruct.journal_events import (
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
    """Return the directory of a run that was not interrupted."""
    run(tmp_path / "reference", config, backend=ScriptedBackend())
    return tmp_path / "reference"


def test_a_run_reaches_its_target(reference: Path) -> None:
    opened = read_run(reference)
    assert is_complete(opened)
    assert opened.state.accepted >= 12
    assert all(task.instances for task in opened.state.pool.generated)


# ── determinism ──────────────────────────────────────────────────────────────────────────────────────────


def shuffled(seed: int) -> ScriptedBackend:
    """Return a backend whose replies arrive in a random order that depends on the seed."""
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
def test_latency_and_concurrency_do_not_change_the_dataset(
    tmp_path_factory: pytest.TempPathFactory,
    config: RunConfig,
    reference: Path,
    seed: int,
    concurrency: int,
) -> None:
    directory = tmp_path_factory.mktemp("run") / "run"
    run(directory, replace(config, max_concurrency=concurrency), backend=shuffled(seed))
    assert exported(directory) == exported(reference)


@settings(
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(1, 11), max_size=4))
def test_a_raised_target_gives_the_same_dataset(
    tmp_path_factory: pytest.TempPathFactory,
    config: RunConfig,
    reference: Path,
    seed: int,
    steps: list[int],
) -> None:
    directory = tmp_path_factory.mktemp("run") / "run"
    backend = shuffled(seed)
    for target in [*sorted(steps), 12]:
        run(directory, replace(config, num_instructions=target), backend=backend)
    assert exported(directory) == exported(reference)
    # Replies beyond the smaller target were kept, and no request was repeated.
    assert len(backend.asked) == len(set(backend.asked))


def test_seed_and_lag_change_the_dataset(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    for name, other in (("seed", replace(config, seed=1)), ("lag", replace(config, lag_min=1))):
        run(tmp_path / name, other, backend=ScriptedBackend())
        assert exported(tmp_path / name) != exported(reference)


# ── resume ───────────────────────────────────────────────────────────────────────────────────────────────


class Crash(BaseException):
    """Raised to simulate that the process is killed."""


def crashing(after: int) -> ScriptedBackend:
    """Return a backend that raises Crash after this number of requests."""
    asked = 0

    async def pause(_: Request) -> None:
        nonlocal asked
        asked += 1
        if asked > after:
            raise Crash

    return ScriptedBackend(pause=pause)


def test_a_run_continues_after_a_crash_anywhere(
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


def test_a_cut_journal_gives_the_same_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run continued from any prefix of its journal produces the same dataset.

    `cuts` explains which prefixes are enough to test this.
    """
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(8)]))
    small = RunConfig(model="m", num_instructions=2, seed_tasks=seeds)
    directory = tmp_path / "whole"
    run(directory, small, backend=ScriptedBackend(scripted_text))
    data = (directory / "journal.jsonl").read_bytes()
    expected = exported(directory)
    assert expected.count(b"\n") >= 2

    # Syncs are disabled, because this test does not need them and thousands of them are slow.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    journal = directory / "journal.jsonl"
    for cut in cuts(data):
        journal.write_bytes(data[:cut])
        acknowledged = data[: data.rfind(b"\n", 0, cut) + 1]
        run(directory, backend=ScriptedBackend(scripted_text))
        assert exported(directory) == expected
        assert journal.read_bytes().startswith(acknowledged)


def test_replay_gives_the_live_state(tmp_path: Path, config: RunConfig) -> None:
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


def test_a_growing_run_keeps_no_unneeded_texts(tmp_path: Path, config: RunConfig) -> None:
    for name, shown in (("hidden", False), ("shown", True)):
        with open_run(tmp_path / name, config.changed(show_input=shown)) as opened:
            summary = asyncio.run(grow(opened, backend=ScriptedBackend()))
            kept = sum(len(task.instances or ()) for task in opened.state.pool.generated)
        assert kept == (summary.rows if shown else 0)
        assert summarize(read_run(tmp_path / name).state) == summary
        assert exported(tmp_path / name).count(b"\n") == summary.rows > 0


def test_the_summary_counts_the_events(
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
    # Every committed reply had three lines.
    assert summary.candidates == 3 * summary.commits


def test_a_completion_is_journaled_with_its_origin(reference: Path) -> None:
    first = next(e for e in events(reference) if isinstance(e, CompletionReceived))
    assert first.request_id == "generate/000001"
    assert len(first.demonstration_ids) == 8
    assert len(first.prompt_sha256) == 64
    assert first.template.startswith("self-instruct/generate.txt@")


def test_a_finished_run_does_not_change(reference: Path) -> None:
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


def test_later_starts_keep_operational_settings(tmp_path: Path, config: RunConfig) -> None:
    directory = tmp_path / "run"
    with pytest.raises(Crash):
        run(directory, replace(config, num_instructions=6), backend=crashing(2))
    with pytest.raises(Crash):
        run(directory, {"num_instructions": 9, "max_concurrency": 2}, backend=crashing(2))
    assert run(directory, backend=ScriptedBackend()).accepted >= 9
    assert read_run(directory).config.max_concurrency == 2


# ── the directory ───────────────────────────────────────────────────────────────────


def test_changed_settings_are_an_error_with_both_values(reference: Path, config: RunConfig) -> None:
    with pytest.raises(
        ConfigChangedError, match=r"threshold is 0.7 in the run, but 0.9 was given"
    ) as caught:
        run(reference, replace(config, threshold=0.9, max_concurrency=1))
    assert caught.value.changes == {"threshold": (0.7, 0.9)}
    assert caught.value.exit_code == 2


def test_settings_may_change_before_the_first_reply(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    """The directory can still be used after a first attempt with a wrong model name."""
    wrong = replace(config, model="gpt-9", threshold=0.9)
    with pytest.raises(EndpointError):
        run(tmp_path / "run", wrong, backend=Failing(GENERATION_IDS, EndpointError("404")))
    assert not any(isinstance(e, CompletionReceived) for e in events(tmp_path / "run"))

    right = {"model": "scripted", "threshold": 0.7}
    run(tmp_path / "run", right, backend=ScriptedBackend())

    assert exported(tmp_path / "run") == exported(reference)
    with pytest.raises(ConfigChangedError):
        run(tmp_path / "run", {"model": "gpt-9"})


def test_sampling_may_change_before_the_stage_has_replies(
    tmp_path: Path, config: RunConfig
) -> None:
    """In this test, the endpoint rejects a parameter that only the last stage sends."""
    with pytest.raises(EndpointError):
        run(tmp_path / "run", config, backend=RejectingStage("instances"))
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


def test_replaced_settings_remove_their_templates(tmp_path: Path, config: RunConfig) -> None:
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


def test_a_run_works_in_a_notebook(tmp_path: Path, config: RunConfig, reference: Path) -> None:
    async def cell() -> int:
        return run(tmp_path / "run", config, backend=ScriptedBackend()).accepted

    assert asyncio.run(cell()) >= 12
    assert exported(tmp_path / "run") == exported(reference)


def test_a_wrong_result_of_a_backend_is_an_error(tmp_path: Path, config: RunConfig) -> None:
    class Wrong:
        async def complete(self, _: Request) -> str:
            return "hello"

    with pytest.raises(TypeError, match="must return a Completion, not 'hello'"):
        run(tmp_path / "run", config, backend=Wrong())  # type: ignore[arg-type]


def test_seed_tasks_are_compared_by_content(
    tmp_path: Path, reference: Path, config: RunConfig, seeds_file: Path
) -> None:
    moved = seeds_file.rename(tmp_path / "moved.jsonl")
    run(reference, replace(config, seed_tasks=moved), backend=ScriptedBackend())
    moved.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(11)]))
    with pytest.raises(ConfigChangedError, match="seed_tasks is 'other content' in the run"):
        run(reference, replace(config, seed_tasks=moved))


@pytest.mark.parametrize("name", ["seed_tasks.jsonl", "prompts/classify.txt"])
def test_an_edited_run_file_is_an_error(reference: Path, name: str) -> None:
    path = reference / name
    path.write_text(path.read_text().replace("a", "e", 1))
    with pytest.raises(
        RunDirectoryError, match=f"{name} is not the file that the run was created with"
    ):
        run(reference)


def test_an_edited_setting_is_an_error(
    reference: Path,
) -> None:
    path = reference / "config.yaml"
    path.write_text(path.read_text().replace("max_concurrency: 32", "max_concurrency: 4"))
    run(reference)
    path.write_text(path.read_text().replace("threshold: 0.7", "threshold: 0.8"))
    with pytest.raises(RunDirectoryError, match=r"settings in config.yaml were changed"):
        run(reference)


def test_a_run_with_other_rules_is_not_continued(reference: Path) -> None:
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
    assert read_run(reference).state.accepted >= 12  # the decisions can still be read


def test_a_foreign_directory_does_not_change(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(RunDirectoryError, match=r"not empty \(it contains"):
        run(tmp_path, config, backend=ScriptedBackend())
    assert not (tmp_path / "config.yaml").exists()
    assert not (tmp_path / "run.lock").exists()


def test_a_second_writer_gets_the_first_ones_pid(tmp_path: Path, config: RunConfig) -> None:
    with open_run(tmp_path / "run", config):
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} is writing to"):
            run(tmp_path / "run", config)
        assert read_run(tmp_path / "run").state.accepted == 0


@pytest.mark.parametrize("name", ["seed_tasks.jsonl", "prompts", "config.txt"])
def test_a_users_file_of_the_same_name_stays(tmp_path: Path, config: RunConfig, name: str) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / name).write_text("my own")
    with pytest.raises(RunDirectoryError, match=f"it contains {name}"):
        run(directory, config, backend=ScriptedBackend())
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name).read_text() == "my own"


def test_ids_of_generated_tasks_are_reserved(tmp_path: Path, seed_tasks: list[SeedTask]) -> None:
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


def test_a_rejection_among_answers_is_no_wrong_setup(tmp_path: Path, config: RunConfig) -> None:
    """The rejection and two answers arrive in the same round of the pump, in this order."""
    backend = Failing(["generate/000001"], rejected())
    assert run(tmp_path / "run", config, backend=backend).accepted >= 12


def test_a_crash_before_the_manifest_does_no_harm(tmp_path: Path, config: RunConfig) -> None:
    directory = tmp_path / "run"
    (directory / "prompts").mkdir(parents=True)
    (directory / ".config.yaml.4711.tmp").write_text("half")
    (directory / "run.lock").touch()
    assert run(directory, config, backend=ScriptedBackend()).accepted >= 12


def test_bad_input_creates_no_directory(tmp_path: Path, config: RunConfig) -> None:
    for bad in (replace(config, model=""), replace(config, seed_tasks=tmp_path / "none.jsonl")):
        with pytest.raises(Exception, match=r"is missing|cannot be read"):
            run(tmp_path / "new", bad, backend=ScriptedBackend())
        assert not (tmp_path / "new").exists()


# ── rejected requests ─────────────────────────────────────────────────────────────────────────────────────


class Failing:
    """A backend that raises an error for the requests with these ids, and answers all others."""

    def __init__(self, failing: Sequence[str], error: Exception) -> None:
        self._failing = failing
        self._error = error
        self.asked: list[str] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        if request.id in self._failing:
            raise self._error
        return make_completion(scripted_text(request))


GENERATION_IDS = [f"generate/{number:06d}" for number in range(1, 9)]


def rejected() -> RequestRejectedError:
    return RequestRejectedError("the endpoint rejects the request (400: too long)", status=400)


def test_a_rejected_request_is_not_sent_again(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, max_concurrency=1)
    refused = ["generate/000002", "classify/task_000002", "instances/task_000003"]
    run(tmp_path / "run", config, backend=Failing(refused, rejected()))

    failed = [e for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert [e.request_id for e in failed] == refused
    commits = [e for e in events(tmp_path / "run") if isinstance(e, Committed)]
    assert (commits[1].accepted, commits[1].rejected) == ((), ())
    pool = read_run(tmp_path / "run").state.pool
    # The classification request is sent again and answered.
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
def test_a_rejected_first_request_is_an_outcome(
    tmp_path: Path, config: RunConfig, refused: str, concurrency: int
) -> None:
    """Rejections are fast, so this one arrives before any request in its stage is answered."""
    config = replace(config, max_concurrency=concurrency)
    run(tmp_path / "run", config, backend=Failing([refused], rejected()))
    failed = [e.request_id for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert failed == [refused]


class RejectingStage:
    """A backend that rejects all of a stage's requests except the first `after` ones."""

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
def test_a_fully_rejected_stage_is_a_wrong_setup(
    tmp_path: Path, config: RunConfig, reference: Path, stage: str, after: int
) -> None:
    """Typical causes are a lack of credit that is reported as status 400, or an unknown parameter."""
    config = replace(config, num_instructions=40)
    with pytest.raises(EndpointError, match="so the setup must be wrong"):
        run(tmp_path / "run", config, backend=RejectingStage(stage, after))
    assert not any(isinstance(e, RequestFailed) for e in events(tmp_path / "run"))
    # After the setup is fixed, the run continues and produces the same dataset.
    run(tmp_path / "run", backend=ScriptedBackend())
    run(reference, {"num_instructions": 40}, backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_replaced_settings_keep_the_other_ones(
    tmp_path: Path, config: RunConfig, seeds_file: Path
) -> None:
    directory = tmp_path / "run"
    first = replace(config, model="gpt-9", threshold=0.6, num_instructions=5)
    with pytest.raises(EndpointError):
        run(directory, first, backend=Failing(GENERATION_IDS, EndpointError("404")))
    seeds_file.unlink()  # the run has its own copy
    with pytest.raises(ConfigError):
        run(directory, {"threshold": 7.0}, backend=ScriptedBackend())

    run(directory, {"model": "right"}, backend=ScriptedBackend())

    opened = read_run(directory)
    assert (opened.config.model, opened.config.threshold) == ("right", 0.6)
    assert len(opened.seed_tasks) == 10
    assert opened.config.num_instructions == 5


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (EndpointError("401"), "401"),
        (KeyError("a bug of the backend"), "KeyError"),
    ],
)
def test_a_failing_endpoint_ends_the_run_cleanly(
    tmp_path: Path, config: RunConfig, reference: Path, error: Exception, detail: str
) -> None:
    backend = Failing(["generate/000002"], error)
    with pytest.raises(type(error)):
        run(tmp_path / "run", config, backend=backend)
    journaled = events(tmp_path / "run")
    received = {e.request_id for e in journaled if isinstance(e, CompletionReceived)}
    assert received == set(backend.asked) - {"generate/000002"}
    assert isinstance(journaled[-1], RunFinished)
    assert (journaled[-1].reason, journaled[-1].detail) == ("failed", detail)

    run(tmp_path / "run", backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_a_stalled_run_stops_and_can_be_continued(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, stall_after=5)
    repetitive = ScriptedBackend(lambda _: "9. Draw a picture of a cat.")
    with pytest.raises(StalledError, match="none of the last 5 generation requests") as caught:
        run(tmp_path / "run", config, backend=repetitive)
    assert caught.value.exit_code == 3
    # After a second start, the run tries the same number of requests again before it stops.
    asked = len(repetitive.asked)
    with pytest.raises(StalledError):
        run(tmp_path / "run", backend=repetitive)
    assert asked < len(repetitive.asked) <= 2 * asked + 8
    assert run(tmp_path / "run", {"stall_after": 100}, backend=ScriptedBackend()).accepted >= 12


def test_a_stop_journals_the_replies_in_flight(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    async def grow_until_stopped() -> list[str]:
        stop = asyncio.Event()

        async def pause(_: Request) -> None:
            if len(backend.asked) == 9:
                stop.set()
            await asyncio.sleep(0)

        backend = ScriptedBackend(pause=pause)
        with open_run(tmp_path / "run", config) as opened:
            await grow(opened, backend=backend, stop=stop)
        return backend.asked

    asked = asyncio.run(grow_until_stopped())
    journaled = events(tmp_path / "run")
    assert {e.request_id for e in journaled if isinstance(e, CompletionReceived)} == set(asked)
    assert isinstance(journaled[-1], RunFinished)
    assert journaled[-1].reason == "interrupted"
    run(tmp_path / "run", backend=ScriptedBackend())
    assert exported(tmp_path / "run") == exported(reference)


def test_a_full_disk_loses_no_event(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, thorough: bool
) -> None:
    """Each of a run's writes fails halfway in one repetition. The run continues when there is space again."""
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


# ── cost ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_small_run_sends_few_generation_requests(tmp_path: Path, config: RunConfig) -> None:
    """Two replies with twenty candidates each are enough for twelve accepted tasks."""
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
def test_generation_has_a_quarter_of_the_slots(
    tmp_path: Path, config: RunConfig, slots: int
) -> None:
    shares: list[int] = []
    in_flight: dict[str, int] = {"generate": 0, "classify": 0, "instances": 0}

    class Counting:
        async def complete(self, request: Request) -> Completion:
            in_flight[request.stage] += 1
            await asyncio.sleep(0.001)
            assert sum(in_flight.values()) <= slots
            if in_flight["classify"] + in_flight["instances"] and sum(in_flight.values()) == slots:
                shares.append(in_flight["generate"])
            in_flight[request.stage] -= 1
            return make_completion(scripted_text(request))

    many = replace(config, max_concurrency=slots, num_instructions=150)
    with open_run(tmp_path / "run", many) as opened:
        run_at_once(grow(opened, backend=Counting()))
    if slots < 64:  # a run this short does not fill 64 slots until late
        assert shares
        assert min(shares) <= slots / 4 + 1


def test_a_start_journals_versions(reference: Path) -> None:
    first = events(reference)[0]
    assert isinstance(first, RunStarted)
    assert set(first.versions) == {"selfinstruct", "python", "openai"}
    assert first.settings["num_instructions"] == 12
