"""What replies have shown: of a run that exists, or of a probe. They take the place of assumptions.

    seen = Observed(pool_size=175)
    for event in events:
        seen.look_at(event)
    seen.inform(assumed(run))

A mean of few replies says little, so its range is the wider the fewer there are.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from selfinstruct.analysis.estimate.assumptions import Assumptions, Figure, PerStage
from selfinstruct.analysis.estimate.ranges import Range, around
from selfinstruct.events import Classified, Committed, CompletionReceived, Event, TaskImported
from selfinstruct.records import Stage

_WIDTH = 2.0
"""Standard errors on either side."""
_DRIFT = 1.05
"""However many replies were seen, further ones may differ by that factor."""
_SLOWER = 1.3
"""Latency may differ by that: at another hour, with more requests under way, once connections stand."""
_SPREAD = 0.5
"""Standard deviation, as a part of the mean, that one further imagined reply has: two alike prove little."""
_LEAST_GROWTH = 3.0
"""The pool must have grown by that factor before its effect on acceptance can be told from chance …"""
_LEAST_CANDIDATES = 400
"""… and so many candidates must have been judged on either side of the middle."""
_CLUSTERED = 1.5
"""Candidates of one reply share its fate to some extent, so they tell less than as many apart would."""


@dataclass(kw_only=True)
class _Measured:
    """Replies of one stage."""

    prompt_tokens: "array[int]" = field(default_factory=lambda: array("q"))
    reply_tokens: "array[int]" = field(default_factory=lambda: array("q"))
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    pool_size: int
    """Before it."""
    candidates: int
    accepted: int


class Observed:
    """What events tell about requests to come."""

    def __init__(self, *, pool_size: int) -> None:
        """`pool_size` is that before the first event."""
        self._pool_size = pool_size
        self._stages: dict[Stage, _Measured] = {}
        self._commits: list[_Commit] = []
        self._verdicts = 0
        self._asked_twice = 0

    def look_at(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case TaskImported():
                self._pool_size += 1
            case CompletionReceived():
                self._reply(event)
            case Committed():
                accepted = len(event.accepted)
                candidates = accepted + len(event.rejected)
                self._commits.append(
                    _Commit(pool_size=self._pool_size, candidates=candidates, accepted=accepted)
                )
                self._pool_size += accepted
            case Classified():
                self._verdicts += event.is_classification is not None
                self._asked_twice += event.is_classification is None

    def _reply(self, event: CompletionReceived) -> None:
        completion, seen = event.completion, self._stages.setdefault(event.stage, _Measured())
        seen.seconds.append(completion.latency_s)
        if (usage := completion.counted) is not None:
            seen.prompt_tokens.append(usage.prompt_tokens)
            seen.reply_tokens.append(usage.completion_tokens)
            seen.cached_tokens += usage.cached_tokens

    def inform(self, assumptions: Assumptions) -> Assumptions:
        """The assumptions, replaced by what was measured wherever something was."""
        informed = replace(assumptions, stages=self._inform_stages(assumptions.stages))
        if self._verdicts and assumptions.asked_twice.range.high:
            informed = replace(informed, asked_twice=self._twice())
        judged = [commit for commit in self._commits if commit.candidates]
        if not judged:
            return informed
        acceptance, pool_size = self._acceptance(judged, assumptions)
        candidates = _mean([commit.candidates for commit in judged], len(judged))
        return replace(
            informed,
            candidates=candidates,
            acceptance=acceptance,
            pool_size=pool_size,
            decline=self._decline(judged) or assumptions.decline,
        )

    def _inform_stages(self, assumed: Mapping[Stage, PerStage]) -> Mapping[Stage, PerStage]:
        measured = {stage: self._inform(assumed[stage], stage) for stage in assumed}
        # How the tokenizer cuts these prompts is the same in all stages.
        seen = [stage for stage in assumed if self._of(stage).prompt_tokens]
        if seen:
            told = sum(measured[stage].prompt_tokens.range.expected for stage in seen)
            guessed = sum(assumed[stage].prompt_tokens.range.expected for stage in seen)
            ratio = told / guessed if guessed else 1.0
            for stage in assumed.keys() - set(seen):
                scaled = around(assumed[stage].prompt_tokens.range.expected * ratio, _DRIFT**2)
                figure = Figure(range=scaled, basis="by what prompts of other stages have")
                measured[stage] = replace(measured[stage], prompt_tokens=figure)
        return measured

    def _of(self, stage: Stage) -> _Measured:
        return self._stages.get(stage, _Measured())

    def _inform(self, assumed: PerStage, stage: Stage) -> PerStage:
        seen = self._of(stage)
        told = PerStage(
            prompt_tokens=_mean(seen.prompt_tokens, len(seen.prompt_tokens))
            if seen.prompt_tokens
            else assumed.prompt_tokens,
            reply_tokens=_mean(seen.reply_tokens, len(seen.reply_tokens))
            if seen.reply_tokens
            else assumed.reply_tokens,
            seconds=_mean(seen.seconds, len(seen.seconds), drift=_SLOWER)
            if seen.seconds
            else assumed.seconds,
        )
        tokens = sum(seen.prompt_tokens)
        return replace(told, cached_share=seen.cached_tokens / tokens) if tokens else told

    def _twice(self) -> Figure:
        # As if one more task had been asked about, and half of it twice.
        tasks = self._verdicts + 1
        share = min(1.0, self._asked_twice / self._verdicts)
        error = _WIDTH * math.sqrt((share + 0.5 / tasks) / tasks)
        return Figure(
            range=Range(low=max(0.0, share - error), expected=share, high=share + error),
            basis=_basis(self._verdicts),
        )

    def _acceptance(self, judged: list[_Commit], assumptions: Assumptions) -> tuple[Figure, int]:
        """The share accepted lately, and the size that the pool had then."""
        lately = [c for c in judged if c.pool_size * 2 >= self._pool_size]
        lately = lately or judged[-1:]
        candidates = sum(commit.candidates for commit in lately)
        accepted = sum(commit.accepted for commit in lately)
        # Two imagined candidates as before, so that a probe whose few were all accepted is not believed.
        imagined = 2
        before = assumptions.acceptance.range.expected
        share = (accepted + imagined * before) / (candidates + imagined)
        error = math.sqrt((1 - share) / (share * (candidates + imagined)))
        ratio = _DRIFT * (1 + _WIDTH * _CLUSTERED * error)
        found = around(share, ratio).at_most(1.0)
        size = round(
            math.exp(sum(c.candidates * math.log(c.pool_size) for c in lately) / candidates)
        )
        return Figure(range=found, basis=_basis(len(lately))), max(1, size)

    def _decline(self, judged: list[_Commit]) -> Figure | None:
        """How acceptance fell while the pool grew; None where that cannot be told yet."""
        first, last = judged[0].pool_size, self._pool_size
        if last < first * _LEAST_GROWTH:
            return None
        middle = math.sqrt(first * last)
        halves = (
            [commit for commit in judged if commit.pool_size < middle],
            [commit for commit in judged if commit.pool_size >= middle],
        )
        shares, sizes = [], []
        for half in halves:
            candidates = sum(c.candidates for c in half)
            accepted = sum(c.accepted for c in half)
            if candidates < _LEAST_CANDIDATES or not accepted:
                return None
            shares.append(accepted / candidates)
            logs = sum(c.candidates * math.log(c.pool_size) for c in half)
            sizes.append(logs / candidates)
        slope = max(0.0, math.log(shares[0] / shares[1]) / (sizes[1] - sizes[0]))
        found = Range(low=max(0.0, slope - 0.07), expected=slope, high=slope + 0.1)
        return Figure(range=found, basis=_basis(len(judged)))


def _mean(values: Sequence[float], replies: int, *, drift: float = _DRIFT) -> Figure:
    mean = sum(values) / replies
    if not mean:
        return Figure(range=Range(low=0.0, expected=0.0, high=0.0), basis=_basis(replies))
    squares = sum((value - mean) ** 2 for value in values) + (_SPREAD * mean) ** 2
    error = math.sqrt(squares / replies) / mean / math.sqrt(replies)
    return Figure(range=around(mean, drift * (1 + _WIDTH * error)), basis=_basis(replies))


def _basis(replies: int) -> str:
    return "measured in 1 reply" if replies == 1 else f"measured in {replies:,} replies"
