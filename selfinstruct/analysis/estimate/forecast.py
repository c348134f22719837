"""From assumptions to an estimate. Pure: how many requests there will be, what they take, and how long.

How many requests for new instructions there must be follows from the pool: the share of candidates that are
accepted falls as it grows, a(n) = a₀ (n / n₀)^-d, so what is needed is the integral of 1 / a(n): candidates.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from selfinstruct.analysis.estimate.assumptions import Assumptions
from selfinstruct.analysis.estimate.ranges import Amounts, Range, exactly, largest
from selfinstruct.analysis.estimate.results import Estimate, StageEstimate
from selfinstruct.budget.prices import Quotation
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.records import Stage

_LEAST_ACCEPTANCE = 0.005
"""Below that a run stalls before it gets anywhere (`stall_after`)."""
_ASKED_IN_VAIN = Range(low=0.0, expected=0.5, high=3.0)
"""Requests for new instructions that are out when the target is reached."""
_BUSY = Range(low=0.85, expected=0.95, high=1.0)
"""Share of its time that a slot waits for a reply."""
_SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """All that an estimate follows from, whatever the target."""

    config: RunConfig
    seed_tasks: int
    accepted: int
    lag: int
    """Requests for new instructions that may be out before the next one is decided."""
    waiting: int
    """Replies with new instructions that are there and not decided yet."""
    unclassified: int
    """Accepted tasks whose kind is to be asked for."""
    without_instances: int
    """Accepted tasks whose instances are to be asked for."""
    so_far: Consumption
    quotation: Quotation | None
    assumptions: Assumptions


def forecast(basis: Basis, *, target: int | None = None) -> Estimate:
    """The estimate for a target, by default the run's own."""
    target = basis.config.num_instructions if target is None else target
    counts = _requests(basis, target)
    return Estimate(
        target=target,
        accepted=basis.accepted,
        stages=tuple(
            StageEstimate(stage=stage, amounts=_amounts(basis, stage, count))
            for stage, count in counts.items()
        ),
        so_far=basis.so_far,
        hours=_hours(basis, counts),
        quotation=basis.quotation,
        assumptions=basis.assumptions,
    )


def reach(basis: Basis, is_within: Callable[[Estimate], bool]) -> int:
    """The most instructions, up to the target, that are expected to be within a limit."""
    low, high = basis.accepted, max(basis.accepted, basis.config.num_instructions)
    while low < high:
        middle = (low + high + 1) // 2
        if is_within(forecast(basis, target=middle)):
            low = middle
        else:
            high = middle - 1
    return low


# ── requests ───────────────────────────────────────────────────────────────────────────────────────────


def _requests(basis: Basis, target: int) -> dict[Stage, Range]:
    """Requests that are left, by stage."""
    missing = max(0, target - basis.accepted)
    generate, tasks = exactly(0), exactly(0)
    if missing:
        generate = _generation_requests(basis, missing)
        # The last reply is used whole, so there are mostly some tasks more than were asked for.
        surplus = basis.assumptions.candidates.range.times(
            _accepted_at(basis, basis.accepted + missing)
        )
        tasks = Range(
            low=missing,
            expected=missing + max(0.0, surplus.expected - 1) / 2,
            high=missing + max(0.0, surplus.high - 1),
        )
    counts: dict[Stage, Range] = {"generate": generate}
    if "classify" in basis.assumptions.stages:
        verdicts = tasks + exactly(basis.unclassified)
        twice = basis.assumptions.asked_twice.range
        again = Range(
            low=verdicts.low * twice.low,
            expected=verdicts.expected * twice.expected,
            high=verdicts.high * twice.high,
        )
        counts["classify"] = verdicts + again
        counts["instances"] = tasks + exactly(basis.without_instances)
    return counts


