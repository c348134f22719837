"""Test that a run stays within its limits, even with faults and killed processes.

The consumption that the endpoint billed according to its log is compared with the limits.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scripted_server import ByRequest, reply, scripted_aside
from support import (
    WORDS,
    ScriptedBackend,
    alpaca_text,
    exported,
    make_completion,
    make_seed_task,
    request_log,
    scripted_text,
)
from virtual_clock import run_at_once
from waiting import PATIENCE_S, until

from selfinstruct.api import run
from selfinstruct.cost import Consumption, Price, consumed
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.errors import ConfigError, EndpointError, LimitReachedError, TransientError
from selfinstruct.journal_events import Committed, CompletionReceived
from selfinstruct.pipeline.plan import task_request
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Completion, Request, SeedTask, Task, Usage
from selfinstruct.runner.directory import Run, open_run, read_run
from selfinstruct.runner.loop import grow
from selfinstruct.simulate import SimulatedEndpoint
from selfinstruct.simulate.faults.plan_file import read_fault_plan

PRICE = Price(input=Decimal("0.4"), cached_input=Decimal("0.4"), output=Decimal("1.6"))
PRICED = {"price_input": 0.4, "price_output": 1.6}


class Billing(ScriptedBackend):
    """A backend that records the consumption that it bills.

    If it is faulty, it bills some attempts at their worst case without reporting their usage.
    """

    def __init__(self, *, faulty: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.billed = Consumption()
        self._faulty = faulty
        self._rng = Random(seed)

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        for _ in range(self._rng.randrange(9)):
            await asyncio.sleep(0)  # so that the requests end in a different order
        most = worst_case(request)
        usage = Usage(
            prompt_tokens=most.prompt_tokens // 4,
            # Return one token less than max_tokens, as a reply with max_tokens tokens counts as truncated.
            completion_tokens=self._rng.randint(1, max(1, most.completion_tokens - 1)),
        )
        outcome = self._rng.random() if self._faulty else 1.0
        self.billed += consumed(usage) if outcome >= 0.2 else most
        if outcome < 0.1:
            raise TransientError("lost")
        text = scripted_text(request)
        return make_completion(text, usage=None if outcome < 0.2 else usage)


def settings(seeds: Path, **changes: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "seed_tasks": seeds,
        "num_instructions": 60,
        "give_up_after_s": 60.0,
        **PRICED,
        **changes,
    }


@pytest.fixture
def seeds(seeds_file: Path) -> Path:
    return seeds_file


def export(directory: Path) -> bytes:
    return exported(directory, "alpaca")


@pytest.mark.parametrize("concurrency", [1, 7, 64])
@pytest.mark.parametrize(
    "limit",
    [{"max_cost": 0.12}, {"max_tokens_total": 100_000}, {"max_requests": 60}],
    ids=lambda limit: next(iter(limit)),
)
def test_a_limited_run_ends_with_complete_records(
    tmp_path: Path, seeds: Path, limit: Mapping[str, float], concurrency: int
) -> None:
    options = settings(seeds, max_concurrency=concurrency)
    backend = Billing(seed=concurrency)
    with pytest.raises(LimitReachedError) as caught:
        run(tmp_path / "run", {**options, **limit}, backend=backend)
    (name,) = limit
    assert caught.value.limit == name
    state = read_run(tmp_path / "run").state
    assert state.finished is not None
    assert state.finished.reason == "limit"
    assert 0 < state.accepted < 60
    assert state.open_tasks == 0  # every accepted task is complete
    assert state.ledger.spent == backend.billed
    consumed = {
        "max_cost": float(PRICE.cost(backend.billed)),
        "max_tokens_total": backend.billed.tokens,
        "max_requests": backend.billed.requests,
    }[name]
    assert consumed <= limit[name]
    # Without the limit, the run continues, and ends with the same dataset as a run without limits.
    run(tmp_path / "run", {name: None}, backend=Billing(seed=1))
    run(tmp_path / "whole", options, backend=Billing(seed=2))
    assert export(tmp_path / "run") == export(tmp_path / "whole")


@pytest.mark.parametrize("seed", range(4))
def test_unreported_usage_counts_at_its_worst_case(tmp_path: Path, seeds: Path, seed: int) -> None:
    backend = Billing(faulty=True, seed=seed)
    options = settings(seeds, max_cost=0.15)
    with open_run(tmp_path / "run", options) as opened, pytest.raises(LimitReachedError):
        run_at_once(grow(opened, backend=backend))
    ledger = read_run(tmp_path / "run").state.ledger
    assert ledger.unheard.requests > 0
    assert ledger.spent == backend.billed
    assert PRICE.cost(ledger.spent) <= Decimal("0.15")


def test_the_alpaca_recipe_has_no_finishing_cost(tmp_path: Path, seeds: Path) -> None:
    options = settings(seeds, recipe="alpaca", max_requests=7, max_concurrency=2)
    with pytest.raises(LimitReachedError):
        run(tmp_path / "run", options, backend=ScriptedBackend(alpaca_text))
    assert read_run(tmp_path / "run").state.ledger.spent.requests == 7


def test_a_limit_too_small_for_the_first_request_spends_nothing(
    tmp_path: Path, seeds: Path
) -> None:
    backend = Billing()
    with pytest.raises(LimitReachedError, match=r"--max-cost is reached: \$0 of \$0.0001 spent"):
        run(tmp_path / "run", settings(seeds, max_cost=0.0001), backend=backend)
    assert backend.asked == []


def test_a_cost_limit_needs_a_price(tmp_path: Path, seeds: Path) -> None:
    options = settings(seeds, max_cost=1, price_input=None, price_output=None)
    with pytest.raises(ConfigError, match="price"):
        run(tmp_path / "run", options, backend=Billing())
    assert not (tmp_path / "run").exists()


def test_max_time_counts_all_processes(tmp_path: Path, seeds: Path) -> None:
    async def slow(_: Request) -> None:
        await asyncio.sleep(0.05)

    options = settings(seeds, max_time_s=0.3, max_concurrency=1)
    backend = ScriptedBackend(pause=slow)
    for _ in range(2):
        with pytest.raises(LimitReachedError, match="--max-time is reached"):
            run(tmp_path / "run", options, backend=backend)
    assert len(backend.asked) <= 8  # the second process had no time left
    assert read_run(tmp_path / "run").worked_s >= 0.25


def test_a_run_opened_for_reading_does_not_grow(tmp_path: Path, seeds: Path) -> None:
    run(tmp_path / "run", settings(seeds, num_instructions=3), backend=ScriptedBackend())
    with pytest.raises(ValueError, match="opened for reading only"):
        asyncio.run(grow(read_run(tmp_path / "run"), backend=ScriptedBackend()))


def test_a_run_without_time_left_sends_nothing(tmp_path: Path, seeds: Path) -> None:
    backend = ScriptedBackend()
    with pytest.raises(LimitReachedError, match="--max-time is reached"):
        run(tmp_path / "run", settings(seeds, max_time_s=0), backend=backend)
    assert backend.asked == []


@pytest.mark.parametrize("limit", [{}, {"max_requests": 50}], ids=["none", "another"])
def test_a_limit_of_the_backend_ends_the_run(
    tmp_path: Path, seeds: Path, limit: Mapping[str, Any]
) -> None:
    class Limited(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if len(self.asked) >= 5:
                raise LimitReachedError("quota", "the daily quota is used up")
            return await super().complete(request)

    backend = Limited()
    with pytest.raises(LimitReachedError, match="the daily quota"):
        run(tmp_path / "run", settings(seeds, **limit), backend=backend)
    assert len(backend.asked) == 5


IMPOSSIBLE = [
    Usage(prompt_tokens=-(10**6), completion_tokens=5),
    Usage(prompt_tokens=7, completion_tokens=-1),
    Usage(prompt_tokens=10**30, completion_tokens=5),
    Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=8),
    Usage(prompt_tokens=True, completion_tokens=5),
    Usage(prompt_tokens=1.5, completion_tokens=5),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("usage", IMPOSSIBLE, ids=repr)
def test_impossible_usage_counts_as_unreported(tmp_path: Path, seeds: Path, usage: Usage) -> None:
    class Miscounting(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            return replace(await super().complete(request), usage=usage)

    run(tmp_path / "run", settings(seeds, num_instructions=2), backend=Miscounting())
    state = read_run(tmp_path / "run").state
    assert state.finished is not None
    ledger = state.ledger
    assert ledger.unheard == ledger.spent
    assert ledger.spent.requests == state.counts.requests.total()
    assert summarize(state).prompt_tokens == 0


def test_impossible_usage_in_a_journal_counts_as_unreported(tmp_path: Path, seeds: Path) -> None:
    options = settings(seeds)
    usage = Usage(prompt_tokens=10**30, completion_tokens=-(10**30))
    with open_run(tmp_path / "run", options) as opened:
        assert opened.journal is not None
        opened.journal.append(
            CompletionReceived(
                request_id="generate/000001",
                stage="generate",
                template="t@0",
                prompt_sha256="0",
                demonstration_ids=(),
                completion=make_completion(usage=usage),
            ),
            Committed(number=1, accepted=(), rejected=()),
        )
    state = read_run(tmp_path / "run").state
    assert state.commits == 1
    assert state.ledger.spent == Consumption(requests=1)


# ── finishing cost ───────────────────────────────────────────────────────────────────────────────────────


def finishing_cost(opened: Run) -> Consumption:
    """Return the finishing cost at the time when the next generation request is sent."""
    assert opened.scheduler is not None
    opened.scheduler.open_all()
    request = opened.scheduler.next_request("generate")
    assert request is not None
    return opened.scheduler.finishing_cost(request.id)


def test_waiting_lists_count_towards_the_finishing_cost(tmp_path: Path, seeds: Path) -> None:
    """The first list fails while three later lists wait. The reply to its retry commits all four."""
    others = asyncio.Event()

    class Failing(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if request.id == "generate/000001":
                await others.wait()
                raise EndpointError("gone")
            completion = await super().complete(request)
            if len(self.asked) == 3:
                others.set()
            return completion

    options = settings(seeds, max_concurrency=16, max_requests=500)
    with pytest.raises(EndpointError):
        run(tmp_path / "run", options, backend=Failing())
    with open_run(tmp_path / "run") as opened:
        assert len(opened.state.waiting) == 3
        assert finishing_cost(opened).requests == 4 * 8 * 3


def test_the_finishing_cost_counts_bytes_and_excess(
    tmp_path: Path, seed_tasks: list[SeedTask]
) -> None:
    long, wide = (
        "Say " + "a" * 96,
        "Скажи " + "а" * 60,
    )  # the second text has fewer characters but more bytes
    tasks = [
        *seed_tasks,
        make_seed_task(97, instruction=long),
        make_seed_task(98, instruction=wide),
    ]
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks(tasks))
    with open_run(tmp_path / "run", settings(seeds, max_cost=1)) as opened:
        task = Task(id="x", instruction=wide, origin="generated")
        kinds = [replace(task, is_classification=kind) for kind in (True, False)]
        classify, *instances = (
            worst_case(task_request(opened.state, opened.config, opened.templates, kind))
            for kind in (task, *kinds)
        )
        most = 2 * classify + max(instances, key=lambda c: c.tokens)
        assert finishing_cost(opened) == 8 * most
        opened.state.ledger.excess = Consumption(prompt_tokens=100)
        assert finishing_cost(opened) == 8 * most + Consumption(prompt_tokens=8 * 3 * 100)


def test_longer_lists_raise_the_finishing_cost(tmp_path: Path, seeds: Path) -> None:
    def write(request: Request) -> str:
        if request.stage == "classify":
            return "Sure, go ahead."  # unclear, so the request is repeated
        if request.stage != "generate":
            return scripted_text(request)
        rng = Random(request.prompt.sha256)
        return "\n".join(f"{n}. Describe {' '.join(rng.sample(WORDS, 4))}." for n in range(9, 29))

    async def pause(request: Request) -> None:
        # Lists take longer, so that they arrive one by one.
        await asyncio.sleep(0.05 if request.stage == "generate" else 0)

    # The two lists in flight at the start can lead to up to 122 requests.
    options = settings(seeds, max_requests=150, max_concurrency=1)
    with open_run(tmp_path / "run", options) as opened, pytest.raises(LimitReachedError):
        run_at_once(grow(opened, backend=ScriptedBackend(write, pause=pause)))
    state = read_run(tmp_path / "run").state
    assert state.accepted > 15
    assert state.open_tasks == 0


# ── over a real socket ──────────────────────────────────────────────────────────────────────────────────────

BAD_DAY = """
per_attempt:
  - {fault: status, share: 0.06, status: 429, retry_after: {milliseconds: 5}}
  - {fault: status, share: 0.03, status: 503}
  - {fault: hang, share: 0.02}
  - {fault: drop, share: 0.03}
  - {fault: reset, share: 0.03}
  - {fault: broken_json, share: 0.03}
  - {fault: no_choices, share: 0.02}
