"""Requests that keep failing, and endpoints that are out: what is given up, what is waited for.

Whole runs in an event loop in which no time passes. The backend's attempts lie as those of the real one do.
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
from selfinstruct.events import Committed, CompletionReceived, RequestFailed, RunFinished
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.loop import grow, is_complete
from selfinstruct.runner.outages import LONGEST_PAUSE_S, OTHERS_ANSWERED, OutagePolicy, Pause

ATTEMPTS_AT_S = (0.0, 0.5, 1.5, 3.5, 7.5, 15.5)
"""When a request's six attempts are made, with the mean of the waits."""


def grow_at_once(
    directory: Path,
    config: RunConfig | None,
    endpoint: "Endpoint",
    *,
    can_check: bool = True,
    on_pause: Callable[[Pause], None] | None = None,
) -> float:
    """Grow a run on a clock that is put forward; returns the seconds that have passed on it."""

    class WithoutACheck:
        async def complete(self, request: Request) -> Completion:
            return await endpoint.complete(request)

    async def grown() -> float:
        began = asyncio.get_running_loop().time()
        backend = endpoint if can_check else WithoutACheck()
        with open_run(directory, config) as opened:
            await grow(opened, backend=backend, on_pause=on_pause)
        return asyncio.get_running_loop().time() - began

    return run_at_once(grown())


class Endpoint:
    """Answers by the script after some latency; `is_bad(request, now)` says which attempts fail."""

    def __init__(
        self, is_bad: Callable[[Request, float], bool], *, latency_s: tuple[float, float] = (0.2, 2)
    ) -> None:
        self._is_bad = is_bad
        self._latency_s = latency_s
        self._random = Random(1)
        self.asked: Counter[str] = Counter()
        """How often each request was to be completed, six attempts or fewer each time."""
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
        """A check, whose request is like no other."""
        await asyncio.sleep(0.1)
        self.checks += 1
        return not self._is_bad(request(0), asyncio.get_running_loop().time())


def events(directory: Path) -> list[object]:
    return [entry.event for entry in read_journal(directory / "journal.jsonl")]


def failed(directory: Path) -> list[str]:
    return [e.request_id for e in events(directory) if isinstance(e, RequestFailed)]


def of(*ids: str) -> Callable[[Request, float], bool]:
    return lambda request, _: request.id in ids


# ── one request ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize(
    "poison", ["generate/000045", "classify/task_000040", "instances/task_000040"]
)
def test_a_request_that_fails_while_others_are_answered_is_given_up(
    tmp_path: Path, config: RunConfig, poison: str, concurrency: int
) -> None:
    config = replace(config, num_instructions=130, max_concurrency=concurrency)
    endpoint = Endpoint(of(poison))
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
def test_several_such_requests_do_not_pass_for_an_outage_for_ever(
    tmp_path: Path, config: RunConfig, concurrency: int
) -> None:
    poison = [f"classify/task_{n:06d}" for n in (20, 21, 22, 23)]
    config = replace(config, num_instructions=80, max_concurrency=concurrency)
    endpoint = Endpoint(of(*poison))
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
def test_where_there_are_no_twenty_others_checks_tell_a_request_from_an_outage(
    tmp_path: Path, config: RunConfig, poison: list[str], concurrency: int
) -> None:
    config = replace(config, max_concurrency=concurrency, num_instructions=12)
    endpoint = Endpoint(of(*poison))
    took_s = grow_at_once(tmp_path / "run", config, endpoint)
    assert set(failed(tmp_path / "run")) <= set(poison)  # a list may not be needed any more
    assert is_complete(read_run(tmp_path / "run"))
    assert took_s < 900
    assert max(endpoint.asked[request_id] for request_id in poison) < 12
    assert endpoint.checks < 30


@pytest.mark.parametrize("concurrency", [1, 32])
def test_a_run_ends_whose_last_requests_always_fail(
    tmp_path: Path, config: RunConfig, concurrency: int
) -> None:
    """All others were sent before, so that nobody else tells whether the endpoint is out."""
    config = replace(config, num_instructions=60, max_concurrency=concurrency)
    undisturbed = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "known", config, undisturbed)
    last = [name for name in undisturbed.asked if name.startswith("instances")][-4:]
    took_s = grow_at_once(tmp_path / "run", config, Endpoint(of(*last)))
    assert sorted(failed(tmp_path / "run")) == sorted(last)
    assert took_s < 1800


def test_without_a_way_to_check_the_last_request_may_be_an_outage(
    tmp_path: Path, config: RunConfig
) -> None:
    config = replace(config, num_instructions=60, give_up_after_s=600.0)
    undisturbed = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "known", config, undisturbed)
    endpoint = Endpoint(of(list(undisturbed.asked)[-1]))
    with pytest.raises(EndpointError, match="was answered for 10 min"):
        grow_at_once(tmp_path / "run", config, endpoint, can_check=False)
    assert failed(tmp_path / "run") == []


