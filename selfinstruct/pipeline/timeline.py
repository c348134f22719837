"""How a run has gone: what was accepted and consumed by each commit. A part of the fold over the journal.

>>> timeline = Timeline()
>>> timeline.mark(accepted=5, candidates=8, consumed=Consumption(requests=1, prompt_tokens=900))
>>> timeline.mark(accepted=9, candidates=16, consumed=Consumption(requests=1, prompt_tokens=1600))
>>> stretch = timeline.stretch(5, 9)
>>> stretch.accepted, stretch.candidates, stretch.consumed.prompt_tokens
(4, 8, 1600)
"""

from array import array
from bisect import bisect_left
from dataclasses import dataclass

from selfinstruct.cost import Consumption


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What happened between two points of a run."""

    accepted: int
    candidates: int
    consumed: Consumption
    """By the lists of instructions that were committed."""

    @property
    def acceptance(self) -> float:
        """Share of the candidates that were accepted, in [0, 1]; 0 where there were none."""
        return self.accepted / self.candidates if self.candidates else 0.0


class Timeline:
    """A mark for each commit: six numbers, so that a run of a million is no burden."""

    def __init__(self) -> None:
        self._accepted = array("q", [0])
        self._candidates = array("q", [0])
        self._consumed = [array("q", [0]) for _ in range(4)]
        self.finishing = Consumption()
        """What was consumed by questions about tasks."""

    def mark(self, *, accepted: int, candidates: int, consumed: Consumption) -> None:
        """A commit was made; it `consumed` so much itself.

        The counts are those since the run began: what was imported is in none of them.
        """
        for column, amount in zip(self._consumed, _amounts(consumed), strict=True):
            column.append(column[-1] + amount)
        self._candidates.append(candidates)
        # Last: places are looked up here, also by the thread that tells how far it is.
        self._accepted.append(accepted)

    @property
    def accepted(self) -> int:
        """Instructions accepted by the last commit."""
        return self._accepted[-1]

    def stretch(self, first: int, last: int) -> Stretch:
        """From the commit that brought the number accepted to `first` to the one that brought `last`."""
        begin = bisect_left(self._accepted, first)
        end = min(bisect_left(self._accepted, last), len(self._accepted) - 1)
        return Stretch(
            accepted=self._accepted[end] - self._accepted[begin],
            candidates=self._candidates[end] - self._candidates[begin],
            consumed=self._at(end) - self._at(begin),
        )

    def recent(self, accepted: int) -> Stretch:
        """The stretch up to now in which about so many instructions were accepted, or all of it."""
        begin = max(0, bisect_left(self._accepted, self.accepted - accepted))
        return Stretch(
            accepted=self._accepted[-1] - self._accepted[begin],
            candidates=self._candidates[-1] - self._candidates[begin],
            consumed=self._at(-1) - self._at(begin),
        )

    def _at(self, place: int) -> Consumption:
        requests, prompt, cached, completion = (column[place] for column in self._consumed)
        return Consumption(
            requests=requests,
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=completion,
        )


def _amounts(consumed: Consumption) -> tuple[int, int, int, int]:
    return (
        consumed.requests,
        consumed.prompt_tokens,
        consumed.cached_tokens,
        consumed.completion_tokens,
    )
