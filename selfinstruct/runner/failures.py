"""Requests that fail, and requests that the endpoint rejects: is it the request, or the endpoint?

The policy learns what happened to each request, and decides which request may be sent. The policy sends
nothing itself, and time is an argument.

**Failed requests** (all attempts of a round failed):

1. A request gets a *strike* when it fails while the endpoint is up: the first request sent after the failure,
   of any stage, is answered, and no other request failed in between. An error that no request can cause (no
   connection, a rate limit) is no strike.
2. A request is *given up* after two strikes if 20 other requests of its stage were answered since it was
   first sent, and after four strikes otherwise, as at the end of a run. An outage gives up no request, since
   a strike needs an answer.
3. A stage without answers is *out*. The policy then sends one probe at a time, preferably a request that has
   not failed, after pauses that grow from 1 s to 5 min. An answer ends the outage, and the failed requests
   are sent again. The run stops after `give_up_after_s` without an answer.

Where no other request can be sent, an outage looks like a request that the endpoint cannot process. Then
`wants_check` asks for a check: a tiny exchange that shows whether the endpoint is up. Stages are independent,
because a parameter that only one stage sends may make the endpoint fail.

**Rejected requests** (status 400 and similar). A rejection is final once the journal has it, so the policy
keeps the rejection until its cause is clear. The cause is a wrong set-up, which ends the run, where

- five requests of a stage in a row were rejected with the same message, or ten with any message;
- nothing else can be sent, and at least three requests and one in fifty were rejected;
- nothing else can be sent, and the stage was never answered.

The cause is the request itself as soon as a request of the stage is answered that was sent after the
rejection, or else where nothing else can be sent.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.records import Request, Stage
from selfinstruct.text import duration

OTHERS_ANSWERED = 20
"""Answers to other requests of the stage after which two strikes are enough."""
STRIKES = 2
STRIKES_ALONE = 4
"""Strikes with fewer answers to others."""
FIRST_PAUSE_S = 1.0
FIRST_ALONE_PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0
HANGS_AFTER_S = 60.0
"""Time after which the policy no longer waits for a request in flight."""

WITH_ONE_MESSAGE = 5
WITH_ANY_MESSAGE = 10
AT_REST = 3
OF_ANSWERED = 50
"""A long run may end with a few rejections: at most one for this number of answers."""

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

Failures = list[tuple[Request, TransientError | RequestRejectedError]]
"""Requests that are not sent again, each with its last error."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A request in flight."""

    number: int
    """Position in the order of sending, over all stages."""
    answered_before: int
    """Answers to the stage when the request was sent."""
    sent_at: float


