"""Tests of estimates: ranges are consistent and contain what real runs consume."""

import asyncio
import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import (
    FaultyBackend,
    ScriptedBackend,
    alpaca_text,
    examples,
    make_completion,
    scripted_text,
)

from selfinstruct.analysis.estimate import basis_of, estimate_of
from selfinstruct.analysis.estimate.assumptions import assumed, reply_limit
from selfinstruct.analysis.estimate.forecast import Basis, forecast, reach
from selfinstruct.analysis.estimate.ranges import Range, around, exactly
from selfinstruct.analysis.estimate.results import Estimate
from selfinstruct.analysis.preview import probe
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.llm.online import open_backend
from selfinstruct.pipeline.acceptance_rate import Acceptance
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import Run, planned_run, read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint

PRICED: dict[str, Any] = {"price_input": 0.4, "price_output": 1.6}

positive = st.floats(1e-3, 1e6)


@st.composite
def ranges(draw: st.DrawFn) -> Range[float]:
    low, expected, high = sorted((draw(positive), draw(positive), draw(positive)))
    return Range(low=low, expected=expected, high=high)


def expected_use(**changes: Any) -> Run:
    return planned_run(None, {"model": "m", **PRICED} | changes)


def in_order(estimate: Estimate) -> bool:
    """Return whether low ≤ expected ≤ high in every range of an estimate."""
    for amounts in (estimate.left, estimate.total, *estimate.stages.values()):
        ends = [dataclasses.astuple(c) for c in (amounts.low, amounts.expected, amounts.high)]
        if not all(list(column) == sorted(column) for column in zip(*ends, strict=True)):
            return False
    for money in (estimate.left_usd, estimate.total_usd, estimate.left_batch_usd):
        if money is not None and not money.low <= money.expected <= money.high:
            return False
    return estimate.hours.low <= estimate.hours.expected <= estimate.hours.high


# ── ranges ───────────────────────────────────────────────────────────────────────────────────────────────


@given(ranges(), ranges())
def test_a_product_is_wider_than_either_factor(a: Range[float], b: Range[float]) -> None:
    product = a * b
    assert product.low <= product.expected <= product.high
    assert product.expected == pytest.approx(a.expected * b.expected)
    widest = max(a.high / a.expected, b.high / b.expected)
    assert product.high / product.expected >= widest * (1 - 1e-9)
    assert product.high <= a.high * b.high * (1 + 1e-9)
    assert product.low / product.expected <= min(a.low / a.expected, b.low / b.expected) * (
        1 + 1e-9
    )
    assert product.low >= a.low * b.low * (1 - 1e-9)


@given(ranges(), positive)
def test_an_exact_factor_widens_nothing(a: Range[float], known: float) -> None:
    product, scaled = a * exactly(known), a.times(known)
    assert (product.low, product.expected, product.high) == pytest.approx(
        (scaled.low, scaled.expected, scaled.high)
    )


def test_an_invalid_range_is_rejected() -> None:
    for ends in ((2, 1, 3), (1, 3, 2), (-1, 0, 1), (0, 0, float("inf"))):
        with pytest.raises(ValueError, match="is no range"):
            Range(low=ends[0], expected=ends[1], high=ends[2])


def test_zero_times_a_range_keeps_the_high_end() -> None:
    maybe = Range(low=0.0, expected=0.0, high=2.0) * around(10, 2)
    assert (maybe.low, maybe.expected, maybe.high) == (0, 0, 40)


@given(
    st.integers(1, 10_000),
    st.integers(1, 60_000),
    st.floats(0.01, 1.0),
    st.integers(1, 10_000),
    st.floats(0.0, 0.6),
)
def test_the_integral_equals_the_sum(
    start: int, growth: int, share: float, size: int, power: float
) -> None:
    law = Acceptance(share=share, size=size, decline=power)
    candidates = law.candidates(start, start + growth)
    steps = 2_000
    step = growth / steps
    points = (start + (k + 0.5) * step for k in range(steps))
    summed = sum(step / min(1.0, share * (n / size) ** -power) for n in points)
    assert candidates == pytest.approx(summed, rel=1e-2)
    assert candidates >= growth * (1 - 1e-9)


# ── forecasts ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bases() -> Sequence[Basis]:
    """Return the bases of new runs of both recipes and both APIs."""
    return [
        basis_of(expected_use(recipe=recipe, api=api))
        for recipe in ("self-instruct", "alpaca")
        for api in ("chat", "completions")
    ]


@given(st.integers(0, 3), st.integers(1, 100_000), st.integers(0, 10_000))
def test_a_larger_target_never_takes_less(
    bases: Sequence[Basis], which: int, target: int, more: int
) -> None:
    less, rest = (forecast(bases[which], target=t) for t in (target, target + more))
    assert in_order(less)
    for end in ("low", "expected", "high"):
        for name in ("requests", "prompt_tokens", "completion_tokens"):
            before, after = (getattr(getattr(e.left, end), name) for e in (less, rest))
            assert before <= after + 1  # both numbers are rounded
        assert getattr(less.hours, end) <= getattr(rest.hours, end) * (1 + 1e-9)


