"""Requests that keep failing: is it the request, or is it the endpoint?

Knows who was answered and who was not, stage by stage, and never asks anybody itself; `generate` tells it
what happened and asks it what may be sent. Time is an argument.

A request whose attempts are used up is set aside, and others have their turn. What these meet tells the rest:

    the next one is answered        it failed on its own. If 20 others that were sent after it have been
                                    answered, it is given up; if not, it is sent again once they have.
    the next ones fail as well      an outage: none of it counts. One request at a time is sent, after pauses
                                    that grow from 1 s to 5 min; an answer ends the outage, and those that
                                    were set aside are sent again as if nothing had been. Without an answer
                                    for `give_up_after_s` the run stops.
    there is no next one            it is sent again after pauses. If 20 sent later were answered, it is given
                                    up when it fails a second time; if only some were, after a quarter of an
                                    hour. If none was it may be an outage; but where it is the only one, and
                                    20 others were answered before, it is given up in place of the run.

Stages are told apart because a parameter that makes the endpoint fail may be one that only a stage sends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from selfinstruct.errors import EndpointError, TransientError
from selfinstruct.records import Request, Stage

OTHERS_ANSWERED = 20
"""A request is given up only if so many others, of its stage and sent after it, were answered."""
FIRST_PAUSE_S = 1.0
FIRST_ALONE_PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0
ALONE_S = 900.0
"""A request that failed on its own is given up after so long where there are no others to ask."""

_AGAIN_SHARE = 0.5
"""Of the slots, at most so many for requests that failed before: they may fail again, all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause, because nobody is answered."""

    stage: Stage
    problem: str
    """What the last one met."""
    seconds: float
    """Until the next try."""
    left_s: float
    """Until the run stops, if it goes on like this."""


OnPause = Callable[[Pause], None]
"""Told of every pause in an outage."""


@dataclass(slots=True)
class _Aside:
    """A request whose attempts are used up, and which is still open."""

    request: Request
    error: TransientError
    first_sent: int
    """Its number among those sent, when it was first sent or since the last outage."""
    last_sent: int
    is_own: bool = False
    """Whether it failed while others were answered."""
    rounds: int = 0
    """How often its attempts were used up."""
    again_at: float = 0.0
    """Not before this is it sent again only because there is nothing else to ask."""


@dataclass(slots=True)
class _Line:
    """What is known of a stage."""

    answered: int = 0
    """Answers to its requests, in earlier processes too."""
    sent: int = 0
    """Requests sent so far, those that were sent again each time."""
    flying: dict[str, int] = field(default_factory=dict)
    """In flight: request id → its number among those sent."""
    unanswered: list[int] = field(default_factory=list)
    """Numbers of those that came to nothing, as far back as anybody set aside."""
    aside: dict[str, _Aside] = field(default_factory=dict)
    """By request id, those that failed longest ago first."""
    silent: list[str] = field(default_factory=list)
    """Ids of those that failed, each time, since the last answer that tells anything about them."""
    silent_since: float = 0.0
    probe: str = ""
    """Id of the last request that was sent to see whether anybody is answered."""
    pause_s: float = FIRST_PAUSE_S
    next_at: float = 0.0
    """When the next one may be sent."""

    def send(self, request: Request) -> None:
        self.sent += 1
        self.flying[request.id] = self.sent

    def land(self, request: Request, *, is_answered: bool) -> int:
        """A request is no longer in flight. Returns its number."""
        number = self.flying.pop(request.id)
        if not self.aside:
            self.unanswered.clear()
        self.answered += is_answered
        if not is_answered:
            self.unanswered.append(number)
        return number

    def answered_since(self, number: int) -> int:
        """How many of those sent after number `number` were answered."""
        others = (*self.flying.values(), *self.unanswered)
        return self.sent - number - sum(1 for other in others if other > number)

    def others(self, aside: _Aside) -> int:
        """How many others that were sent later were answered."""
        return self.answered_since(aside.first_sent)


class Patience:
    """What may be sent, and who is given up."""

    def __init__(
        self,
        *,
        slots: int,
        give_up_after_s: float,
        answered: Mapping[Stage, int] | None = None,
        on_pause: OnPause | None = None,
    ) -> None:
        """Begin with nobody in flight.

        `slots` is how many requests may be in flight at a time, `answered` how many were answered in earlier
        processes; `on_pause` is told of every pause.
        """
        self._again_at_most = max(1, int(slots * _AGAIN_SHARE))
        self._give_up_after_s = give_up_after_s
        self._on_pause = on_pause
        self._lines: dict[Stage, _Line] = {
            stage: _Line(answered=number) for stage, number in (answered or {}).items()
        }

    def _line(self, stage: Stage) -> _Line:
        return self._lines.setdefault(stage, _Line())

    def choose(
        self, stage: Stage, fresh: Callable[[], Request | None], *, now: float
    ) -> Request | None:
        """The request of this stage to send now: one that failed before, a fresh one, or none for now.

        `fresh` gives the next request that was never sent, None where there is none.
        """
        line = self._line(stage)
        if not line.silent:
            request = self._again(line) or fresh()
            if request is None and not line.flying:
                request = self._alone(line, now=now)
        elif line.probe in line.flying or now < line.next_at:
            return None
        else:
            # Rather another one than those that failed: that tells more.
            request = fresh() or self._longest_ago(line)
            line.probe = request.id if request is not None else ""
        if request is not None:
            line.send(request)
        return request

    def _again(self, line: _Line) -> Request | None:
        """One that failed before and has its turn again."""
        if not line.aside:
            return None
        again = sum(1 for request_id in line.flying if request_id in line.aside)
        if again >= self._again_at_most:
            return None
        for aside in line.aside.values():
            if aside.request.id in line.flying:
                continue
            if not aside.is_own or line.others(aside) >= OTHERS_ANSWERED:
                return aside.request
        return None

    def _alone(self, line: _Line, *, now: float) -> Request | None:
        """One that failed on its own, where there is nothing else to ask."""
        return next((a.request for a in line.aside.values() if now >= a.again_at), None)

    def _longest_ago(self, line: _Line) -> Request | None:
        """The one that failed longest ago."""
        return next(
            (a.request for a in line.aside.values() if a.request.id not in line.flying), None
        )

    def answered(self, request: Request) -> list[tuple[Request, TransientError]]:
        """A request was answered. Returns those that are given up, now that it is clear what failed."""
        line = self._line(request.stage)
        number = line.land(request, is_answered=True)
        line.aside.pop(request.id, None)
        failed = [line.aside[i] for i in dict.fromkeys(line.silent) if i in line.aside]
        if failed and number < min(aside.last_sent for aside in failed):
            return []  # a late reply: it was sent when all may still have been well
        is_outage = len(set(line.silent)) > 1
        line.silent.clear()
        given_up: list[tuple[Request, TransientError]] = []
        for aside in failed:
            if is_outage:
                aside.is_own, aside.rounds, aside.again_at = False, 0, 0.0
                aside.first_sent = line.sent
                continue
            aside.is_own = True
            # One that is in flight again may yet be answered.
            if aside.request.id not in line.flying and line.others(aside) >= OTHERS_ANSWERED:
                given_up.append(_give_up(line, aside))
        return given_up

    def failed(self, request: Request, error: TransientError, *, now: float) -> None:
        """The attempts of a request are used up."""
        line = self._line(request.stage)
        number = line.land(request, is_answered=False)
        aside = line.aside.pop(request.id, None) or _Aside(
            request=request, error=error, first_sent=number, last_sent=number
        )
        line.aside[request.id] = aside  # at the end: others have their turn first
        aside.error, aside.last_sent = error, number
        aside.again_at = now + min(
            FIRST_ALONE_PAUSE_S * 2**aside.rounds, LONGEST_PAUSE_S, self._give_up_after_s
        )
        aside.rounds += 1
        others_were_answered = line.answered_since(number) > 0
        aside.is_own = aside.is_own or others_were_answered
        if not line.silent:
            line.silent_since = now
            line.probe = ""
            line.pause_s = FIRST_PAUSE_S
            # If it failed while others were answered, the next one may well be answered too.
            line.next_at = now if others_were_answered else now + line.pause_s
        elif request.id == line.probe:
            line.pause_s = min(2 * line.pause_s, LONGEST_PAUSE_S)
            end = line.silent_since + self._give_up_after_s
            line.next_at = min(now + line.pause_s, max(now, end))
        line.silent.append(request.id)
        if self._on_pause is not None and not line.flying and line.next_at > now:
            self._on_pause(
                Pause(
                    stage=request.stage,
                    problem=error.problem,
                    seconds=line.next_at - now,
                    left_s=max(0.0, line.silent_since + self._give_up_after_s - now),
                )
            )

    def gone(self, request: Request) -> None:
        """A request came to nothing in a way that says nothing about the endpoint."""
        line = self._line(request.stage)
        line.land(request, is_answered=False)
        line.aside.pop(request.id, None)
        line.silent = [request_id for request_id in line.silent if request_id != request.id]

    def forget(self, stage: Stage) -> None:
        """Nothing of this stage is needed any more."""
        line = self._line(stage)
        line.aside.clear()
        line.silent.clear()

    def wait_s(self, *, now: float) -> float | None:
        """Seconds until a request may be sent that may not be sent now; None where none is held back."""
        times: list[float] = []
        for line in self._lines.values():
            if line.silent and line.probe not in line.flying:
                times.append(line.next_at)
            elif not line.silent and not line.flying:
                times += [aside.again_at for aside in line.aside.values()]
        return max(0.0, min(times) - now) if times else None

    def overdue(
        self, *, now: float
    ) -> tuple[list[tuple[Request, TransientError]], EndpointError | None]:
        """Those that are given up because there are no others to ask, and what is to end the run.

        That is a stage of which nobody was answered for so long that the run is to stop.
        """
        given_up: list[tuple[Request, TransientError]] = []
        ended: EndpointError | None = None
        for stage, line in self._lines.items():
            if not line.silent or line.flying:
                continue
            failed = [line.aside[i] for i in dict.fromkeys(line.silent) if i in line.aside]
            silent_s = now - line.silent_since
            if all(aside.is_own for aside in failed):
                is_clear = all(a.rounds > 1 and line.others(a) >= OTHERS_ANSWERED for a in failed)
                if is_clear or silent_s >= min(ALONE_S, self._give_up_after_s):
                    given_up += [_give_up(line, aside) for aside in failed]
                    line.silent.clear()
            elif silent_s >= self._give_up_after_s:
                if len(failed) == 1 and line.answered >= OTHERS_ANSWERED:
                    given_up.append(_give_up(line, failed[0]))
                    line.silent.clear()
                    continue
                error = failed[-1].error
                ended = EndpointError(
                    f"{error.problem} (no request of the stage {stage} was answered for "
                    f"{span(silent_s)}, and --give-up-after allows no more)",
                    attempts=error.attempts,
                )
        return given_up, ended


def _give_up(line: _Line, aside: _Aside) -> tuple[Request, TransientError]:
    del line.aside[aside.request.id]
    return aside.request, aside.error


def span(seconds: float) -> str:
    """A length of time for a person: "2 h 5 min", "40 s"."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