@dataclass(slots=True)
class _Failed:
    """A request without a result: its last round of attempts failed."""

    request: Request
    error: TransientError
    answered_before: int
    """Answers to the stage when the request was first sent."""
    number: int = 0
    """Position of the last round in the order of sending."""
    sent_until_failure: int = 0
    """Number of requests sent, over all stages, when the round ended."""
    is_judged: bool = False
    """Whether the last round is known to be a strike or no strike."""
    strikes: int = 0
    rounds: int = 0
    not_before: float = 0.0
    """Earliest time at which the request is sent again because nothing else can be sent."""


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A request that the endpoint rejected, for a reason that is not clear yet."""

    request: Request
    error: RequestRejectedError
    sent_until_rejection: int


@dataclass(slots=True)
class _StageState:
    """What the policy knows about a stage."""

    answered: int = 0
    """Answers to requests of the stage, including earlier processes."""
    answered_at: float = 0.0
    in_flight: dict[str, _Flight] = field(default_factory=dict)
    failed: dict[str, _Failed] = field(default_factory=dict)
    """By request id, in order of the last failure."""
    rejected: list[_Rejected] = field(default_factory=list)
    outage: set[str] = field(default_factory=set)
    """Ids of requests that failed since the last conclusive answer; the stage is out if there are any."""
    out_since: float = 0.0
    probe: str = ""
    """Id of the last probe."""
    pause_s: float = FIRST_PAUSE_S
    next_at: float = 0.0
    """Earliest time of the next probe."""
    check_failed: bool = False
    """Whether the last check found the endpoint down, with no answer since."""

    def others_answered(self, failed: _Failed) -> int:
        """Return the answers to other requests since this one was first sent."""
        return self.answered - failed.answered_before

    def last_error(self) -> TransientError:
        """Return the last error of the outage."""
        return next(f.error for f in reversed(self.failed.values()) if f.request.id in self.outage)

    def wrong_setup(self) -> EndpointError:
        """Return the error for a stage whose requests are all rejected."""
        number, last = len(self.rejected), self.rejected[-1]
        requests = "the only request was" if number == 1 else f"{number} requests in a row were"
        return EndpointError(
            f"stage {last.request.stage}: {requests} rejected and none was answered, so the set-up must be "
            f"wrong: {last.error.problem}",
            attempts=last.error.attempts,
        )


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
        self._states = {stage: _StageState(number) for stage, number in (answered or {}).items()}
        self.wants_check = False
        """Whether nothing can be sent before a check."""

    def _state(self, stage: Stage) -> _StageState:
        return self._states.setdefault(stage, _StageState())

    # ── which request may be sent ────────────────────────────────────────────────────────────────────────

    def choose(
        self, stage: Stage, fresh: Callable[[], Request | None], *, now: float
    ) -> Request | None:
        """Return the request of this stage to send now: a failed one, a fresh one, or None.

        `fresh` returns the next request that was not sent before, or None.
        """
        state = self._state(stage)
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
            state.in_flight[request.id] = _Flight(self._sent, state.answered, now)
        return request

    def _retry(self, state: _StageState) -> Request | None:
        """Return a failed request that may be sent again among other requests."""
        if not state.failed:
            return None
        if sum(request_id in state.failed for request_id in state.in_flight) >= self._max_retries:
            return None
        for failed in state.failed.values():
            is_due = not failed.strikes or state.others_answered(failed) >= OTHERS_ANSWERED
            if is_due and failed.request.id not in state.in_flight:
                return failed.request
        return None

    def _retry_alone(self, state: _StageState, *, now: float) -> Request | None:
        """Return a failed request of a stage that has no other request, once a retry is conclusive."""
        waiting = [f for f in state.failed.values() if f.request.id not in state.in_flight]
        failed = next((f for f in waiting if state.outage or now >= f.not_before), None)
        if failed is None or not self._can_check:
            return failed.request if failed is not None else None
        # One retry at a time over all stages: otherwise no answer could be attributed to one of them.
        states = self._states.values()
        is_clear = all(f.is_judged for other in states for f in other.failed.values())
        is_first = not any(other.in_flight.keys() & other.failed.keys() for other in states)
        if is_clear and is_first and not state.check_failed:
            return failed.request
        flights = [flight for other in states for flight in other.in_flight.values()]
        if not flights:
            self.wants_check = True
            return None
        if all(now - flight.sent_at >= HANGS_AFTER_S for flight in flights):
            return failed.request
        state.next_at = now + state.pause_s  # a request in flight may be answered
        failed.not_before = max(failed.not_before, state.next_at)
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
                times += [failed.not_before for failed in state.failed.values()]
        return max(0.0, min(times) - now) if times else None

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────

    def answered(self, request: Request, *, now: float) -> Failures:
        """Record an answer. Return the requests that have failed for good, as the answer shows."""
        state = self._state(request.stage)
        flight = state.in_flight.pop(request.id)
        state.failed.pop(request.id, None)
        state.outage.discard(request.id)
        state.answered += 1
        state.answered_at = now
        state.check_failed = False
        self.wants_check = False
        # A late answer proves nothing: its request was sent before the trouble began.
        if any(flight.number > state.failed[i].number for i in state.outage):
            state.outage.clear()
            for other in self._states.values():  # the outage probably ended for all stages
                other.next_at = min(other.next_at, now)
        # Rejections are in order of arrival.
        known = sum(r.sent_until_rejection < flight.number for r in state.rejected)
        rejected, state.rejected = state.rejected[:known], state.rejected[known:]
        return self._judge(flight.number) + [(r.request, r.error) for r in rejected]

    def failed(self, request: Request, error: TransientError, *, now: float) -> None:
        """Record that all attempts at a request failed."""
        state = self._state(request.stage)
        flight = state.in_flight.pop(request.id)
        failed = state.failed.pop(request.id, None) or _Failed(
            request, error, flight.answered_before
        )
        state.failed[request.id] = failed  # last in order: others have their turn first
        failed.error, failed.is_judged = error, False
        failed.number, failed.sent_until_failure = flight.number, self._sent
        failed.not_before = now + min(
            FIRST_ALONE_PAUSE_S * 2**failed.rounds, LONGEST_PAUSE_S, self._give_up_after_s
        )
        failed.rounds += 1
        if not state.outage:
            state.out_since = max(flight.sent_at, state.answered_at)
            state.probe = ""
            state.pause_s = FIRST_PAUSE_S
            # After answers to other requests, the next request may well be answered too.
            has_answers = state.answered > flight.answered_before
            state.next_at = now if has_answers else now + state.pause_s
        elif request.id == state.probe:
            self._lengthen_pause(state, now=now)
        state.outage.add(request.id)
        self._report(request.stage, state, now=now)

    def rejected(self, request: Request, error: RequestRejectedError) -> None:
        """Record a rejection. Raises EndpointError where the set-up is clearly wrong."""
        self.gone(request)
        state = self._state(request.stage)
        state.rejected.append(_Rejected(request, error, self._sent))
        last = [r.error.problem for r in state.rejected[-WITH_ONE_MESSAGE:]]
        has_one_message = len(last) == WITH_ONE_MESSAGE and len(set(last)) == 1
        if has_one_message or len(state.rejected) >= WITH_ANY_MESSAGE:
            raise state.wrong_setup()

    def gone(self, request: Request) -> None:
        """Record that a request ended in a way that says nothing about the endpoint."""
        state = self._state(request.stage)
        state.in_flight.pop(request.id)
        state.failed.pop(request.id, None)
        state.outage.discard(request.id)

    def forget(self, stage: Stage) -> None:
        """Drop failed and rejected requests of a stage: the run no longer needs them."""
        state = self._state(stage)
        state.failed.clear()
        state.outage.clear()
        state.rejected.clear()

    @property
    def has_rejected(self) -> bool:
        """Whether the cause of a rejection is still unclear."""
        return any(state.rejected for state in self._states.values())

    def settle_rejected(self) -> Failures:
        """Return the rejected requests, since nothing else can be sent.

        Raises EndpointError for a wrong set-up.
        """
        settled: Failures = []
        for state in self._states.values():
            number = len(state.rejected)
            is_much = number >= max(AT_REST, state.answered // OF_ANSWERED)
            if number and (not state.answered or is_much):
                raise state.wrong_setup()
            settled += [(r.request, r.error) for r in state.rejected]
        for state in self._states.values():
            state.rejected.clear()
        return settled

    def begin_check(self) -> int:
        """Record that a check is sent, and return its number for `checked`."""
        self.wants_check = False
        self._sent += 1
        return self._sent

    def checked(self, number: int, *, is_up: bool, now: float) -> Failures:
        """Record the result of a check. Return the requests that have failed for good."""
        for state in self._states.values():
            state.check_failed = not is_up
            if is_up and state.answered:
                state.pause_s = FIRST_PAUSE_S  # there is no outage to wait for
        if is_up:
            return self._judge(number)
        for stage, state in self._states.items():
            for failed in state.failed.values():
                failed.is_judged = True  # the endpoint was at fault
                failed.not_before = max(failed.not_before, now + state.pause_s)
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

    def _judge(self, number: int) -> Failures:
        """Judge the rounds that ended before the request with this number was sent and answered."""
        judged = [
            (state, failed)
            for state in self._states.values()
            for request_id, failed in state.failed.items()
            if not failed.is_judged
            and failed.sent_until_failure < number
            and request_id not in state.in_flight
        ]
        for _, failed in judged:
            failed.is_judged = True
        if len(judged) != 1:
            return []  # several failures without an answer in between: an outage
        state, failed = judged[0]
        failed.strikes += failed.error.counts_as_strike
        has_others = state.others_answered(failed) >= OTHERS_ANSWERED
        if state.answered and failed.strikes >= (STRIKES if has_others else STRIKES_ALONE):
            del state.failed[failed.request.id]
            state.outage.discard(failed.request.id)
            return [(failed.request, failed.error)]
        return []

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