def _generation_requests(basis: Basis, missing: int) -> Range:
    assumptions = basis.assumptions
    acceptance, decline = assumptions.acceptance.range, assumptions.decline.range
    start = basis.seed_tasks + basis.accepted

    def candidates(share: float, power: float) -> float:
        share = max(share, _LEAST_ACCEPTANCE)
        return _integral(start, start + missing, share, assumptions.pool_size, power)

    expected = candidates(acceptance.expected, decline.expected)
    by_share = Range(
        low=candidates(acceptance.high, decline.expected),
        expected=expected,
        high=candidates(acceptance.low, decline.expected),
    )
    by_decline = sorted(
        candidates(acceptance.expected, power) for power in (decline.low, decline.high)
    )
    in_a_reply = assumptions.candidates.range
    # As factors of what is expected, each by itself.
    needed = (
        by_share
        * Range(
            low=min(1.0, by_decline[0] / expected),
            expected=1.0,
            high=max(1.0, by_decline[1] / expected),
        )
        * Range(
            low=1 / in_a_reply.high,
            expected=1 / in_a_reply.expected,
            high=1 / max(in_a_reply.low, _LEAST_ACCEPTANCE),
        )
    )
    asked = needed + _ASKED_IN_VAIN
    at_least_one = Range(
        low=max(1.0, math.floor(asked.low)),
        expected=max(1.0, asked.expected),
        high=max(1.0, asked.high),
    )
    return Range(
        low=max(0.0, at_least_one.low - basis.waiting),
        expected=max(0.0, at_least_one.expected - basis.waiting),
        high=max(0.0, at_least_one.high - basis.waiting),
    )


def _accepted_at(basis: Basis, accepted: int) -> float:
    """The share of candidates that is expected to be accepted once so many are."""
    assumptions = basis.assumptions
    size = (basis.seed_tasks + accepted) / assumptions.pool_size
    share: float = assumptions.acceptance.range.expected * size**-assumptions.decline.range.expected
    return min(1.0, share)


def _integral(start: float, end: float, share: float, size: float, power: float) -> float:
    """∫ 1 / a(n) dn from `start` to `end`, with a(n) = min(1, share · (n / size)^-power): candidates."""
    # Up to there all are accepted.
    if power > 0:
        full: float = size * share ** (1 / power)
    else:
        full = math.inf if share >= 1 else 0.0
    plain = max(0.0, min(end, full) - start)
    start = max(start, min(end, full))
    grown: float = (end / size) ** (power + 1) - (start / size) ** (power + 1)
    return plain + size / (share * (power + 1)) * grown


# ── tokens and time ────────────────────────────────────────────────────────────────────────────────────


def _amounts(basis: Basis, stage: Stage, requests: Range) -> Amounts:
    per = basis.assumptions.stages[stage]
    prompts = requests * per.prompt_tokens.range
    replies = requests * per.reply_tokens.range

    def consumption(requests: float, prompts: float, replies: float) -> Consumption:
        return Consumption(
            requests=round(requests),
            prompt_tokens=round(prompts),
            cached_tokens=round(prompts * per.cached_share),
            completion_tokens=round(replies),
        )

    return Amounts(
        low=consumption(math.floor(requests.low), prompts.low, replies.low),
        expected=consumption(requests.expected, prompts.expected, replies.expected),
        high=consumption(math.ceil(requests.high), prompts.high, replies.high),
    )


def _hours(basis: Basis, counts: Mapping[Stage, Range]) -> Range:
    """What holds the run up the most: its concurrency, requests or tokens a minute. And waiting in turn."""
    config, stages = basis.config, basis.assumptions.stages
    nothing = exactly(0)
    if not any(count.high for count in counts.values()):
        return nothing
    work = nothing
    for stage, count in counts.items():
        work = work + count * stages[stage].seconds.range
    slots = Range(
        low=work.low / _BUSY.high,
        expected=work.expected / _BUSY.expected,
        high=work.high / _BUSY.low,
    ).times(1 / config.max_concurrency)
    limits = [slots]
    requests, tokens = nothing, nothing
    for stage, count in counts.items():
        per = stages[stage]
        requests = requests + count
        tokens = tokens + count * per.prompt_tokens.range + count * per.reply_tokens.range
    if config.max_requests_per_minute is not None:
        limits.append(requests.times(60 / config.max_requests_per_minute))
    if config.max_tokens_per_minute is not None:
        limits.append(tokens.times(60 / config.max_tokens_per_minute))
    # At the end the last tasks go through their stages, with hardly anything beside them.
    in_turn = stages["generate"].seconds.range.times(_idle_rounds(basis, counts["generate"].low))
    for stage, count in counts.items():
        in_turn = in_turn + stages[stage].seconds.range.times(1 if count.high else 0)
    return (largest(*limits) + in_turn).times(1 / _SECONDS_AN_HOUR)


def _idle_rounds(basis: Basis, requests: float) -> float:
    """How often slots idle for a request's time at first, since new requests wait for those before them.

    So many as the lag are out at a time, then twice as many, and so on; later tasks keep the slots busy.
    """
    idle, out, sent = 0.0, float(basis.lag), 0.0
    slots = basis.config.max_concurrency
    while out < slots and sent + out <= requests:
        idle += 1 - out / slots
        sent += out
        out *= 2
        if "classify" in basis.assumptions.stages:
            break
    return idle
