"""A run's history in numbers: what each commit accepted and consumed, and the replies' tokens and latency.

The timeline is part of the run's state. All forecasts for the rest of a run use it.

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
    """Totals of the commits between two points in a run."""

    accepted: int
    candidates: int
    consumed: Consumption
    """Consumption of the generation requests. Each commit counts as one request."""

    @property
    def acceptance(self) -> float:
        """Share of the candidates that were accepted, in [0, 1]; 0 if there were no candidates."""
        return self.accepted / self.candidates if self.candidates else 0.0


@dataclass(kw_only=True)
class Sample:
    """Count, sum and sum of squares of some measured values."""

    count: int = 0
    total: float = 0
    squares: float = 0

    def add(self, value: float) -> None:
        """Add one value to the sample."""
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        """Mean of the values. Raises ZeroDivisionError if there are no values."""
        return self.total / self.count


@dataclass(kw_only=True)
class StageReplies:
    """Tokens and latency of the replies in one stage."""

    prompt_tokens: Sample = field(default_factory=Sample)
    reply_tokens: Sample = field(default_factory=Sample)
    seconds: Sample = field(default_factory=Sample)
    """Latency in seconds. Replies without a credible token count are included here, but not in the tokens."""
    cached_tokens: int = 0


class Timeline:
    """Totals after each commit, and samples of the replies.

    Each commit takes six integers, so even a run with a million commits needs little memory.
    """

    def __init__(self) -> None:
        self._accepted = array("q", [0])
        self._candidates = array("q", [0])
        self._consumed = [array("q", [0]) for _ in range(4)]
        self.finishing = Consumption()
        """Consumption of the classification and instance requests."""
        self.replies: dict[Stage, StageReplies] = {}
        self.candidates_per_reply = Sample()
        """Number of candidates in each reply that has at least one."""
        self.clear_answers = 0
        """Number of replies that decided whether a task is a classification task."""
        self.unclear_answers = 0
        """Number of unclear replies, after which the classification question is asked again."""

    def mark(self, *, accepted: int, candidates: int, consumed: Consumption) -> None:
        """Record a commit and what its request consumed.

        `accepted` and `candidates` are totals since the start of the run, without imported tasks.
        """
        if candidates > self._candidates[-1]:
            self.candidates_per_reply.add(candidates - self._candidates[-1])
        for column, amount in zip(self._consumed, consumed.amounts, strict=True):
            column.append(column[-1] + amount)
        self._candidates.append(candidates)
        # This column must be extended last, because the progress thread looks up positions in it.
        self._accepted.append(accepted)

    def reply(self, stage: Stage, completion: Completion) -> None:
        """Record the tokens and the latency of a reply."""
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
        """Number of instructions accepted up to the last commit, without imported tasks."""
        return self._accepted[-1]

    def stretch(self, first: int, last: int) -> Stretch:
        """Return the totals of the commits after accepted instruction `first`, up to instruction `last`."""
        begin = bisect_left(self._accepted, first)
        end = min(bisect_left(self._accepted, last), len(self._accepted) - 1)
        return self._between(begin, end)

    def recent(self, accepted: int) -> Stretch:
        """Return the totals of the last commits, which together accepted about `accepted` instructions.

        If the run has accepted fewer instructions, all commits are included.
        """
        return self._between(max(0, bisect_left(self._accepted, self.accepted - accepted)), -1)

    def _between(self, begin: int, end: int) -> Stretch:
        totals = [Consumption(*(column[at] for column in self._consumed)) for at in (begin, end)]
        return Stretch(
            accepted=self._accepted[end] - self._accepted[begin],
            candidates=self._candidates[end] - self._candidates[begin],
            consumed=totals[1] - totals[0],
        )
