"""Requests whose attempts all fail: is it the request, or the endpoint?

The policy learns what happened to each request, and decides which request may be sent. The policy sends
nothing itself, and time is an argument. `rejections` decides about rejected requests.

1. A failed request is *judged* when a request is answered that was sent after it, in any stage. The request
   gets a *strike* then, unless several requests failed for the first time in between: that is an outage. An
   error that no request can cause (no connection, a rate limit) does not count.
2. A request is *given up* at its second strike. So a request that always fails has three rounds of attempts
   at most, because only its first failure can coincide with others. An outage gives up no request, since a
   strike needs an answer.
3. After a strike, a request is sent again once 20 other requests of its stage were answered, or after ten
   seconds where nothing else can be sent.
4. A stage without answers is *out*. The policy then sends one probe at a time, preferably a request that has
   not failed, after pauses that grow from 1 s to 5 min. An answer ends the outage, and the failed requests
   are sent again. The run stops after `give_up_after_s` without an answer.

Where no other request can be sent, an outage looks like a request that the endpoint cannot process. Then
`wants_check` asks for a check: a tiny exchange that shows whether the endpoint is up. Stages are independent,
because a parameter that only one stage sends may make the endpoint fail.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.events import RequestFailed
from selfinstruct.records import Request, Stage
from selfinstruct.runner.rejections import Rejections, final_failure
from selfinstruct.text import duration

STRIKES = 2
OTHERS_ANSWERED = 20
"""Answers to other requests of the stage before a request with a strike is sent again."""
ALONE_PAUSE_S = 10.0
"""The same as a time, where nothing else can be sent."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

_SHORTEST_REPORTED_S = 0.5
_RETRY_SHARE = 0.5
"""Maximum share of the slots for requests that failed before, since all of them may fail again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause during an outage."""

    stage: Stage
    problem: str
    """Error of the last request that failed."""
    seconds: float
    """Time until the next attempt."""
    left_s: float
    """Time until the run stops, if the outage continues."""


OnPause = Callable[[Pause], None]
"""Called for every pause."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request in flight."""

    number: int
    """Position in the order of sending, over all stages."""
    sent_at: float


@dataclass(slots=True)
class _Failed:
    """A request without a result: its last round of attempts failed."""

    request: Request
    error: TransientError
    number: int
    """Position of the last round in the order of sending."""
    answers: int
    """Answers to the stage when the last round ended."""
    failed_at: float
    strikes: int = 0
    was_judged: bool = False
    """Whether a round was judged before: the request probably fails again, also without an outage."""
    is_judged: bool = False
    """Whether the last round is known to be a strike or no strike."""


@dataclass(slots=True)
class _StageState:
    """The state of a stage."""

    answers: int = 0
    """Answers to requests of the stage, including earlier processes."""
    answered_at: float = 0.0
    in_flight: dict[str, _Flight] = field(default_factory=dict)
    failed: dict[str, _Failed] = field(default_factory=dict)
    """By request id, in order of the last failure."""
    outage: set[str] = field(default_factory=set)
    """Ids of requests that failed since the last conclusive answer; the stage is out if there are any."""
    out_since: float = 0.0
    probe: str = ""
    """Id of the last probe."""
    pause_s: float = FIRST_PAUSE_S
    next_at: float = 0.0
    """Earliest time of the next probe."""

    def waiting(self) -> list[_Failed]:
        """Return the failed requests that are not in flight again."""
        return [f for name, f in self.failed.items() if name not in self.in_flight]

    def last_error(self) -> TransientError:
        """Return the last error of the outage."""
        return next(f.error for f in reversed(self.failed.values()) if f.request.id in self.outage)

    def end(self, request: Request) -> _Flight:
        """Remove a request with a result, and return its flight."""
        self.failed.pop(request.id, None)
        self.outage.discard(request.id)
        return self.in_flight.pop(request.id)


