"""Replace assumptions with values measured in a run or a probe. Fewer replies give wider ranges."""

import math
from collections.abc import Mapping
from dataclasses import replace

from selfinstruct.analysis.estimate.assumptions import Assumptions, Figure, PerStage
from selfinstruct.analysis.estimate.ranges import Range, around
from selfinstruct.pipeline.acceptance_rate import trend
from selfinstruct.pipeline.timeline import Sample, StageReplies, Timeline
from selfinstruct.records import Stage

_ERRORS = 2.0
"""Number of standard errors between a measured value and each end of its range."""
_DRIFT = 1.05
"""Factor by which later replies may differ from measured ones, even after many replies."""
_SLOWER = 1.3
"""The same factor for latency, which depends on the time of day, the concurrency and the connections."""
_SPREAD = 0.5
"""Relative standard deviation of one additional imaginary reply, because two equal replies prove little."""
_MIN_GROWTH = 3.0
"""Factor by which the pool must have grown before the decline of acceptance is measured."""
_MIN_CANDIDATES = 400
"""Number of candidates that each of the two compared stretches needs before the decline is measured."""
_CLUSTERED = 1.5
"""Factor that widens the error of acceptance, because candidates from one reply resemble each other."""
_IMAGINED = 2
"""Number of imaginary candidates with the assumed acceptance that are added to the measured ones.

Without them, a small probe without rejections would look certain.
"""


def informed(assumptions: Assumptions, timeline: Timeline, first_size: int) -> Assumptions:
    """Return the assumptions with measured values from a timeline, as far as it has any.

    `first_size` is the number of tasks in the pool at the beginning of the timeline.
    """
    better = replace(assumptions, stages=_stages(assumptions.stages, timeline.replies))
    if timeline.clear_answers and assumptions.asked_twice.range.high:
        better = replace(better, asked_twice=_asked_twice(timeline))
    candidates = _mean(timeline.candidates_per_reply)
    if candidates is None:
        return better
    # Use only the commits since the pool had half of its present size.
    size = first_size + timeline.accepted
    begin = max(0, size // 2 - first_size)
    recent = timeline.recent(timeline.accepted - begin)
    number = recent.candidates + _IMAGINED
    share = (recent.accepted + _IMAGINED * assumptions.acceptance.range.expected) / number
    error = math.sqrt((1 - share) / (share * number))
    acceptance = around(share, _DRIFT * (1 + _ERRORS * _CLUSTERED * error)).at_most(1.0)
    return replace(
        better,
        candidates=candidates,
        acceptance=Figure(range=acceptance, basis=_basis(recent.consumed.requests)),
        pool_size=max(1, round(math.sqrt((first_size + begin) * size))),
        decline=_decline(timeline, first_size) or assumptions.decline,
    )


def _stages(
    assumed: Mapping[Stage, PerStage], replies: Mapping[Stage, StageReplies]
) -> Mapping[Stage, PerStage]:
    measured = {stage: _stage(per, replies.get(stage)) for stage, per in assumed.items()}
    known = [stage for stage in assumed if stage in replies and replies[stage].prompt_tokens.total]
    if known:
        # The ratio of measured to assumed prompt tokens is about the same in all stages.
        counted = sum(measured[stage].prompt_tokens.range.expected for stage in known)
        ratio = counted / sum(assumed[stage].prompt_tokens.range.expected for stage in known)
        for stage in assumed.keys() - set(known):
            scaled = around(assumed[stage].prompt_tokens.range.expected * ratio, _DRIFT**2)
            figure = Figure(range=scaled, basis="scaled from prompts of other stages")
            measured[stage] = replace(measured[stage], prompt_tokens=figure)
    return measured


def _stage(assumed: PerStage, replies: StageReplies | None) -> PerStage:
    if replies is None:
        return assumed
    tokens = replies.prompt_tokens.total
    return PerStage(
        prompt_tokens=_mean(replies.prompt_tokens) or assumed.prompt_tokens,
        reply_tokens=_mean(replies.reply_tokens) or assumed.reply_tokens,
        seconds=_mean(replies.seconds, drift=_SLOWER) or assumed.seconds,
        cached_share=replies.cached_tokens / tokens if tokens else 0.0,
    )


def _asked_twice(timeline: Timeline) -> Figure:
    answers = timeline.clear_answers
    # Add one imaginary task, half of which was asked about twice.
    share = min(1.0, timeline.unclear_answers / answers)
    error = _ERRORS * math.sqrt((share + 0.5 / (answers + 1)) / (answers + 1))
    around_share = Range(low=max(0.0, share - error), expected=share, high=share + error)
    return Figure(range=around_share, basis=_basis(answers))


def _decline(timeline: Timeline, first_size: int) -> Figure | None:
    """Return how fast acceptance declined as the pool grew; None if the run is too short to measure that."""
    fitted = trend(timeline, first_size)
    if fitted is None or first_size + timeline.accepted < first_size * _MIN_GROWTH:
        return None
    if min(fitted.early.candidates, fitted.late.candidates) < _MIN_CANDIDATES:
        return None
    slope = fitted.acceptance.decline
    around_slope = Range(low=max(0.0, slope - 0.07), expected=slope, high=slope + 0.1)
    requests = timeline.stretch(0, timeline.accepted).consumed.requests
    return Figure(range=around_slope, basis=_basis(requests))


def _mean(sample: Sample, *, drift: float = _DRIFT) -> Figure | None:
    """Return the mean of a sample with its range; None if the sample is empty."""
    if not sample.count:
        return None
    mean = sample.mean
    if not mean:
        return Figure(range=Range(low=0.0, expected=0.0, high=0.0), basis=_basis(sample.count))
    variance = max(0.0, sample.squares / sample.count - mean**2)
    variance += (_SPREAD * mean) ** 2 / sample.count
    error = math.sqrt(variance / sample.count) / mean
    return Figure(range=around(mean, drift * (1 + _ERRORS * error)), basis=_basis(sample.count))


def _basis(replies: int) -> str:
    return "measured in 1 reply" if replies == 1 else f"measured in {replies:,} replies"
