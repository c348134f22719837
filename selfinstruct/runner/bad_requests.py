"""Requests that the endpoint refuses (400 and the like): is it this prompt, or the set-up?

A refusal is final once it is journaled, so it is held back until it is clear what it means: a prompt that is
too long, or that a filter dislikes, is an outcome of that request; a parameter that the endpoint does not
know would be refused with every request, and no run may be spent on that. It is a wrong set-up where

    five of a stage in a row were refused with one message, to the letter, or ten with any
    nothing else can be asked, as in a small window, and three were refused: more than one in fifty of those
    that were answered
    nothing else can be asked, and nothing of the stage was ever answered

and an outcome as soon as a request of the stage is answered that was sent after the refusal had arrived, or
else where nothing else can be asked.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from selfinstruct.errors import EndpointError, RequestRejectedError
from selfinstruct.records import Request, Stage

WITH_ONE_MESSAGE = 5
WITH_ANY_MESSAGE = 10
AT_REST = 3
OF_ANSWERED = 50
"""At the end of a long run a few that no filter lets through must not keep it from its end for good."""


class Refused(NamedTuple):
    """A request and why it was refused."""

    request: Request
    error: RequestRejectedError


class BadRequests:
    """Refusals since the last answer of each stage, none of them journaled."""

    def __init__(self, answered: Mapping[Stage, int] | None = None) -> None:
        """`answered` is how many requests of each stage were answered before."""
        self._answered = Counter(answered or {})
        self._held: dict[Stage, list[Refused]] = {}
        self._sent = 0
        self._flying: dict[str, int] = {}
        """In flight: request id → its number among those sent."""
        self._arrived: dict[str, int] = {}
        """Held back: request id → how many had been sent when it was refused."""

    def __bool__(self) -> bool:
        """Whether any is held back."""
        return bool(self._held)

    def sent(self, request: Request) -> None:
        """A request is sent."""
        self._sent += 1
        self._flying[request.id] = self._sent

    def gone(self, request: Request) -> None:
        """A request came to nothing without being refused."""
        self._flying.pop(request.id)

    def forget(self, stage: Stage) -> None:
        """Nothing of this stage is needed any more."""
        for refused in self._held.pop(stage, ()):
            del self._arrived[refused.request.id]

    def refused(self, request: Request, error: RequestRejectedError) -> None:
        """Hold a refusal back. Raises EndpointError where it is clear that the set-up is wrong."""
        self._flying.pop(request.id)
        self._arrived[request.id] = self._sent
        held = self._held.setdefault(request.stage, [])
        held.append(Refused(request, error))
        last = held[-WITH_ONE_MESSAGE:]
        has_one_message = (
            len(last) == WITH_ONE_MESSAGE and len({r.error.problem for r in last}) == 1
        )
        if has_one_message or len(held) >= WITH_ANY_MESSAGE:
            raise _wrong_set_up(request.stage, held)

    def answered(self, request: Request) -> list[Refused]:
        """A request was answered: what of its stage was refused before it was sent was so for its own sake.

        Returns these. A late answer says nothing: it was sent when the set-up may still have been right.
        """
        number = self._flying.pop(request.id)
        self._answered[request.stage] += 1
        held = self._held.pop(request.stage, [])
        released = [r for r in held if self._arrived[r.request.id] < number]
        for refused in released:
            del self._arrived[refused.request.id]
        if len(released) < len(held):
            self._held[request.stage] = held[len(released) :]
        return released

    def believed(self) -> list[Refused]:
        """Refusals that are outcomes because nothing else can be asked.

        Raises EndpointError for a wrong set-up.
        """
        believed: list[Refused] = []
        for stage, held in self._held.items():
            answered = self._answered[stage]
            if not answered or len(held) >= max(AT_REST, answered // OF_ANSWERED):
                raise _wrong_set_up(stage, held)
            believed += held
        self._held.clear()
        self._arrived.clear()
        return believed


def _wrong_set_up(stage: Stage, held: list[Refused]) -> EndpointError:
    count = "the only request was" if len(held) == 1 else f"{len(held)} requests in a row were"
    error = held[-1].error
    return EndpointError(
        f"of the stage {stage}, {count} refused and none was answered, "
        f"so the set-up must be wrong: {error.problem}",
        attempts=error.attempts,
    )