class FailurePolicy:
    """Decides which request may be sent, and which requests have failed for good."""

    def __init__(
        self,
        *,
        slots: int,
        give_up_after_s: float,
        answered: Mapping[Stage, int] | None = None,
        can_check: bool = False,
        on_pause: OnPause = lambda _: None,
    ) -> None:
        """Create a policy without requests in flight.

        `slots` is the maximum number of requests in flight, `answered` the number of answers in earlier
        processes, and `can_check` says whether the backend can check if the endpoint is up.
        """
        self._max_retries = max(1, int(slots * _RETRY_SHARE))
        self._give_up_after_s = give_up_after_s
        self._can_check = can_check
        self._on_pause = on_pause
        self._sent = 0
        """Requests sent of all stages, repetitions and checks included."""
        self._states: defaultdict[Stage, _StageState] = defaultdict(_StageState)
        for stage, number in (answered or {}).items():
            self._states[stage].answers = number
        self._rejections = Rejections()
        self.wants_check = False
        """Whether nothing can be sent before a check."""
        self._is_down = False
        """Whether the last check found the endpoint down, with no answer since."""

    # ── which request may be sent ────────────────────────────────────────────────────────────────────────

    def choose(
        self, stage: Stage, fresh: Callable[[], Request | None], *, now: float
    ) -> Request | None:
        """Return the request of this stage to send now: a failed one, a fresh one, or None.

        `fresh` returns the next request that was not sent before, or None.
        """
        state = self._states[stage]
        request: Request | None = None
        if not state.outage:
            request = self._retry(state) or fresh()
            if request is None and state.failed and not state.in_flight:
                request = self._retry_alone(state, now=now)
        elif state.probe not in state.in_flight and now >= state.next_at:
            # A request that has not failed is the better probe.
            request = fresh() or self._retry_alone(state, now=now)
            state.probe = request.id if request is not None else ""
        if request is not None:
            self._sent += 1
            state.in_flight[request.id] = _Flight(self._sent, now)
        return request

    def _retry(self, state: _StageState) -> Request | None:
        """Return a failed request that may be sent again among other requests."""
        waiting = state.waiting()
        if not waiting or len(state.failed) - len(waiting) >= self._max_retries:
            return None
        due = (f for f in waiting if not f.strikes or state.answers - f.answers >= OTHERS_ANSWERED)
        return next((failed.request for failed in due), None)

    def _retry_alone(self, state: _StageState, *, now: float) -> Request | None:
        """Return a failed request of a stage that has no other request, once a retry is conclusive."""
        waiting = state.waiting()
        failed = min(waiting, key=_alone_at, default=None)
        if failed is None:
            return None
        state.next_at = max(state.next_at, _alone_at(failed))
        if now < state.next_at:
            return None
        # One retry at a time over all stages: otherwise no answer could be attributed to one of them.
        states = self._states.values()
        is_clear = all(f.is_judged for other in states for f in other.failed.values())
        is_first = not any(other.in_flight.keys() & other.failed.keys() for other in states)
        if not self._can_check or (is_clear and is_first and not self._is_down):
            return failed.request
        if any(other.in_flight for other in states):
            state.next_at = now + state.pause_s  # a request in flight may be answered
        else:
            self.wants_check = True
        return None

    def wait_s(self, *, now: float, without: Container[Stage] = ()) -> float | None:
        """Return the seconds until a waiting request may be sent; None where no request waits.

        `without` are stages whose requests cannot be sent for another reason.
        """
        times: list[float] = []
        for stage, state in self._states.items():
            if stage in without:
                continue
            if state.outage and state.probe not in state.in_flight:
                times.append(state.next_at)
            elif not state.outage and not state.in_flight:
                times += [max(state.next_at, _alone_at(f)) for f in state.failed.values()]
        return max(0.0, min(times) - now) if times else None

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────

    def answered(self, request: Request, *, now: float) -> list[RequestFailed]:
        """Record an answer. Return the requests that have failed for good, as the answer shows."""
        state = self._states[request.stage]
        flight = state.end(request)
        state.answers += 1
        state.answered_at = now
        self.wants_check = self._is_down = False
        # A late answer proves nothing: its request was sent before the trouble began.
        if any(flight.number > state.failed[i].number for i in state.outage):
            state.outage.clear()
            for other in self._states.values():  # the outage probably ended for all stages
                other.next_at = min(other.next_at, now)
        return self._judge(flight.number) + self._rejections.answered(request.stage, flight.number)

    def failed(self, request: Request, error: TransientError, *, now: float) -> None:
        """Record that all attempts at a request failed."""
        state = self._states[request.stage]
        before = state.failed.get(request.id)
        was_out = bool(state.outage)
        flight = state.end(request)
        failed = _Failed(request, error, flight.number, state.answers, now)
        if before is not None:
            failed.strikes, failed.was_judged = before.strikes, before.was_judged
        state.failed[request.id] = failed  # last in order: others have their turn first
        if not was_out:
            state.out_since = max(flight.sent_at, state.answered_at)
            state.probe = ""
            state.pause_s = FIRST_PAUSE_S
            # After answers to other requests, the next request may well be answered too.
            has_answers = state.answered_at > flight.sent_at
            state.next_at = now if has_answers else now + state.pause_s
        elif request.id == state.probe:
            self._lengthen_pause(state, now=now)
        state.outage.add(request.id)
        self._report(request.stage, state, now=now)

    def rejected(self, request: Request, error: RequestRejectedError) -> EndpointError | None:
        """Record a rejection. Return the error that ends the run where the set-up is clearly wrong."""
        self.gone(request)
        return self._rejections.add(request, error, sent=self._sent)

    def gone(self, request: Request) -> None:
        """Record that a request ended in a way that says nothing about the endpoint."""
        self._states[request.stage].end(request)

    def forget_except(self, stages: Container[Stage]) -> None:
        """Drop failed and rejected requests of all other stages: no answer to them is needed."""
        for stage, state in self._states.items():
            if stage not in stages:
                state.failed.clear()
                state.outage.clear()
                self._rejections.forget(stage)

    @property
    def has_rejected(self) -> bool:
        """Whether the cause of a rejection is still unclear."""
        return bool(self._rejections)

    def settle_rejected(self) -> list[RequestFailed]:
        """Return the rejected requests, since nothing else can be sent.

        Raises EndpointError for a wrong set-up.
        """
        return self._rejections.settle(lambda stage: self._states[stage].answers)

    def begin_check(self) -> int:
        """Record that a check is sent, and return its number for `checked`."""
        self.wants_check = False
        self._sent += 1
        return self._sent

    def checked(self, number: int, *, is_up: bool, now: float) -> list[RequestFailed]:
        """Record the result of a check. Return the requests that have failed for good."""
        self._is_down = not is_up
        if is_up:
            for state in self._states.values():
                if state.answers:
                    state.pause_s = FIRST_PAUSE_S
            return self._judge(number)
        for stage, state in self._states.items():
            for failed in state.failed.values():
                failed.is_judged = True  # the endpoint was at fault
            state.next_at = max(state.next_at, now + state.pause_s)
            if state.outage:
                self._lengthen_pause(state, now=now)
                self._report(stage, state, now=now)
        return []

    def overdue(self, *, now: float) -> EndpointError | None:
        """Return the error that ends the run: a stage is out for too long."""
        for stage, state in self._states.items():
            out_s = now - state.out_since
            if state.outage and not state.in_flight and out_s >= self._give_up_after_s:
                error = state.last_error()
                return EndpointError(
                    f"{error.problem} (stage {stage}: no answer for {duration(out_s)}; raise --give-up-after "
                    "to wait longer)",
                    attempts=error.attempts,
                )
        return None

    # ── conclusions ──────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, number: int) -> list[RequestFailed]:
        """Judge the failed rounds that began before the request with this number, which was answered."""
        judged = [
            (state, failed)
            for state in self._states.values()
            for failed in state.waiting()
            if not failed.is_judged and failed.number < number
        ]
        is_outage = sum(not failed.was_judged for _, failed in judged) > 1
        for _, failed in judged:
            failed.is_judged = failed.was_judged = True
        if is_outage:
            return []
        given_up: list[RequestFailed] = []
        for state, failed in judged:
            failed.strikes += failed.error.counts_as_strike
            if state.answers and failed.strikes >= STRIKES:
                del state.failed[failed.request.id]
                state.outage.discard(failed.request.id)
                given_up.append(final_failure(failed.request, failed.error))
        return given_up

    def _lengthen_pause(self, state: _StageState, *, now: float) -> None:
        state.pause_s = min(2 * state.pause_s, LONGEST_PAUSE_S)
        end = state.out_since + self._give_up_after_s
        state.next_at = min(now + state.pause_s, max(now, end))

    def _report(self, stage: Stage, state: _StageState, *, now: float) -> None:
        seconds = state.next_at - now
        left_s = state.out_since + self._give_up_after_s - now
        if not state.in_flight and min(seconds, left_s) >= _SHORTEST_REPORTED_S:
            problem = state.last_error().problem
            self._on_pause(Pause(stage=stage, problem=problem, seconds=seconds, left_s=left_s))


def _alone_at(failed: _Failed) -> float:
    """Return when a request may be sent again because nothing else can be sent."""
    return failed.failed_at + ALONE_PAUSE_S if failed.strikes else failed.failed_at
