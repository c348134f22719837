"""Requests that the endpoint rejects (status 400 and similar): is it the request, or the set-up?

A rejection is final once the journal has it, so a rejection waits here until its cause is clear. The cause is
a wrong set-up, which ends the run, where

- five requests of a stage in a row were rejected with the same message, or ten with any message;
- nothing else can be sent, and at least three requests and one in fifty were rejected;
- nothing else can be sent, and the stage was never answered.

The cause is the request itself as soon as a request of the stage is answered that was sent after the
rejection, or else where nothing else can be sent.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.events import RequestFailed
from selfinstruct.records import Request, Stage
from selfinstruct.text import scrub

WITH_ONE_MESSAGE = 5
WITH_ANY_MESSAGE = 10
AT_REST = 3
OF_ANSWERED = 50
"""A long run may end with a few rejections: at most one for this number of answers."""


def final_failure(request: Request, error: RequestRejectedError | TransientError) -> RequestFailed:
    """Return the event for a request that is not sent again, from its last error."""
    return RequestFailed(
        request_id=request.id,
        stage=request.stage,
        prompt_sha256=request.prompt.sha256,
        problem=scrub(error.problem),
        status=error.status if isinstance(error, RequestRejectedError) else None,
        attempts=error.attempts,
    )


@dataclass(frozen=True, slots=True)
class _Rejection:
    """A rejected request, and the number of requests sent before the rejection arrived."""

    request: Request
    error: RequestRejectedError
    sent: int


class Rejections:
    """Rejections whose cause is not clear yet, by stage."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Stage, list[_Rejection]] = defaultdict(list)

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def add(
        self, request: Request, error: RequestRejectedError, *, sent: int
    ) -> EndpointError | None:
        """Record a rejection. Return the error that ends the run where the set-up is clearly wrong."""
        waiting = self._waiting[request.stage]
        waiting.append(_Rejection(request, error, sent))
        last = [rejection.error.problem for rejection in waiting[-WITH_ONE_MESSAGE:]]
        has_one_message = len(last) == WITH_ONE_MESSAGE and len(set(last)) == 1
        is_wrong = has_one_message or len(waiting) >= WITH_ANY_MESSAGE
        return _wrong_setup(waiting) if is_wrong else None

    def answered(self, stage: Stage, number: int) -> list[RequestFailed]:
        """Return the rejections that arrived before the answered request with this number was sent."""
        waiting = self._waiting[stage]
        known = [rejection for rejection in waiting if rejection.sent < number]
        del waiting[: len(known)]
        return [final_failure(rejection.request, rejection.error) for rejection in known]

    def forget(self, stage: Stage) -> None:
        """Drop the rejections of a stage: the run no longer needs them."""
        self._waiting[stage].clear()

    def settle(self, answers: Callable[[Stage], int]) -> list[RequestFailed]:
        """Return all rejections, since nothing else can be sent; `answers` counts the answers to a stage.

        Raises EndpointError for a wrong set-up.
        """
        for stage, waiting in self._waiting.items():
            is_much = len(waiting) >= max(AT_REST, answers(stage) // OF_ANSWERED)
            if waiting and (not answers(stage) or is_much):
                raise _wrong_setup(waiting)
        settled = [rejection for waiting in self._waiting.values() for rejection in waiting]
        self._waiting.clear()
        return [final_failure(rejection.request, rejection.error) for rejection in settled]


def _wrong_setup(waiting: list[_Rejection]) -> EndpointError:
    """Return the error for a stage whose requests are all rejected."""
    number, last = len(waiting), waiting[-1]
    requests = "the only request was" if number == 1 else f"{number} requests in a row were"
    return EndpointError(
        f"stage {last.request.stage}: {requests} rejected and none was answered, so the set-up must be "
        f"wrong: {last.error.problem}",
        attempts=last.error.attempts,
    )