@settings(max_examples=examples(30))
@given(st.integers(1, 64), st.integers(1, 5_000), st.integers(1, 10**6))
def test_tighter_limits_never_take_less_time(concurrency: int, requests: int, tokens: int) -> None:
    free = basis_of(expected_use(num_instructions=500))

    def hours(**limits: Any) -> Range[float]:
        config = free.config.changed(**limits)
        return forecast(dataclasses.replace(free, config=config)).hours

    alone = hours(max_concurrency=concurrency)
    held = hours(
        max_concurrency=concurrency, max_requests_per_minute=requests, max_tokens_per_minute=tokens
    )
    wider = hours(max_concurrency=concurrency + 1)
    for end in ("low", "expected", "high"):
        assert getattr(held, end) >= getattr(alone, end) >= getattr(wider, end)
    total = forecast(free).left.expected
    assert held.expected >= total.requests / requests / 60 * 0.99
    assert held.expected >= total.tokens / tokens / 60 * 0.99


def test_alpaca_has_one_stage_and_self_instruct_three() -> None:
    assert list(estimate_of(expected_use(recipe="alpaca")).stages) == ["generate"]
    assert list(estimate_of(expected_use()).stages) == ["generate", "classify", "instances"]


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_no_reply_is_longer_than_its_limit(limit: int) -> None:
    limits = {f"{stage}_max_tokens": limit for stage in ("generate", "classify", "instances")}
    for amounts in estimate_of(expected_use(**limits)).stages.values():
        assert amounts.high.completion_tokens <= limit * amounts.high.requests


def test_max_tokens_in_extra_body_wins() -> None:
    config = RunConfig(model="m", extra_body={"max_completion_tokens": 7})
    assert {reply_limit(stage.sampling(config)) for stage in SELF_INSTRUCT.stages} == {7}
    config = RunConfig(model="m", extra_body={"max_tokens": None})
    assert {reply_limit(stage.sampling(config)) for stage in SELF_INSTRUCT.stages} == {None}


def test_room_for_reasoning_lengthens_replies() -> None:
    plain, room = estimate_of(expected_use()), estimate_of(expected_use(classify_max_tokens=2000))
    assert room.left.expected.completion_tokens > 2 * plain.left.expected.completion_tokens


def test_longer_prompts_cost_more() -> None:
    few, many = (estimate_of(expected_use(demonstrations=n)) for n in (3, 30))
    assert many.stages["generate"].low.prompt_tokens > few.stages["generate"].high.prompt_tokens


def test_an_unknown_price_removes_only_dollars() -> None:
    run_ = planned_run(None, {"model": "m", "base_url": "http://localhost:1/v1"})
    unknown = estimate_of(run_)
    assert (unknown.left_usd, unknown.total_usd, unknown.left_batch_usd) == (None, None, None)
    assert unknown.as_json()["left"]["usd"] is None
    assert unknown.left == estimate_of(expected_use()).left


def test_a_vendor_batch_api_halves_the_price() -> None:
    found = estimate_of(planned_run(None, {"model": "gpt-4.1-mini"}))
    dollars, batch = found.left_usd, found.left_batch_usd
    assert dollars is not None
    assert batch is not None
    assert batch.expected == dollars.expected / 2
    assert estimate_of(expected_use()).left_batch_usd is None


def test_a_limit_reaches_where_the_estimate_meets_it() -> None:
    basis = basis_of(expected_use(num_instructions=10_000))

    def within(found: Estimate) -> bool:
        return found.total_usd is not None and found.total_usd.expected <= Decimal(2)

    far = reach(basis, within)
    assert 0 < far < 10_000
    assert within(forecast(basis, target=far))
    assert not within(forecast(basis, target=far + 1))
    assert reach(basis, lambda _: True) == 10_000
    assert reach(basis, lambda _: False) == 0


def test_the_json_holds_ordered_plain_numbers() -> None:
    found = estimate_of(expected_use(num_instructions=1000)).as_json()
    assert found.keys() == {"target", "accepted", "left", "total", "hours_left"}
    assert (found["target"], found["accepted"]) == (1000, 0)
    for whole in (found["left"], found["total"]):
        assert whole.keys() == {"requests", "prompt_tokens", "completion_tokens", "usd"}
        for ends in whole.values():
            assert 0 < ends["low"] <= ends["expected"] <= ends["high"]
            assert all(type(value) in (int, float) for value in ends.values())


# ── existing runs ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backend", [ScriptedBackend, FaultyBackend])
@pytest.mark.parametrize("recipe", ["self-instruct", "alpaca"])
def test_a_finished_run_is_estimated_exactly(
    tmp_path: Path, config: RunConfig, backend: type[ScriptedBackend], recipe: str
) -> None:
    text = alpaca_text if recipe == "alpaca" else scripted_text
    config = config.changed(recipe=recipe, **PRICED)
    run(tmp_path / "run", config, backend=backend(text))
    spent = read_run(tmp_path / "run").state.ledger.spent
    found = estimate_of(read_run(tmp_path / "run"))
    assert found.left.low == found.left.expected == found.left.high == Consumption()
    assert found.total.low == found.total.high == found.so_far == spent
    assert spent.requests
    assert found.hours == exactly(0.0)