per_request:
  - {fault: no_usage, share: 0.1}
"""


def billed(log: Path) -> Consumption:
    """Return the consumption that the endpoint billed, according to its log."""
    entries = request_log(log)
    return Consumption(
        requests=sum(entry["event"] == "received" for entry in entries),
        prompt_tokens=sum(entry.get("billed_prompt_tokens", 0) for entry in entries),
        completion_tokens=sum(entry.get("billed_completion_tokens", 0) for entry in entries),
    )


def command(directory: Path, url: str, *flags: str) -> list[str]:
    arguments = [sys.executable, "-m", "selfinstruct", "run", "-o", str(directory)]
    arguments += ["-m", "simulated", "--base-url", url, "-n", "60", "--request-timeout", "0.5"]
    return [*arguments, "--price-input", "0.4", "--price-output", "1.6", *flags]


def wait_for_requests(process: "subprocess.Popen[bytes]", log: Path, number: int) -> None:
    """Wait until the process has sent `number` more requests, or has ended."""
    enough = billed(log).requests + number
    until(lambda: process.poll() is not None or billed(log).requests >= enough)


def test_faults_and_kills_do_not_exceed_the_limit(tmp_path: Path, thorough: bool) -> None:
    plan, log = tmp_path / "plan.yaml", tmp_path / "requests.jsonl"
    plan.write_text(BAD_DAY)
    rng, kills_left, killed, cap = random.Random(7), 8 if thorough else 2, 0, Decimal("0.06")
    with SimulatedEndpoint(latency_ms=(5, 60), faults=read_fault_plan(plan), log=log) as endpoint:
        arguments = command(tmp_path / "run", endpoint.base_url, "--max-cost", str(cap))
        while kills_left:
            with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
                wait_for_requests(process, log, rng.randint(1, 12))
                killed += process.poll() is None  # the process may have ended already
                process.send_signal(signal.SIGKILL)
            kills_left -= 1
            assert PRICE.cost(billed(log)) <= cap
        assert killed
        ended = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 3, ended.stderr
    assert "--max-cost is reached" in ended.stderr
    bill, ledger = billed(log), read_run(tmp_path / "run").state.ledger
    assert 0 < PRICE.cost(bill) <= PRICE.cost(ledger.spent) <= cap
    assert bill.requests <= ledger.spent.requests


def hidden_reasoning(usage: dict[str, int], most: int) -> tuple[dict[str, int], int]:
    """Return a usage that counts reasoning tokens only in its total, which is within max_tokens."""
    reasoning = min(4 * usage["completion_tokens"], most - usage["completion_tokens"])
    return usage | {"total_tokens": usage["total_tokens"] + reasoning}, reasoning


COUNTS: dict[str, Callable[[dict[str, int], int], tuple[Any, int]]] = {
    "reasoning in the total": hidden_reasoning,
    "zero": lambda usage, _: (dict.fromkeys(usage, 0), 0),
    "no completion tokens": lambda usage, _: (
        usage | {"completion_tokens": 0, "total_tokens": 0},
        0,
    ),
    "negative": lambda usage, _: (usage | {"completion_tokens": -5}, 0),
    "fractions": lambda usage, _: (usage | {"prompt_tokens": 0.5}, 0),
    "text": lambda usage, _: (usage | {"completion_tokens": "7"}, 0),
    "absurd": lambda usage, _: (usage | {"completion_tokens": 10**12}, 0),
    "missing": lambda _, __: (None, 0),
}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_wrong_usage_does_not_exceed_the_limit(
    tmp_path: Path, counts: Callable[[dict[str, int], int], tuple[Any, int]]
) -> None:
    bill, cap = Consumption(), Decimal("0.05")
    with SimulatedEndpoint() as endpoint, scripted_aside() as script:

        def relayed(path: str, body: dict[str, Any]) -> bytes:
            nonlocal bill
            relayed_request = urllib.request.Request(
                endpoint.base_url + path.removeprefix("/v1"),
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(relayed_request) as response:
                data = json.load(response)
            usage = data["usage"]
            data["usage"], more = counts(usage, body["max_tokens"])
            bill += Consumption(
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"] + more,
            )
            return reply(body=data)

        script.replies = ByRequest(script, relayed)
        ended = subprocess.run(
            command(
                tmp_path / "run", script.url, "--max-cost", str(cap), "--request-timeout", "60"
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 3, ended.stderr
    spent = read_run(tmp_path / "run").state.ledger.spent
    assert 0 < PRICE.cost(bill) <= PRICE.cost(spent) <= cap
