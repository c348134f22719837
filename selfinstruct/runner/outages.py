"""Requests that keep failing: is it the request, or is it the endpoint?

Knows who was answered and who was not, and never asks anybody itself; `loop` tells it what happened and
asks it what may be sent. Time is an argument. Three rules:

1. **A strike** is a round of attempts that failed while the endpoint was up: the first thing that was sent
   after it, of whatever stage, was answered, and nothing else failed in between. What cannot be the request's
   own fault (no connection, a rate limit) is no strike, nor is what ended early because nobody was answered.
2. **A request is given up** with two strikes where 20 others of its stage were answered since it was first
   sent, and with four where there are no so many others, as at the end of a run. Never during an outage: a
   strike needs an answer.
3. **A stage of which nobody is answered** is out. One of its requests at a time is sent, rather a fresh one,
   after pauses that grow from 1 s to 5 min. An answer ends that, and those that failed are sent again.
   Without one for `give_up_after_s` the run stops.

Where nothing else is left to ask, nobody would tell an outage from a request that the endpoint cannot stand.
Then `wants_check` asks for a check: any tiny exchange that shows whether the endpoint is up.

Stages are told apart because a parameter that makes the endpoint fail may be one that only a stage sends.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from selfinstruct.errors import EndpointError, TransientError
from selfinstruct.records import Request, Stage

OTHERS_ANSWERED = 20
"""So many others of its stage must have been answered while a request failed."""
STRIKES = 2
STRIKES_ALONE = 4
"""Where there are no so many others."""
FIRST_PAUSE_S = 1.0
FIRST_ALONE_PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0

HANGS_AFTER_S = 60.0
"""What has been in flight for so long is not waited for."""

_LEAST_TOLD_S = 0.5
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

GivenUp = list[tuple[Request, TransientError]]
"""Requests that are given up, each with what it met last."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request in flight."""

    number: int
    """Its number among all that was sent."""
    answered_before: int
    """Answers to its stage when it was sent."""
    sent_at: float


@dataclass(slots=True)
class _Aside:
    """A request whose attempts are used up, and which is still open."""

    request: Request
    error: TransientError
    answered_before: int
    """Answers to its stage when it was first sent."""
    sent: int = 0
    """Number of its last round among all that was sent."""
    failed: int = 0
    """How much had been sent when that round was over."""
    is_judged: bool = False
    """Whether it is known what that round says about the request."""
    strikes: int = 0
    rounds: int = 0
    again_at: float = 0.0
    """Not before this is it sent again only because there is nothing else to ask."""


@dataclass(slots=True)
class _Line:
    """What is known of a stage."""

    answered: int = 0
    """Answers to its requests, in earlier processes too."""
    answered_at: float = 0.0
    flying: dict[str, _Flight] = field(default_factory=dict)
    aside: dict[str, _Aside] = field(default_factory=dict)
    """By request id, those that failed longest ago first."""
    silent: set[str] = field(default_factory=set)
    """Ids of those that failed since the last answer that tells anything about the stage."""
    silent_since: float = 0.0
    probe: str = ""
    """Id of the last request that was sent to see whether anybody is answered."""
    pause_s: float = FIRST_PAUSE_S
    next_at: float = 0.0
    """When the next one may be sent."""
    is_down: bool = False
    """Whether a check has shown that the endpoint is not up, and nothing the contrary since."""