def test_an_existing_run_is_estimated_from_its_replies(tmp_path: Path, config: RunConfig) -> None:
    def talkative(request: Request) -> Completion:
        return make_completion(scripted_text(request), latency_s=3.0)

    class Backend(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            return talkative(request)

    run(tmp_path / "run", config.changed(num_instructions=60, **PRICED), backend=Backend())
    run_ = planned_run(tmp_path / "run", {"num_instructions": 120})
    found = estimate_of(run_)
    assert found.accepted >= 60
    assert found.total.expected.requests > found.so_far.requests
    for per in found.assumptions.stages.values():
        # This endpoint reports 100 tokens for each prompt.
        assert per.prompt_tokens.range.expected == pytest.approx(100)
        assert per.prompt_tokens.basis.startswith("measured in")
        assert per.seconds.range.expected == pytest.approx(3.0)
    assert 2 < found.assumptions.candidates.range.expected <= 3
    before = assumed(run_).candidates.range
    assert before.expected > 7


def test_open_tasks_count_and_waiting_replies_do_not(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config.changed(num_instructions=30), backend=ScriptedBackend())
    state = read_run(tmp_path / "run").state
    journal = tmp_path / "run/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    found = estimate_of(planned_run(tmp_path / "run", {}))
    assert found.accepted < state.accepted
    assert in_order(found)
    by_stage = {stage: amounts.expected.requests for stage, amounts in found.stages.items()}
    missing = 30 - found.accepted
    assert by_stage["instances"] >= missing
    assert by_stage["instances"] >= by_stage["classify"] - 3


# ── probes ───────────────────────────────────────────────────────────────────────────────────────────────


def probed(run_: Run, backend: ScriptedBackend, count: int) -> Timeline:
    asyncio.run(probe(run_, backend=backend, count=count))
    return run_.state.timeline


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_probe_sends_requests_of_the_run(config: RunConfig, tmp_path: Path, count: int) -> None:
    backend = ScriptedBackend()
    timeline = probed(planned_run(None, config.given()), backend, count)
    assert {stage: replies.seconds.count for stage, replies in timeline.replies.items()} == (
        dict.fromkeys(("generate", "classify", "instances"), count)
    )
    asked = ScriptedBackend()
    run(tmp_path / "run", config.changed(num_instructions=200), backend=asked)
    assert set(backend.asked) <= set(asked.asked)


def test_a_probe_falls_back_to_seed_tasks(config: RunConfig) -> None:
    backend = ScriptedBackend(
        lambda request: "Sorry." if request.stage == "generate" else scripted_text(request)
    )
    probed(planned_run(None, config.given()), backend, 2)
    assert "classify/seed_task_0" in backend.asked
    assert "instances/seed_task_1" in backend.asked


def test_a_probe_respects_max_concurrency(config: RunConfig) -> None:
    under_way, most = 0, 0

    async def pause(_: Request) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    run_ = planned_run(None, config.changed(max_concurrency=2).given())
    probed(run_, ScriptedBackend(pause=pause), 4)
    assert most == 2


def test_more_replies_narrow_the_ranges(config: RunConfig) -> None:
    widths = []
    for count in (2, 8, 40):
        timeline = probed(planned_run(None, config.given()), ScriptedBackend(), count)
        fresh = planned_run(None, config.changed(num_instructions=500, **PRICED).given())
        dollars = estimate_of(fresh, timeline).left_usd
        assert dollars is not None
        widths.append(dollars.high / dollars.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1.6


@settings(max_examples=3)
@given(st.sampled_from(["self-instruct", "alpaca"]))
def test_a_probe_with_only_refusals_works(recipe: str) -> None:
    timeline = probed(expected_use(recipe=recipe), ScriptedBackend(lambda _: ""), 2)
    assert in_order(estimate_of(expected_use(recipe=recipe), timeline))


@pytest.mark.parametrize(("recipe", "target"), [("self-instruct", 250), ("alpaca", 250)], ids=str)
def test_the_range_of_a_probe_contains_the_run(
    tmp_path: Path, endpoint: SimulatedEndpoint, recipe: str, target: int
) -> None:
    config = RunConfig(
        model="simulated",
        base_url=endpoint.base_url,
        recipe=recipe,
        num_instructions=target,
        **PRICED,
    )
    probing = planned_run(None, config.given())

    async def send() -> None:
        async with open_backend(config, environ={}) as backend:
            await probe(probing, backend=backend, count=8)

    asyncio.run(send())
    found = estimate_of(planned_run(None, config.given()), probing.state.timeline)
    run(tmp_path / "run", config)
    spent = read_run(tmp_path / "run").state.ledger.spent
    for name in ("requests", "prompt_tokens", "completion_tokens"):
        low, real, high = (getattr(c, name) for c in (found.left.low, spent, found.left.high))
        assert low <= real <= high, name
    dollars = found.left_usd
    assert dollars is not None
    assert found.quotation is not None
    assert dollars.low <= found.quotation.price.cost(spent) <= dollars.high
    assert dollars.high < 3 * dollars.low