def test_a_server_that_is_not_there_when_a_run_is_resumed_costs_no_request(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    """One request is left, and twenty others were answered in an earlier process."""

    class Stopping(Endpoint):
        async def complete(self, request: Request) -> Completion:
            if request.id == "instances/task_000048":
                raise EndpointError("the process is to end here")
            return await super().complete(request)

    class NotThere(Endpoint):
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
            grow_at_once(tmp_path / "run", settings, NotThere(lambda *_: True))
    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert failed(tmp_path / "run") == []
    assert exported(tmp_path / "run") == exported(reference)


@pytest.mark.parametrize("error", [TransientError("503"), RequestRejectedError("no", status=400)])
def test_a_list_that_is_not_needed_any_more_may_fail_as_it_likes(
    tmp_path: Path, config: RunConfig, error: Exception
) -> None:
    """Three replies were enough; the others were out already."""

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


def test_what_is_given_up_is_not_asked_again_and_counts_as_without_a_reply(
    tmp_path: Path, config: RunConfig
) -> None:
    config = replace(config, num_instructions=60)
    grow_at_once(tmp_path / "run", config, Endpoint(of("generate/000007")))
    again = Endpoint(lambda *_: False)
    grow_at_once(tmp_path / "run", RunConfig(model="scripted", num_instructions=80), again)
    assert "generate/000007" not in again.asked
    assert read_run(tmp_path / "run").state.counts.failed == {"generate": 1}


# ── the endpoint ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_outage_is_waited_out_with_pauses_that_grow_and_changes_nothing(
    tmp_path: Path, config: RunConfig, reference: Path
) -> None:
    """An hour of nothing, in the middle."""
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
    # Who was in flight when it began was asked again, and there was a probe for each pause.
    # In an hour there are twenty for each stage.
    assert sum(endpoint.asked.values()) - len(endpoint.asked) <= 32 + 3 * 20
    assert max(endpoint.asked.values()) <= 8


def test_after_an_outage_all_stages_come_back_at_once(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, num_instructions=60)
    pauses: list[Pause] = []
    endpoint = Endpoint(lambda _, now: 4 < now < 304)
    took_s = grow_at_once(tmp_path / "run", config, endpoint, on_pause=pauses.append)
    assert {pause.stage for pause in pauses} == {"generate", "classify", "instances"}
    # From the longest pause and the attempts of its probe on, as long as an undisturbed run would take.
    assert took_s < 304 + max(pause.seconds for pause in pauses) + ATTEMPTS_AT_S[-1] + 30


@pytest.mark.parametrize("concurrency", [1, 32])
def test_an_outage_that_is_too_long_ends_the_run_which_can_go_on(
    tmp_path: Path, config: RunConfig, reference: Path, concurrency: int
) -> None:
    config = replace(
        config, num_instructions=60, max_concurrency=concurrency, give_up_after_s=600.0
    )
    endpoint = Endpoint(lambda _, now: now > 4)
    with pytest.raises(
        EndpointError, match=r"503: busy .* was answered for 10 min, and --give-up-after"
    ):
        grow_at_once(tmp_path / "run", config, endpoint)
    assert failed(tmp_path / "run") == []
    last = events(tmp_path / "run")[-1]
    assert isinstance(last, RunFinished)
    assert last.reason == "failed"

    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert exported(tmp_path / "run") == exported(reference)


def test_an_endpoint_that_never_answered_is_waited_for_too(
    tmp_path: Path, config: RunConfig
) -> None:
    """A local server takes minutes to load its model."""
    config = replace(config, num_instructions=60)
    took_s = grow_at_once(tmp_path / "run", config, Endpoint(lambda _, now: now < 400))
    assert 400 < took_s < 400 + LONGEST_PAUSE_S + 120
    assert failed(tmp_path / "run") == []


def test_no_patience_at_all_ends_the_run_at_once(tmp_path: Path, config: RunConfig) -> None:
    config = replace(config, give_up_after_s=0.0)
    with pytest.raises(EndpointError, match="503: busy"):
        grow_at_once(tmp_path / "run", config, Endpoint(lambda *_: True))
    assert not any(isinstance(e, CompletionReceived) for e in events(tmp_path / "run"))


@pytest.mark.parametrize("stage", ["classify", "instances"])
def test_a_stage_that_nobody_answers_is_an_outage_of_that_stage(
    tmp_path: Path, config: RunConfig, reference: Path, stage: str
) -> None:
    """A parameter that makes the endpoint fail, say: nothing is given up for it."""
    config = replace(config, num_instructions=60)
    endpoint = Endpoint(lambda request, _: request.stage == stage)
    with pytest.raises(EndpointError, match=f"of the stage {stage} was answered"):
        grow_at_once(tmp_path / "run", config, endpoint)
    assert failed(tmp_path / "run") == []
    assert read_run(tmp_path / "run").state.accepted >= 60  # the other stages went on
    assert sum(n for name, n in endpoint.asked.items() if name.startswith(stage)) < 80

    grow_at_once(tmp_path / "run", None, Endpoint(lambda *_: False))
    assert exported(tmp_path / "run") == exported(reference)