class OutagePolicy:
    """What may be sent, and who is given up."""

    def __init__(
        self,
        *,
        slots: int,
        give_up_after_s: float,
        answered: Mapping[Stage, int] | None = None,
        can_check: bool = False,
        on_pause: OnPause | None = None,
    ) -> None:
        """Begin with nobody in flight.

        `slots` is how many requests may be in flight at a time, `answered` how many were answered in earlier
        processes, `can_check` whether there is a way to see if the endpoint is up; `on_pause` is told of
        every pause.
        """
        self._again_at_most = max(1, int(slots * _AGAIN_SHARE))
        self._give_up_after_s = give_up_after_s
        self._can_check = can_check
        self._on_pause = on_pause
        self._sent = 0
        """Of all stages, those that were sent again each time, and checks."""
        self._lines: dict[Stage, _Line] = {
            stage: _Line(answered=number) for stage, number in (answered or {}).items()
        }
        self.wants_check = False
        """Whether nothing can be sent before a check."""

    def _line(self, stage: Stage) -> _Line:
        return self._lines.setdefault(stage, _Line())

    # ── what may be sent ─────────────────────────────────────────────────────────────────────────────────

    def choose(
        self, stage: Stage, fresh: Callable[[], Request | None], *, now: float
    ) -> Request | None:
        """The request of this stage to send now: one that failed before, a fresh one, or none for now.

        `fresh` gives the next request that was never sent, None where there is none.
        """
        line = self._line(stage)
        request: Request | None = None
        if not line.silent:
            request = self._again(line) or fresh()
            if request is None and line.aside and not line.flying:
                request = self._alone(line, now=now)
        elif line.probe not in line.flying and now >= line.next_at:
            # Rather another one than those that failed: that tells more.
            request = fresh() or self._alone(line, now=now)
            line.probe = request.id if request is not None else ""
        if request is not None:
            self._sent += 1
            line.flying[request.id] = _Flight(self._sent, line.answered, now)
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
            if not aside.strikes or _others(line, aside) >= OTHERS_ANSWERED:
                return aside.request
        return None

    def _alone(self, line: _Line, *, now: float) -> Request | None:
        """One that failed before, where its stage has nothing else to ask, once that tells something."""
        waiting = [a for a in line.aside.values() if a.request.id not in line.flying]
        aside = next((a for a in waiting if line.silent or now >= a.again_at), None)
        if aside is None or not self._can_check:
            return aside.request if aside is not None else None
        # One of them at a time, of whatever stage, or nobody could tell what each has to do with it.
        lines = self._lines.values()
        is_clear = all(a.is_judged for other in lines for a in other.aside.values())
        is_first = not any(other.flying.keys() & other.aside.keys() for other in lines)
        if is_clear and is_first and not line.is_down:
            return aside.request
        flights = [flight for other in lines for flight in other.flying.values()]
        if not flights:
            self.wants_check = True
            return None
        if all(now - flight.sent_at >= HANGS_AFTER_S for flight in flights):
            return aside.request
        line.next_at = now + line.pause_s  # it may tell
        aside.again_at = max(aside.again_at, line.next_at)
        return None

    def wait_s(self, *, now: float, without: Container[Stage] = ()) -> float | None:
        """Seconds until a request may be sent that may not be sent now; None where none is held back.

        Stages `without` which to reckon are those of which nothing is sent for another reason.
        """
        times: list[float] = []
        for stage, line in self._lines.items():
            if stage in without:
                continue
            if line.silent and line.probe not in line.flying:
                times.append(line.next_at)
            elif not line.silent and not line.flying:
                times += [aside.again_at for aside in line.aside.values()]
        return max(0.0, min(times) - now) if times else None

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────

    def answered(self, request: Request, *, now: float) -> GivenUp:
        """A request was answered. Returns those that are given up, now that it is clear what failed."""
        line = self._line(request.stage)
        flight = line.flying.pop(request.id)
        line.aside.pop(request.id, None)
        line.silent.discard(request.id)
        line.answered += 1
        line.answered_at = now
        line.is_down = False
        self.wants_check = False
        # A late reply says nothing: it was sent when all may still have been well.
        if any(flight.number > line.aside[i].sent for i in line.silent):
            line.silent.clear()
            for other in self._lines.values():  # that was an outage for them, too
                other.next_at = min(other.next_at, now)
        return self._judge(flight.number)

    def failed(self, request: Request, error: TransientError, *, now: float) -> None:
        """The attempts of a request are used up."""
        line = self._line(request.stage)
        flight = line.flying.pop(request.id)
        aside = line.aside.pop(request.id, None) or _Aside(request, error, flight.answered_before)
        line.aside[request.id] = aside  # at the end: others have their turn first
        aside.error, aside.is_judged = error, False
        aside.sent, aside.failed = flight.number, self._sent
        aside.again_at = now + min(
            FIRST_ALONE_PAUSE_S * 2**aside.rounds, LONGEST_PAUSE_S, self._give_up_after_s
        )
        aside.rounds += 1
        if not line.silent:
            line.silent_since = max(flight.sent_at, line.answered_at)
            line.probe = ""
            line.pause_s = FIRST_PAUSE_S
            # If others were answered meanwhile, the next one may well be answered too.
            line.next_at = now if line.answered > flight.answered_before else now + line.pause_s
        elif request.id == line.probe:
            self._pause_longer(line, now=now)
        line.silent.add(request.id)
        self._tell(request.stage, line, now=now)

    def gone(self, request: Request) -> None:
        """A request came to nothing in a way that says nothing about the endpoint."""
        line = self._line(request.stage)
        line.flying.pop(request.id)
        line.aside.pop(request.id, None)
        line.silent.discard(request.id)

    def forget(self, stage: Stage) -> None:
        """Nothing of this stage is needed any more."""
        line = self._line(stage)
        line.aside.clear()
        line.silent.clear()

    def check_begins(self) -> int:
        """A check is sent; returns its number, for `checked`."""
        self.wants_check = False
        self._sent += 1
        return self._sent

    def checked(self, number: int, *, is_up: bool, now: float) -> GivenUp:
        """What the check with that number showed. Returns those that are given up."""
        for line in self._lines.values():
            line.is_down = not is_up
            if is_up and line.answered:
                line.pause_s = FIRST_PAUSE_S  # it is not the endpoint that must be waited for
        if is_up:
            return self._judge(number)
        for stage, line in self._lines.items():
            for aside in line.aside.values():
                aside.is_judged = True  # whatever it met, it was the endpoint
                aside.again_at = max(aside.again_at, now + line.pause_s)
            if line.silent:
                self._pause_longer(line, now=now)
                self._tell(stage, line, now=now)
        return []

    def overdue(self, *, now: float) -> EndpointError | None:
        """What is to end the run: a stage of which nobody was answered for too long."""
        for stage, line in self._lines.items():
            silent_s = now - line.silent_since
            if line.silent and not line.flying and silent_s >= self._give_up_after_s:
                error = _last(line).error
                return EndpointError(
                    f"{error.problem} (no request of the stage {stage} was answered for "
                    f"{span(silent_s)}, and --give-up-after allows no more)",
                    attempts=error.attempts,
                )
        return None

    # ── what it means ────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, number: int) -> GivenUp:
        """Something was answered, number `number`: those that failed before it was sent are judged."""
        told = [
            (line, aside)
            for line in self._lines.values()
            for aside in line.aside.values()
            if not aside.is_judged and aside.failed < number and aside.request.id not in line.flying
        ]
        for _, aside in told:
            aside.is_judged = True
        if len(told) != 1:
            return []  # several failed with nothing answered between them: an outage
        line, aside = told[0]
        aside.strikes += aside.error.counts_as_strike
        has_others = _others(line, aside) >= OTHERS_ANSWERED
        if line.answered and aside.strikes >= (STRIKES if has_others else STRIKES_ALONE):
            del line.aside[aside.request.id]
            line.silent.discard(aside.request.id)
            return [(aside.request, aside.error)]
        return []

    def _pause_longer(self, line: _Line, *, now: float) -> None:
        line.pause_s = min(2 * line.pause_s, LONGEST_PAUSE_S)
        end = line.silent_since + self._give_up_after_s
        line.next_at = min(now + line.pause_s, max(now, end))

    def _tell(self, stage: Stage, line: _Line, *, now: float) -> None:
        left_s = line.silent_since + self._give_up_after_s - now
        is_short = min(line.next_at - now, left_s) < _LEAST_TOLD_S
        if self._on_pause is None or line.flying or is_short:
            return
        self._on_pause(
            Pause(
                stage=stage,
                problem=_last(line).error.problem,
                seconds=line.next_at - now,
                left_s=left_s,
            )
        )


def _others(line: _Line, aside: _Aside) -> int:
    """Answers to others of its stage since it was first sent."""
    return line.answered - aside.answered_before


def _last(line: _Line) -> _Aside:
    """Of those that are silent, the one that failed last."""
    return next(a for a in reversed(line.aside.values()) if a.request.id in line.silent)


def span(seconds: float) -> str:
    """A length of time for a person: "2 h 5 min", "40 s"."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
