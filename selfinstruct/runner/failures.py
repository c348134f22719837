"""Decides whether a request or the endpoint is at fault if all attempts at the request fail.

The policy is told what happened to each request, and decides which request may be sent next. It does not send
requests or read the clock itself. `rejections` decides on rejected requests.

1. A failed request is *judged* when a request that was sent after it, in any stage, is answered. The failed
   request then gets a *strike*, unless several requests that were not judged before failed in the meantime,
   which means an outage. Errors that no request can cause (no connection, a rate limit) do not count.
2. A request is *given up* at its second strike. So a request that always fails is sent in at most three
   rounds of attempts, because only its first failure can coincide with others. No request is given up during
   an outage, because a strike requires an answer.
3. After a strike, a request is sent again once 20 other requests in its stage have been answered. If nothing
   else can be sent, it is sent again after ten seconds.
4. If requests fail and no later one is answered, the stage is *out*. The policy then allows one probe at a
   time, preferably a request that has not failed, after pauses that grow from 1 s to 5 min. An answer ends
   the outage, and the failed requests are sent again. The run stops after `give_up_after_s` without an
   answer.

If no other request can be sent, an outage looks the same as a request that the endpoint cannot process.
`wants_check` then requests a check: a very small request that shows whether the endpoint is up. Stages are
independent, because a parameter that only one stage sends may make the endpoint fail.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from selfinstruct.display import duration
from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.journal_events import RequestFailed
from selfinstruct.records import Request, Stage
from selfinstruct.runner.rejections import Rejections, final_failure

STRIKES = 2
OTHERS_ANSWERED = 20
"""Number of the stage's other requests that must be answered before a request with a strike is sent again."""
ALONE_PAUSE_S = 10.0
"""Seconds before a request with a strike is sent again if nothing else can be sent."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

_SHORTEST_REPORTED_S = 0.5
_RETRY_SHARE = 0.5
"""Maximum share of the slots for requests that failed before, because all of them may fail again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause during an outage."""

    stage: Stage
    problem: str
    """The last failed request's error message."""
    seconds: float
    """Seconds until the next attempt."""
    left_s: float
    """Seconds until the run stops if the outage continues."""


OnPause = Callable[[Pause], None]
"""Called for each pause during an outage."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request in flight."""

    number: int
    """The request's position in the order of sending, over all stages."""
    sent_at: float


@dataclass(slots=True)
class _Failed:
    """A request that has no result because its last round of attempts failed."""

    request: Request
    error: TransientError
    number: int
    """The last round's position in the order of sending."""
    answers: int
    """Number of the stage's requests that had been answered when the last round ended."""
    failed_at: float
    strikes: int = 0
    was_judged: bool = False
    """True if an earlier round was judged. If so, the request probably fails even without an outage."""
    is_judged: bool = False
    """True if it has been decided if the last round counts as a strike."""


@dataclass(slots=True)
class _StageState:
    """A stage's state."""

    answers: int = 0
    """Number of the stage's requests that were answered, including those in earlier processes."""
    answered_at: float = 0.0
    in_flight: dict[str, _Flight] = field(default_factory=dict)
    failed: dict[str, _Failed] = field(default_factory=dict)
    """Failed requests by id, in the order of their last failures."""
    outage: set[str] = field(default_factory=set)
    """Ids of requests that failed since the last conclusive answer. If there are any, the stage is out."""
    out_since: float = 0.0
    probe: str = ""
    """Request id of the last probe."""
    pause_s: float = FIRST_PAUSE_S
    next_at: float = 0.0
    """Earliest time of the next probe."""

    def waiting(self) -> list[_Failed]:
        """Return the failed requests that are not being retried at the moment."""
        return [f for name, f in self.failed.items() if name not in self.in_flight]

    def last_error(self) -> TransientError:
        """Return the last error in the current outage."""
        return next(f.error for f in reversed(self.failed.values()) if f.request.id in self.outage)

    def end(self, request: Request) -> _Flight:
        """Remove a request that is no longer in flight, and return its flight."""
        self.failed.pop(request.id, None)
        self.outage.discard(request.id)
        return self.in_flight.pop(request.id)


