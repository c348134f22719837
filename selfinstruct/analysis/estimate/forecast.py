"""Compute an estimate from assumptions: the number of requests, their tokens and their duration."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import mul

from selfinstruct.analysis.estimate.assumptions import Assumptions
from selfinstruct.analysis.estimate.ranges import Amounts, Range, exactly
from selfinstruct.analysis.estimate.results import Estimate
from selfinstruct.budget.prices import Quotation
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.pipeline.acceptance_rate import Acceptance
from selfinstruct.records import Stage

_MIN_SHARE = 0.005
"""Lowest acceptance to assume. A run that accepts a smaller share is stopped early by `stall_after`."""
_UNUSED = Range(low=0.0, expected=0.5, high=3.0)
"""Number of generation requests in flight when the run reaches its target."""
_BUSY = Range(low=1 / 1.0, expected=1 / 0.95, high=1 / 0.85)
"""Ratio of a concurrency slot's total time to the time in which it has a request in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """All inputs of an estimate, except the target."""

    config: RunConfig
    seed_tasks: int
    accepted: int
    waiting: int
    """Number of generation replies that were received but not decided yet."""
    open_tasks: Mapping[Stage, int]
    """Number of accepted tasks that still need each stage."""
    so_far: Consumption
    quotation: Quotation | None
    assumptions: Assumptions


def forecast(basis: Basis, *, target: int | None = None) -> Estimate:
    """Return the estimate for a target; the default is the run's own target."""
    target = basis.config.num_instructions if target is None else target
    counts = _requests(basis, target)
    return Estimate(
        target=target,
        accepted=basis.accepted,
        stages={stage: _amounts(basis, stage, count) for stage, count in counts.items()},
        so_far=basis.so_far,
        hours=_hours(basis, counts),
        quotation=basis.quotation,
        assumptions=basis.assumptions,
    )


def reach(basis: Basis, is_within: Callable[[Estimate], bool]) -> int:
    """Return the largest number of instructions, up to the target, whose estimate satisfies `is_within`."""
    more = range(basis.accepted + 1, basis.config.num_instructions + 1)
    reached = bisect_left(more, x=True, key=lambda n: not is_within(forecast(basis, target=n)))
    return basis.accepted + reached


# ── requests ───────────────────────────────────────────────────────────────────────────────────────────


def _requests(basis: Basis, target: int) -> dict[Stage, Range[float]]:
    """Return the number of requests that are still to be sent, by stage."""
    missing, assumptions = max(0, target - basis.accepted), basis.assumptions
    generate, tasks = exactly(0.0), exactly(0.0)
    if missing:
        generate = _generation_requests(basis, missing)
        # All accepted candidates of the last reply count, so a run usually exceeds its target by a few tasks.
        share = _law(assumptions).at(basis.seed_tasks + basis.accepted + missing)
        surplus = assumptions.candidates.range.times(share).each(lambda n: max(0.0, n - 1))
        tasks = Range(
            low=missing, expected=missing + surplus.expected / 2, high=missing + surplus.high
        )
    counts: dict[Stage, Range[float]] = {"generate": generate}
    for stage, open_tasks in basis.open_tasks.items():
        counts[stage] = tasks + exactly(float(open_tasks))
    if "classify" in counts:
        counts["classify"] += counts["classify"].join(assumptions.asked_twice.range, mul)
    return counts


def _law(
    assumptions: Assumptions, share: float | None = None, decline: float | None = None
) -> Acceptance:
    """Return acceptance as a function of the pool size. Omitted parameters have their expected value."""
    return Acceptance(
        share=max(_MIN_SHARE, assumptions.acceptance.range.expected if share is None else share),
        size=assumptions.pool_size,
        decline=assumptions.decline.range.expected if decline is None else decline,
    )


def _generation_requests(basis: Basis, missing: int) -> Range[float]:
    assumptions = basis.assumptions
    start = basis.seed_tasks + basis.accepted

    def candidates(share: float | None = None, decline: float | None = None) -> float:
        return _law(assumptions, share, decline).candidates(start, start + missing)

    by_share = assumptions.acceptance.range.falling(candidates)
    ends = (assumptions.decline.range.low, assumptions.decline.range.high)
    by_decline = sorted(candidates(decline=decline) / by_share.expected for decline in ends)
    needed = (
        by_share
        * Range(low=min(1.0, by_decline[0]), expected=1.0, high=max(1.0, by_decline[1]))
        * assumptions.candidates.range.falling(lambda number: 1 / max(number, _MIN_SHARE))
    )
    sent = needed + _UNUSED
    whole = Range(low=math.floor(sent.low), expected=sent.expected, high=sent.high)
    return whole.each(lambda requests: max(0.0, max(1.0, requests) - basis.waiting))


# ── tokens and time ────────────────────────────────────────────────────────────────────────────────────


def _amounts(basis: Basis, stage: Stage, requests: Range[float]) -> Amounts:
    per = basis.assumptions.stages[stage]
    prompts, replies = requests * per.prompt_tokens.range, requests * per.reply_tokens.range

    def consumption(requests: float, prompts: float, replies: float) -> Consumption:
        return Consumption(
            requests=round(requests),
            prompt_tokens=round(prompts),
            cached_tokens=round(prompts * per.cached_share),
            completion_tokens=round(replies),
        )

    return Range(
        low=consumption(math.floor(requests.low), prompts.low, replies.low),
        expected=consumption(requests.expected, prompts.expected, replies.expected),
        high=consumption(math.ceil(requests.high), prompts.high, replies.high),
    )


def _hours(basis: Basis, counts: Mapping[Stage, Range[float]]) -> Range[float]:
    """Return the hours that the run needs.

    The slowest of three limits decides: concurrency, requests per minute and tokens per minute.
    """
    config, stages = basis.config, basis.assumptions.stages
    work, requests, tokens, last = (exactly(0.0) for _ in range(4))
    for stage, count in counts.items():
        per = stages[stage]
        work = work + count * per.seconds.range
        requests = requests + count
        tokens = tokens + count * per.prompt_tokens.range + count * per.reply_tokens.range
        # While the last task passes through its stages, no other request is in flight.
        last = last + per.seconds.range.times(1 if count.high else 0)
    slowest = work.join(_BUSY, mul).times(1 / config.max_concurrency)
    for amount, per_minute in (
        (requests, config.max_requests_per_minute),
        (tokens, config.max_tokens_per_minute),
    ):
        if per_minute is not None:
            slowest = slowest.join(amount.times(60 / per_minute), max)
    return (slowest + last).times(1 / 3600)
