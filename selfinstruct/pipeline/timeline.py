"""The history of a run in numbers: what each commit accepted and consumed, and what replies took.

Part of the fold over the journal. Everything that forecasts the rest of a run reads from here.

>>> timeline = Timeline()
>>> timeline.mark(accepted=5, candidates=8, consumed=Consumption(requests=1, prompt_tokens=900))
>>> timeline.mark(accepted=9, candidates=16, consumed=Consumption(requests=1, prompt_tokens=1600))
>>> stretch = timeline.stretch(5, 9)
>>> stretch.accepted, stretch.candidates, stretch.consumed.prompt_tokens
(4, 8, 1600)
"""

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from selfinstruct.cost import Consumption, consumed
from selfinstruct.records import Completion, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The commits between two points of a run."""

    accepted: int
    candidates: int
    consumed: Consumption
    """Consumption of the generation requests; one request for each commit."""

    @property
    def acceptance(self) -> float:
        """Share of the candidates that were accepted, in [0, 1]; 0 without candidates."""
        return self.accepted / self.candidates if self.candidates else 0.0


@dataclass(kw_only=True)
class Sample:
    """Count, sum and sum of squares of measured values."""

    count: int = 0
    total: float = 0
    squares: float = 0

    def add(self, value: float) -> None:
        """Add a value."""
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        """Mean of the values; ZeroDivisionError without any."""
        return self.total / self.count


@dataclass(kw_only=True)
class StageReplies:
    """The replies of one stage."""

    prompt_tokens: Sample = field(default_factory=Sample)
    reply_tokens: Sample = field(default_factory=Sample)
    seconds: Sample = field(default_factory=Sample)
    """Latency, of replies without a credible token count too."""
    cached_tokens: int = 0


class Timeline:
    """A mark for each commit: six integers, so that a run of a million stays small."""

    def __init__(self) -> None:
        self._accepted = array("q", [0])
        self._candidates = array("q", [0])
        self._consumed = [array("q", [0]) for _ in range(4)]
        self.finishing = Consumption()
        """Consumption of the classification and instance requests."""
        self.replies: dict[Stage, StageReplies] = {}
        self.candidates_per_reply = Sample()
        """Over the replies with at least one candidate."""
        self.clear_answers = 0
        """Replies that decided whether a task is a classification task."""
        self.unclear_answers = 0
        """Replies after which the same question is asked again."""

    def mark(self, *, accepted: int, candidates: int, consumed: Consumption) -> None:
        """Record a commit and what its request consumed.

        The counts are totals since the start of the run, without imported tasks.
        """
        if candidates > self._candidates[-1]:
            self.candidates_per_reply.add(candidates - self._candidates[-1])
        for column, amount in zip(self._consumed, consumed.amounts, strict=True):
            column.append(column[-1] + amount)
        self._candidates.append(candidates)
        # Last: the progress thread looks positions up in this column.
        self._accepted.append(accepted)

    def reply(self, stage: Stage, completion: Completion) -> None:
        """Record a reply."""
        seen = self.replies.setdefault(stage, StageReplies())
        seen.seconds.add(completion.latency_s)
        usage = completion.counted
        if usage is not None:
            seen.prompt_tokens.add(usage.prompt_tokens)
            seen.reply_tokens.add(usage.completion_tokens)
            seen.cached_tokens += usage.cached_tokens
        if stage != "generate":
            self.finishing += consumed(usage) if usage is not None else Consumption(requests=1)

    @property
    def accepted(self) -> int:
        """Instructions accepted by the last commit."""
        return self._accepted[-1]

    def stretch(self, first: int, last: int) -> Stretch:
        """Return the commits after the one that accepted number `first`, up to number `last`."""
        begin = bisect_left(self._accepted, first)
        end = min(bisect_left(self._accepted, last), len(self._accepted) - 1)
        return self._between(begin, end)

    def recent(self, accepted: int) -> Stretch:
        """Return the last commits that accepted about this many instructions, or all commits."""
        return self._between(max(0, bisect_left(self._accepted, self.accepted - accepted)), -1)

    def _between(self, begin: int, end: int) -> Stretch:
        totals = [Consumption(*(column[at] for column in self._consumed)) for at in (begin, end)]
        return Stretch(
            accepted=self._accepted[end] - self._accepted[begin],
            candidates=self._candidates[end] - self._candidates[begin],
            consumed=totals[1] - totals[0],
        )