class FailurePolicy:
    """Decides which request may be sent next, and which requests have failed for good."""

    def __init__(
        self,
        *,
        slots: int,
        give_up_after_s: float,
        answered: Mapping[Stage, int] | None = None,
        can_check: bool = False,
        on_pause: OnPause = lambda _: None,
    ) -> None:
        """Create a policy with no requests in flight.

        `slots` is the maximum number of requests in flight. `answered` contains the number of each stage's
        requests that were answered in earlier processes. `can_check` states whether the backend can check if
        the endpoint is up.
        """
        self._max_retries = max(1, int(slots * _RETRY_SHARE))
        self._give_up_after_s = give_up_after_s
        self._can_check = can_check
        self._on_pause = on_pause
        self._sent = 0
        """Number of requests sent in all stages, including repetitions and checks."""
        self._states: defaultdict[Stage, _StageState] = defaultdict(_StageState)
        for stage, number in (answered or {}).items():
            self._states[stage].answers = number
        self._rejections = Rejections()
        self.wants_check = False
        """True if a check is needed before any request can be sent."""
        self._is_down = False
        """True if the last check found that the endpoint is down, and no request has been answered since."""

    # ── which request may be sent ────────────────────────────────────────────────────────────────────────

    def choose(
        self, stage: Stage, fresh: Callable[[], Request | None], *, now: float
    ) -> Request | None:
        """Return the request to send now in this stage, or None. It is either a failed or a fresh request.

        `fresh` returns the next request that has not been sent before, or None if there is none.
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
        """Return a failed request that may be sent again while other requests are sent, or None."""
        waiting = state.waiting()
        if not waiting or len(state.failed) - len(waiting) >= self._max_retries:
            return None
        due = (f for f in waiting if not f.strikes or state.answers - f.answers >= OTHERS_ANSWERED)
        return next((failed.request for failed in due), None)

    def _retry_alone(self, state: _StageState, *, now: float) -> Request | None:
        """Return a failed request to retry in a stage that has no other request to send, or None.

        A request is returned only if the result of its retry would be conclusive.
        """
        waiting = state.waiting()
        failed = min(waiting, key=_alone_at, default=None)
        if failed is None:
            return None
        state.next_at = max(state.next_at, _alone_at(failed))
        if now < state.next_at:
            return None
        # Only one request is retried at a time, over all stages. Otherwise it would be unclear which retry
        # an answer says something about.
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
        """Return the seconds until a waiting request may be sent; None if no request is waiting.

        `without` contains the stages whose requests cannot be sent for another reason.
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
        """Record an answer. Return the requests that the answer shows to have failed for good."""
        state = self._states[request.stage]
        flight = state.end(request)
        state.answers += 1
        state.answered_at = now
        self.wants_check = self._is_down = False
        # Only an answer to a request that was sent after a failed one proves that the endpoint is up again.
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
        state.failed[request.id] = failed  # at the end, so others are retried first
        if not was_out:
            state.out_since = max(flight.sent_at, state.answered_at)
            state.probe = ""
            state.pause_s = FIRST_PAUSE_S
            # If other requests have been answered meanwhile, the next request will probably be answered too.
            has_answers = state.answered_at > flight.sent_at
            state.next_at = now if has_answers else now + state.pause_s
        elif request.id == state.probe:
            self._lengthen_pause(state, now=now)
        state.outage.add(request.id)
        self._report(request.stage, state, now=now)

    def rejected(self, request: Request, error: RequestRejectedError) -> EndpointError | None:
        """Record a rejection. If the setup is clearly wrong, return the error that should end the run."""
        self.gone(request)
        return self._rejections.add(request, error, sent=self._sent)

    def gone(self, request: Request) -> None:
        """Record that a request ended in a way that does not show whether the endpoint is up."""
        self._states[request.stage].end(request)

    def forget_except(self, stages: Container[Stage]) -> None:
        """Drop the failed and rejected requests of all stages except `stages`, as they need no answer."""
        for stage, state in self._states.items():
            if stage not in stages:
                state.failed.clear()
                state.outage.clear()
                self._rejections.forget(stage)

    @property
    def has_rejected(self) -> bool:
        """True if there are rejected requests whose cause of rejection is still unclear."""
        return bool(self._rejections)

    def settle_rejected(self) -> list[RequestFailed]:
        """Return all rejected requests, which have failed for good. Call this if no request can be sent.

        Raises EndpointError if the rejections mean that the setup is wrong.
        """
        return self._rejections.settle(lambda stage: self._states[stage].answers)

    def begin_check(self) -> int:
        """Record that a check is being sent. Return its number, which `checked` needs."""
        self.wants_check = False
        self._sent += 1
        return self._sent

    def checked(self, number: int, *, is_up: bool, now: float) -> list[RequestFailed]:
        """Record a check's result. Return the requests that it shows to have failed for good."""
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
        """If a stage has been out for too long, return the error that should end the run, otherwise None."""
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
        """Judge the failed rounds that began before the answered request with this number was sent.

        Returns the requests that have failed for good.
        """
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
    """Return the earliest time when a failed request may be sent again if nothing else can be sent."""
    return failed.failed_at + ALONE_PAUSE_S if failed.strikes else failed.failed_at
