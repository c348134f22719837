"""Test failed requests, rejected requests, and outages of the endpoint.

Most tests grow whole runs on a virtual clock. The test backend has the same timing of attempts as the real
one.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    examples,
    exported,
    make_completion,
    make_seed_task,
    scripted_text,
)
from virtual_clock import run_at_once

from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.journal_events import Committed, CompletionReceived, RequestFailed, RunFinished
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.failures import (
    LONGEST_PAUSE_S,
    OTHERS_ANSWERED,
    FailurePolicy,
    Pause,
)
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.loop import grow, is_complete

ATTEMPTS_AT_S = (0.0, 0.5, 1.5, 3.5, 7.5, 15.5)
"""Start times of the six attempts at a request, in seconds after the first, with average waits."""


def grow_at_once(
    directory: Path,
    config: RunConfig | None,
    endpoint: "Endpoint",
    *,
    can_check: bool = True,
    on_pause: Callable[[Pause], None] = lambda _: None,
) -> float:
    """Grow a run on a virtual clock. Return the seconds that passed on this clock."""

    class WithoutCheck:
        async def complete(self, request: Request) -> Completion:
            return await endpoint.complete(request)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        backend = endpoint if can_check else WithoutCheck()
        with open_run(directory, config) as opened:
            await grow(opened, backend=backend, on_pause=on_pause)
        return asyncio.get_running_loop().time() - began

    return run_at_once(timed())


class Endpoint:
    """A backend with scripted answers and simulated latency.

    An attempt fails if `is_bad(request, now)` is true.
    """

    def __init__(
        self, is_bad: Callable[[Request, float], bool], *, latency_s: tuple[float, float] = (0.2, 2)
    ) -> None:
        self._is_bad = is_bad
        self._latency_s = latency_s
        self._random = Random(1)
        self.asked: Counter[str] = Counter()
        """Number of rounds per request id. Each round has up to six attempts."""
        self.checks = 0

    async def complete(self, request: Request) -> Completion:
        loop = asyncio.get_running_loop()
        self.asked[request.id] += 1
        began = loop.time()
        for at_s in ATTEMPTS_AT_S:
            await asyncio.sleep(max(0.0, began + at_s - loop.time()))
            if not self._is_bad(request, loop.time()):
                await asyncio.sleep(self._random.uniform(*self._latency_s))
                return make_completion(scripted_text(request))
        raise TransientError("the endpoint answered 503: busy", attempts=len(ATTEMPTS_AT_S))

    async def answers(self) -> bool:
        """Answer a check."""
        await asyncio.sleep(0.1)
        self.checks += 1
        return not self._is_bad(request(0), asyncio.get_running_loop().time())


def events(directory: Path) -> list[object]:
    return [entry.event for entry in read_journal(directory / "journal.jsonl")]


def failed(directory: Path) -> list[str]:
    return [e.request_id for e in events(directory) if isinstance(e, RequestFailed)]


def only(*ids: str) -> Callable[[Request, float], bool]:
    return lambda request, _: request.id in ids


# ── one request ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize(
    "poison", ["generate/000045", "classify/task_000040", "instances/task_000040"]
)
def test_a_request_that_always_fails_is_given_up(
    tmp_path: Path, config: RunConfig, poison: str, concurrency: int
) -> None:
    config = replace(config, num_instructions=130, max_concurrency=concurrency)
    endpoint = Endpoint(only(poison))
    grow_at_once(tmp_path / "run", config, endpoint)

    assert is_complete(read_run(tmp_path / "run"))
    assert failed(tmp_path / "run") == [poison]
    assert endpoint.asked[poison] <= 4
    assert max(n for name, n in endpoint.asked.items() if name != poison) == 1
    (event,) = [e for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert (event.status, event.problem) == (None, "the endpoint answered 503: busy")
    if poison.startswith("generate"):
        commit = next(
            e for e in events(tmp_path / "run") if isinstance(e, Committed) and e.number == 45
        )
        assert (commit.accepted, commit.rejected) == ((), ())


@pytest.mark.parametrize("concurrency", [1, 2])
def test_several_failing_requests_are_given_up(
    tmp_path: Path, config: RunConfig, concurrency: int
) -> None:
    poison = [f"classify/task_{n:06d}" for n in (20, 21, 22, 23)]
    config = replace(config, num_instructions=80, max_concurrency=concurrency)
    endpoint = Endpoint(only(*poison))
    grow_at_once(tmp_path / "run", config, endpoint)
    assert sorted(failed(tmp_path / "run")) == poison
    assert max(endpoint.asked[request_id] for request_id in poison) <= 6


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize(
    "poison",
    [
        ["generate/000001"],
        ["generate/000002", "generate/000003"],
        ["classify/task_000002"],
        ["instances/task_000011", "instances/task_000012"],
    ],
)
def test_checks_distinguish_requests_from_outages(
    tmp_path: Path, config: RunConfig, poison: list[str], concurrency: int
) -> None:
    config = replace(config, max_concurrency=concurrency, num_instructions=12)
    endpoint = Endpoint(only(*poison))
    took_s = grow_at_once(tmp_path / "run", config, endpoint)
    assert set(failed(tmp_path / "run")) <= set(poison)  # the run may no longer need the list
    assert is_complete(read_run(tmp_path / "run"))
    assert took_s < 900
    assert max(endpoint.asked[request_id] for request_id in poison) < 12
    assert endpoint.checks < 30


@pytest.mark.parametrize("concurrency", [1, 32])
def test_the_last_requests_may_always_fail(
    tmp_path: Path, config: RunConfig, concurrency: int
) -> None:
    """No other request is left that could show whether the endpoint is up."""
    config = replace(config, num_instructions=60, max_concurrency=concurrency)
    undisturbed = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "known", config, undisturbed)
    last = [name for name in undisturbed.asked if name.startswith("instances")][-4:]
    took_s = grow_at_once(tmp_path / "run", config, Endpoint(only(*last)))
    assert sorted(failed(tmp_path / "run")) == sorted(last)
    assert took_s < 1800


def test_without_checks_a_failing_last_request_is_an_outage(
    tmp_path: Path, config: RunConfig
) -> None:
    config = replace(config, num_instructions=60, give_up_after_s=600.0)
    undisturbed = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "known", config, undisturbed)
    endpoint = Endpoint(only(list(undisturbed.asked)[-1]))
    with pytest.raises(EndpointError, match="no answer for 10 min"):
        grow_at_once(tmp_path / "run", config, endpoint, can_check=False)
    assert failed(tmp_path / "run") == []


def test_a_missing_server_gives_up_no_request(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    """One request is left, and an earlier process received twenty answers in its stage."""

    class Stopping(Endpoint):
        async def complete(self, request: Request) -> Completion:
            if request.id == "instances/task_000048":
                raise EndpointError("end of the first process")
            return await super().complete(request)

    class Missing(Endpoint):
        async def complete(self, request: Request) -> Completion:
            await asyncio.sleep(1)
            self.asked[request.id] += 1
            raise TransientError("no connection", counts_as_strike=False)

    config = replace(config, num_instructions=60)
    with pytest.raises(EndpointError):
        grow_at_once(tmp_path / "run", config, Stopping(lambda *_: False))
    for seconds in (0.0, 60.0, 7200.0):
        settings = RunConfig(model="scripted", num_instructions=60, give_up_after_s=seconds)
        with pytest.raises(EndpointError, match="no connection"):
            grow_at_once(tmp_path / "run", settings, Missing(lambda *_: True))
    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert failed(tmp_path / "run") == []
    assert exported(tmp_path / "run") == exported(reference)


@pytest.mark.parametrize("error", [TransientError("503"), RequestRejectedError("no", status=400)])
def test_unneeded_lists_may_fail(tmp_path: Path, config: RunConfig, error: Exception) -> None:
    """Three lists are enough for the run, and the requests for other lists fail while they are in flight."""

    class Late(Endpoint):
        async def complete(self, request: Request) -> Completion:
            if request.stage == "generate" and int(request.id[-6:]) > 3:
                await asyncio.sleep(600)
                raise error
            if request.stage != "generate":
                await asyncio.sleep(1000)
            return await super().complete(request)

    config = replace(config, num_instructions=3, give_up_after_s=0.0)
    grow_at_once(tmp_path / "run", config, Late(lambda *_: False))
    assert is_complete(read_run(tmp_path / "run"))
    assert failed(tmp_path / "run") == []


def test_a_given_up_request_is_final(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, num_instructions=60)
    grow_at_once(tmp_path / "run", config, Endpoint(only("generate/000007")))
    again = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "run", RunConfig(model="scripted", num_instructions=80), again)
    assert "generate/000007" not in again.asked
    assert read_run(tmp_path / "run").state.counts.failed == {"generate": 1}


# ── the endpoint ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_outage_of_an_hour_changes_nothing(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    config = replace(config, num_instructions=60)
    pauses: list[float] = []
    endpoint = Endpoint(lambda _, now: 4 < now < 3604)
    took_s = grow_at_once(
        tmp_path / "run",
        config,
        endpoint,
        on_pause=lambda pause: pauses.append(pause.seconds),
    )
    assert exported(tmp_path / "run") == exported(reference)
    assert failed(tmp_path / "run") == []
    assert took_s < 3604 + LONGEST_PAUSE_S + 120
    assert max(pauses) <= LONGEST_PAUSE_S + 0.001
    assert len(pauses) < 70
    # Only the 32 requests in flight at the beginning, and one probe per pause and stage, were sent again.
    assert sum(endpoint.asked.values()) - len(endpoint.asked) <= 32 + 3 * 20
    assert max(endpoint.asked.values()) <= 8


def test_all_stages_continue_after_an_outage(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, num_instructions=60)
    pauses: list[Pause] = []
    endpoint = Endpoint(lambda _, now: 4 < now < 304)
    took_s = grow_at_once(tmp_path / "run", config, endpoint, on_pause=pauses.append)
    assert {pause.stage for pause in pauses} == {"generate", "classify", "instances"}
    # After the outage, the run needs at most the longest pause, one probe's attempts, and its normal time.
    assert took_s < 304 + max(pause.seconds for pause in pauses) + ATTEMPTS_AT_S[-1] + 30


@pytest.mark.parametrize("concurrency", [1, 32])
def test_a_run_that_gave_up_can_be_continued(
    tmp_path: Path, config: RunConfig, reference: Path, concurrency: int
) -> None:
    config = replace(
        config, num_instructions=60, max_concurrency=concurrency, give_up_after_s=600.0
    )
    endpoint = Endpoint(lambda _, now: now > 4)
    with pytest.raises(
        EndpointError, match=r"503: busy \(stage .*: no answer for 10 min; raise --give-up-after"
    ):
        grow_at_once(tmp_path / "run", config, endpoint)
    assert failed(tmp_path / "run") == []
    last = events(tmp_path / "run")[-1]
    assert isinstance(last, RunFinished)
    assert last.reason == "failed"

    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert exported(tmp_path / "run") == exported(reference)


def test_a_run_waits_for_a_starting_endpoint(tmp_path: Path, config: RunConfig) -> None:
    """A local server may need several minutes to load its model."""
    config = replace(config, num_instructions=60)
    took_s = grow_at_once(tmp_path / "run", config, Endpoint(lambda _, now: now < 400))
    assert 400 < took_s < 400 + LONGEST_PAUSE_S + 120
    assert failed(tmp_path / "run") == []


def test_give_up_after_zero_ends_the_run(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, give_up_after_s=0.0)
    with pytest.raises(EndpointError, match="503: busy"):
        grow_at_once(tmp_path / "run", config, Endpoint(lambda *_: True))
    assert not any(isinstance(e, CompletionReceived) for e in events(tmp_path / "run"))


@pytest.mark.parametrize("stage", ["classify", "instances"])
def test_one_stage_may_be_out(
    tmp_path: Path, config: RunConfig, reference: Path, stage: str
) -> None:
    """The cause may be a parameter that only this stage sends, so no request is given up."""
    config = replace(config, num_instructions=60)
    endpoint = Endpoint(lambda request, _: request.stage == stage)
    with pytest.raises(EndpointError, match=f"stage {stage}: no answer"):
        grow_at_once(tmp_path / "run", config, endpoint)
    assert failed(tmp_path / "run") == []
    assert read_run(tmp_path / "run").state.accepted >= 60  # the other stages continued
    assert sum(n for name, n in endpoint.asked.items() if name.startswith(stage)) < 80

    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert exported(tmp_path / "run") == exported(reference)


@st.composite
def outages(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Draw the start and end times of outages that last longer than all attempts at a request."""
    times, at = [], draw(st.floats(0, 20))
    for _ in range(draw(st.integers(1, 3))):
        until = at + draw(st.floats(2 * ATTEMPTS_AT_S[-1], 1000))
        times.append((at, until))
        at = until + draw(st.floats(2 * ATTEMPTS_AT_S[-1], 60))
    return times


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the same run without outages."""
    folder = tmp_path_factory.mktemp("reference")
    seeds = folder / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(number) for number in range(10)]))
    config = RunConfig(model="scripted", num_instructions=60, seed_tasks=seeds)
    grow_at_once(folder / "run", config, Endpoint(lambda *_: False))
    return folder / "run"


@given(outages(), st.sampled_from([4, 16, 32]), st.integers(0, 3))
@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_outage_changes_the_dataset(
    tmp_path_factory: pytest.TempPathFactory,
    reference: Path,
    outages: Sequence[tuple[float, float]],
    concurrency: int,
    slow: int,
) -> None:
    directory = tmp_path_factory.mktemp("run") / "run"
    seeds = reference.parent / "seeds.jsonl"
    config = RunConfig(
        model="scripted", num_instructions=60, seed_tasks=seeds, max_concurrency=concurrency
    )
    endpoint = Endpoint(
        lambda _, now: any(start <= now < end for start, end in outages),
        latency_s=(0.1, 0.2 + 5 * slow),
    )
    grow_at_once(directory, config, endpoint)
    assert failed(directory) == []
    assert exported(directory) == exported(reference)


# ── the policy without a run ──────────────────────────────────────────────────────────────────────────────


def request(number: int) -> Request:
    from selfinstruct.records import Message, Prompt, Sampling

    return Request(
        id=f"generate/{number:06d}",
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content="x"),)),
        sampling=Sampling(model="m"),
    )


class Stage:
    """Sends requests in one stage, as far as a policy allows it."""

    def __init__(self, *, can_check: bool = False) -> None:
        self.policy = FailurePolicy(slots=64, give_up_after_s=7200, can_check=can_check)
        self._fresh = iter(map(request, range(1, 1000)))

    def try_to_send(self, now: float = 0) -> Request | None:
        return self.policy.choose("generate", lambda: next(self._fresh), now=now)

    def send(self, now: float = 0) -> Request:
        sent = self.try_to_send(now)
        assert sent is not None
        return sent


ERROR = TransientError("503")


def test_a_late_answer_proves_nothing() -> None:
    """While an endpoint shuts down, it may still answer requests that it received before."""
    stage = Stage()
    early = [stage.send() for _ in range(40)]
    late = stage.send(1)
    stage.policy.failed(late, ERROR, now=20)
    for other in early:
        assert stage.policy.answered(other, now=20) == []
    # The stage is still out, so only one probe is sent.
    assert stage.send(21)
    assert stage.try_to_send(21) is None


def test_two_strikes_and_twenty_answers_end_a_request() -> None:
    stage = Stage()
    poison = stage.send()
    stage.policy.failed(poison, ERROR, now=20)
    for n in range(OTHERS_ANSWERED):  # with the first answer, the failure becomes a strike
        assert stage.policy.answered(stage.send(21 + n), now=21 + n) == []
    assert stage.send(60) == poison  # sent again
    stage.policy.failed(poison, ERROR, now=80)
    (failure,) = stage.policy.answered(stage.send(81), now=82)
    assert (failure.request_id, failure.problem) == (poison.id, ERROR.problem)


def test_a_connection_error_is_no_strike() -> None:
    stage = Stage()
    for n in range(20):
        unlucky = stage.send(100 * n)
        stage.policy.failed(
            unlucky, TransientError("no connection", counts_as_strike=False), now=100 * n
        )
        for m in range(1, 40):
            answered = stage.send(100 * n + m)
            if answered != unlucky:
                assert stage.policy.answered(answered, now=100 * n + m) == []
            else:
                stage.policy.failed(
                    answered, TransientError("no", counts_as_strike=False), now=100 * n + m
                )


def test_several_failures_in_a_row_are_an_outage() -> None:
    stage = Stage()
    unlucky = [stage.send() for _ in range(5)]
    for one in unlucky:
        stage.policy.failed(one, ERROR, now=20)
    stage.policy.answered(stage.send(21), now=22)
    # None of them gets a strike, so all of them are sent again immediately.
    assert [stage.send(23) for _ in unlucky] == unlucky


def test_a_failed_request_may_be_rejected_later(tmp_path: Path, config: RunConfig) -> None:
    """If a request's first round fails and the second is rejected, only the rejection is journaled."""

    class Odd(Endpoint):
        async def complete(self, request: Request) -> Completion:
            if request.id == "classify/task_000002" and self.asked[request.id]:
                raise RequestRejectedError("too long", status=400)
            return await super().complete(request)

    endpoint = Odd(only("classify/task_000002"))
    grow_at_once(tmp_path / "run", replace(config, num_instructions=60), endpoint)
    (event,) = [e for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert event.request_id == "classify/task_000002"


# ── rejected requests ────────────────────────────────────────────────────────────────────────────────────


def send(policy: FailurePolicy, number: int) -> Request:
    sent = policy.choose("generate", lambda: request(number), now=0)
    assert sent is not None
    return sent


def reject(policy: FailurePolicy, number: int, problem: str = "400: unknown parameter") -> None:
    wrong_setup = policy.rejected(send(policy, number), RequestRejectedError(problem, status=400))
    if wrong_setup is not None:
        raise wrong_setup


def policy_after(answers: int) -> FailurePolicy:
    return FailurePolicy(slots=64, give_up_after_s=7200, answered={"generate": answers})


def numbers(failures: list[RequestFailed]) -> list[int]:
    return [int(failure.request_id[-6:]) for failure in failures]


def test_five_equal_rejections_mean_a_wrong_setup() -> None:
    policy = policy_after(1)
    for number in range(4):
        reject(policy, number)
    with pytest.raises(
        EndpointError, match=r"5 requests in a row were rejected .* unknown parameter"
    ):
        reject(policy, 5)


def test_ten_different_rejections_mean_a_wrong_setup() -> None:
    """Different messages may be caused by the prompts, for example if each contains the prompt's length."""
    policy = policy_after(1)
    for number in range(9):
        reject(policy, number, f"400: {1024 + number} tokens are too many")
    with pytest.raises(EndpointError, match="10 requests in a row"):
        reject(policy, 10, "400: 2048 tokens are too many")


def test_only_a_later_request_settles_a_rejection() -> None:
    policy = policy_after(1)
    early = send(policy, 1)
    reject(policy, 2)
    assert policy.answered(early, now=0) == []
    late = send(policy, 3)
    reject(policy, 4)
    assert numbers(policy.answered(late, now=0)) == [2]
    assert policy.has_rejected


def test_two_last_rejections_are_settled_after_an_answer() -> None:
    policy = policy_after(1)
    reject(policy, 1)
    reject(policy, 2, "400: too long")
    assert numbers(policy.settle_rejected()) == [1, 2]
    assert not policy.has_rejected

    policy = policy_after(0)
    reject(policy, 1)
    with pytest.raises(EndpointError, match="the only request was rejected and none was answered"):
        policy.settle_rejected()


def test_a_long_run_may_end_with_a_few_rejections() -> None:
    policy = policy_after(200)
    for number in range(3):
        reject(policy, number)
    assert len(policy.settle_rejected()) == 3
    for number in range(4):
        reject(policy, number)
    with pytest.raises(EndpointError, match="4 requests in a row"):
        policy.settle_rejected()