@st.composite
def outages(draw: st.DrawFn) -> list[tuple[float, float]]:
    """When an endpoint is out, and for how long; always longer than the attempts of a request take."""
    found, at = [], draw(st.floats(0, 20))
    for _ in range(draw(st.integers(1, 3))):
        until = at + draw(st.floats(2 * ATTEMPTS_AT_S[-1], 1000))
        found.append((at, until))
        at = until + draw(st.floats(2 * ATTEMPTS_AT_S[-1], 60))
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
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
def test_no_outage_changes_the_dataset_or_loses_a_request(
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


# ── the rules by themselves ──────────────────────────────────────────────────────────────────────────────


def request(number: int) -> Request:
    from selfinstruct.records import Message, Prompt, Sampling

    return Request(
        id=f"generate/{number:06d}",
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content="x"),)),
        sampling=Sampling(model="m"),
    )


class Line:
    """Requests of one stage, sent by hand."""

    def __init__(self, *, can_check: bool = False) -> None:
        self.outage_policy = OutagePolicy(slots=64, give_up_after_s=7200, can_check=can_check)
        self._fresh = iter(map(request, range(1, 1000)))

    def try_to_send(self, now: float = 0) -> Request | None:
        return self.outage_policy.choose("generate", lambda: next(self._fresh), now=now)

    def send(self, now: float = 0) -> Request:
        sent = self.try_to_send(now)
        assert sent is not None
        return sent


ERROR = TransientError("503")


def test_a_late_reply_says_nothing_about_those_that_failed_before() -> None:
    """An endpoint that breaks down may well finish what it has begun."""
    line = Line()
    early = [line.send() for _ in range(40)]
    late = line.send(1)
    line.outage_policy.failed(late, ERROR, now=20)
    for other in early:
        assert line.outage_policy.answered(other, now=20) == []
    # Still nobody is known to be answered, so only a probe is sent.
    assert line.send(21)
    assert line.try_to_send(21) is None


def test_a_second_strike_after_twenty_others_is_the_end_of_a_request() -> None:
    line = Line()
    poison = line.send()
    line.outage_policy.failed(poison, ERROR, now=20)
    for n in range(OTHERS_ANSWERED):  # the first of these is a strike
        assert line.outage_policy.answered(line.send(21 + n), now=21 + n) == []
    assert line.send(60) == poison  # its turn again
    line.outage_policy.failed(poison, ERROR, now=80)
    assert line.outage_policy.answered(line.send(81), now=82) == [(poison, ERROR)]


def test_a_request_that_hangs_does_not_keep_others_from_being_sent_again() -> None:
    line = Line(can_check=True)
    hanging, one = line.send(), line.send()
    assert hanging.id != one.id
    line.outage_policy.failed(one, ERROR, now=20)
    assert (
        line.outage_policy.choose("generate", lambda: None, now=25) is None
    )  # it may be answered yet
    assert line.outage_policy.choose("generate", lambda: None, now=61) == one


def test_what_cannot_be_the_fault_of_a_request_is_no_strike() -> None:
    line = Line()
    for n in range(20):
        unlucky = line.send(100 * n)
        line.outage_policy.failed(
            unlucky, TransientError("no connection", counts_as_strike=False), now=100 * n
        )
        for m in range(1, 40):
            answered = line.send(100 * n + m)
            if answered != unlucky:
                assert line.outage_policy.answered(answered, now=100 * n + m) == []
            else:
                line.outage_policy.failed(
                    answered, TransientError("no", counts_as_strike=False), now=100 * n + m
                )


def test_several_that_failed_with_nothing_answered_in_between_had_an_outage() -> None:
    line = Line()
    unlucky = [line.send() for _ in range(5)]
    for one in unlucky:
        line.outage_policy.failed(one, ERROR, now=20)
    line.outage_policy.answered(line.send(21), now=22)
    # They have their turn again, at once and without a strike.
    assert [line.send(23) for _ in unlucky] == unlucky


def test_refusals_say_nothing_about_an_outage(tmp_path: Path, config: RunConfig) -> None:
    """A request that failed for a while and is then refused is refused, and nothing else."""

    class Odd(Endpoint):
        async def complete(self, request: Request) -> Completion:
            if request.id == "classify/task_000002" and self.asked[request.id]:
                raise RequestRejectedError("too long", status=400)
            return await super().complete(request)

    endpoint = Odd(of("classify/task_000002"))
    grow_at_once(tmp_path / "run", replace(config, num_instructions=60), endpoint)
    (event,) = [e for e in events(tmp_path / "run") if isinstance(e, RequestFailed)]
    assert event.request_id == "classify/task_000002"
